// Markers of transactions that are lost to damage: nothing that was aborted is shown to a read_committed reader, in that
// life or a later one, and what was committed is hidden only where the log says so.
// MILLRACE_TEST_FULL=1 tries many more logs; MILLRACE_TEST_SEED=n one.

import { describe, expect, test } from "bun:test";
import process from "node:process";
import { type MemoryStoragePlugin, storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { ok } from "../../../src/base/outcome.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import { type Files, filesOf, flipped, replaced, storeWith } from "../../support/log_files.ts";
import { batchOf, caller, LogRig, type RigOptions, topic } from "../../support/log_rig.ts";
import { isFullTestRun } from "../../support/test_scale.ts";
import { fetchCommitted, visibleIn } from "../../support/transaction_model.ts";

const TOPICS = ["t", "u"];
const EPOCH_MAX = 0x7fff;

const logOf = (rig: LogRig, name: string) => rig.logs.logIn(rig.logs.topicNamed(name)!, 0)!;

/** A producer as its coordinator knows it: whatever becomes of the log, it goes by what was answered. */
interface Producer {
  readonly id: number;
  readonly version: 1 | 2;
  epoch: number;
  readonly sequences: Map<string, number>;
  /** Values of the open transaction. */
  open: { readonly topic: string; readonly value: string }[];
}

/** Every transactional value that was acknowledged, by how its transaction ended. */
interface Known {
  readonly committed: Map<string, { producerId: number; topic: string; offset: number }>;
  readonly aborted: Set<string>;
  readonly producers: Producer[];
  /** What was said of ends that are lost. */
  readonly lost: Readonly<Record<string, unknown>>[];
  /** By topic: what came after the damage, or was lost with the end of the log, whose offsets are given out again. */
  readonly foundEnds: Map<string, number>;
  readonly countBefore: number;
  /** The end of the journal may be gone without a trace, so that nothing is said. */
  readonly mayBeCut: boolean;
  count: number;
}

/** @returns false where a batch was refused */
async function step(rig: LogRig, known: Known, random: SeededRandom): Promise<boolean> {
  const producer = known.producers[random.below(known.producers.length)]!;
  if (producer.open.length > 0 && random.below(3) === 0) {
    await finish(rig, known, producer, random.below(2) === 0);
    return true;
  }
  const name = TOPICS[random.below(TOPICS.length)]!;
  const value = `${known.count++}:${"x".repeat(random.below(120))}`;
  const baseSequence = producer.sequences.get(name) ?? 0;
  const { id: producerId, epoch: producerEpoch } = producer;
  const of = { producerId, producerEpoch, baseSequence, isTransactional: true };
  const [outcome] = await rig.api.append(caller, {
    acks: -1,
    timeoutMs: 1000,
    transactionalId: `tx${producerId}`,
    addsToTransaction: producer.version === 2,
    partitions: [{ topic: name, partition: 0, batches: batchOf([value], of) }],
  });
  // The damage took batches of this producer: it can only abort.
  if (!outcome!.ok) {
    await finish(rig, known, producer, false);
    return false;
  }
  producer.sequences.set(name, baseSequence + 1);
  producer.open.push({ topic: name, value });
  places.set(value, outcome!.value.baseOffset);
  return true;
}

const places = new Map<string, number>();

/** Ends what the producer has open, in both topics, as its coordinator would. */
async function finish(rig: LogRig, known: Known, producer: Producer, isCommit: boolean) {
  const { id: producerId, version: transactionVersion, open } = producer;
  const topics = new Set(open.map((each) => each.topic));
  if (transactionVersion === 2) {
    producer.epoch++;
    producer.sequences.clear();
  }
  for (const { topic: name, value } of open) {
    const offset = places.get(value)!;
    if (isCommit) known.committed.set(value, { producerId, topic: name, offset });
    else known.aborted.add(value);
  }
  producer.open = [];
  for (const name of topics) {
    const { epoch: producerEpoch } = producer;
    const marker = { producerId, producerEpoch, coordinatorEpoch: 0, isCommit, transactionVersion };
    const verdict = logOf(rig, name).appendMarker(marker, rig.test.wallMs);
    if (verdict.kind !== "appended") throw new Error(JSON.stringify(verdict));
    await verdict.group.settled();
  }
}

/** What a reader of read_committed sees that goes on behind whatever is refused. */
async function seenIn(rig: LogRig, name: string, from: number, bytesMax: number) {
  const log = logOf(rig, name);
  const seen = new Set<string>();
  const refused = new Set<number>();
  for (let at = Math.max(from, log.logStartOffset); at < log.lastStableOffset; ) {
    try {
      const fetched = await fetchCommitted(rig, at, bytesMax, name);
      for (const { offset, value } of visibleIn(fetched)) if (offset >= at) seen.add(String(value));
      at = Math.max(fetched.endOffset, at + 1);
    } catch (error) {
      if (!/corrupt_message|kafka_storage_error/.test(String(error))) throw error;
      refused.add(at++);
    }
  }
  return { seen, refused };
}

/** Nothing aborted or open is seen from anywhere; what is hidden was said to be. */
async function check(rig: LogRig, known: Known, random: SeededRandom, where: string) {
  const open = new Set(known.producers.flatMap((each) => each.open.map(({ value }) => value)));
  for (const { fields } of rig.test.events("transaction_end_lost")) known.lost.push(fields);
  for (const name of TOPICS) {
    const { logEndOffset, lastStableOffset } = logOf(rig, name);
    const foundEnd = known.foundEnds.get(name) ?? logEndOffset;
    known.foundEnds.set(name, foundEnd);
    for (const from of [0, random.below(logEndOffset + 1), random.below(logEndOffset + 1)]) {
      const { seen, refused } = await seenIn(rig, name, from, 300 + random.below(4000));
      const wrong = [...seen].filter((value) => known.aborted.has(value) || open.has(value));
      const hidden = [...known.committed].filter(([value, { producerId, topic: at, offset }]) => {
        if (at !== name || offset < from || offset >= lastStableOffset) return false;
        if (seen.has(value) || refused.has(offset) || known.mayBeCut) return false;
        if (Number.parseInt(value, 10) < known.countBefore && offset >= foundEnd) return false;
        return !known.lost.some(
          (each) =>
            each["topic"] === name &&
            each["producerId"] === producerId &&
            (each["firstOffset"] as number) <= offset &&
            offset < (each["endOffset"] as number),
        );
      });
      const said = [wrong, hidden.map(([value]) => value)].map((values) =>
        values.map((value) => `${value.slice(0, 5)} at ${places.get(value)}`),
      );
      expect([where, name, from, ...said]).toEqual([where, name, from, [], []]);
    }
  }
}

type Damage = "bit" | "zeros" | "swap" | "cut" | "gone";

function damaged(files: Files, kinds: readonly Damage[], random: SeededRandom): Files {
  const result = new Map(files);
  const journal = [...files.keys()].filter((name) => name.startsWith("journal/"));
  for (let left = 1 + random.below(3); left > 0; left--) {
    const names = random.below(4) > 0 ? journal : [...files.keys()];
    const name = names[random.below(names.length)]!;
    const bytes = (result.get(name) ?? new Uint8Array(0)).slice();
    if (bytes.length === 0) continue;
    const kind = kinds[random.below(kinds.length)]!;
    // The end of the newest file is what says that all before it was synced: without it damage is taken for a torn tail.
    const isSpared = !kinds.includes("cut") && name === journal.at(-1);
    const spared = isSpared ? 64 : 0;
    if (bytes.length <= spared) continue;
    const at = random.below(bytes.length - spared);
    if (kind === "bit") bytes[at]! ^= 1 << random.below(8);
    else if (kind === "zeros")
      bytes.fill(0, at, Math.min(at + 1 + random.below(2000), bytes.length - spared));
    else if (kind === "swap" && !isSpared) {
      const other = files.get(journal[random.below(journal.length)]!)!;
      bytes.set(other.subarray(0, bytes.length));
    }
    if (kind === "gone") result.delete(name);
    else result.set(name, kind === "cut" ? bytes.slice(0, at) : bytes);
  }
  return result;
}

async function lifeOf(seed: string, versions: readonly (1 | 2)[]) {
  const random = SeededRandom.of(seed);
  const isSettled = random.below(2) === 0;
  const options: RigOptions = {
    topics: TOPICS.map((name) => topic(name, 1, { "internal.segment.bytes": "6000" })),
    journalFileBytes: [4, 16, 64][random.below(3)]! * 1024,
    journalBytesMax: isSettled ? 8 * 1024 : 50_000_000,
    grownBytes: [2000, 1_000_000][random.below(2)]!,
    gate: { admit: () => ok(null) },
  };
  const plugin = storageMemory();
  const rig = await LogRig.open(plugin, options);
  const known: Known = {
    committed: new Map(),
    aborted: new Set(),
    producers: Array.from({ length: 6 }, (_, i) => ({
      id: i + 1,
      version: versions[i % versions.length]!,
      epoch: random.below(20) === 0 ? EPOCH_MAX - 400 : 0,
      sequences: new Map(),
      open: [],
    })),
    lost: [],
    foundEnds: new Map(),
    countBefore: 0,
    mayBeCut: false,
    count: 0,
  };
  const steps = 150 + random.below(300);
  for (let i = 0; i < steps; i++) {
    await step(rig, known, random);
    if (i % 40 === 39) await rig.logs.maintain(false);
  }
  await rig.close();
  return { files: await filesOf(plugin), known, options, random };
}

function copyOf(known: Known, mayBeCut: boolean): Known {
  return {
    mayBeCut,
    lost: [],
    foundEnds: new Map(),
    countBefore: known.count,
    committed: new Map(known.committed),
    aborted: new Set(known.aborted),
    count: known.count,
    producers: known.producers.map((each) => ({
      ...each,
      sequences: new Map(each.sequences),
      open: [...each.open],
    })),
  };
}

async function rounds(seed: string, versions: readonly (1 | 2)[], kinds: readonly Damage[]) {
  const { files, known: before, options, random } = await lifeOf(seed, versions);
  let lost = 0;
  for (let round = 0; round < 6; round++) {
    const where = `${seed} round ${round}`;
    const known = copyOf(before, kinds.includes("cut"));
    const plugin: MemoryStoragePlugin = await storeWith(damaged(files, kinds, random));
    let rig = await LogRig.open(plugin, options);
    await check(rig, known, random, `${where}, found`);
    for (let i = 0; i < 60; i++) await step(rig, known, random);
    await check(rig, known, random, `${where}, gone on`);
    await rig.logs.maintain(false);
    await rig.close();
    rig = await LogRig.open(plugin, options);
    await check(rig, known, random, `${where}, once more`);
    await rig.close();
    lost += known.lost.length;
  }
  return lost;
}

/** A log, opened again with a flipped bit in what was to be lost. */
async function damagedLog(
  write: (log: Writer) => Promise<void>,
): Promise<{ rig: LogRig; writer: Writer }> {
  const options: RigOptions = { topics: [topic("t")], gate: { admit: () => ok(null) } };
  const plugin = storageMemory();
  const writer = new Writer(await LogRig.open(plugin, options));
  await write(writer);
  await writer.rig.close();
  const name = "journal/0000000001.log";
  let files: Files = await filesOf(plugin);
  for (const at of writer.losing) files = replaced(files, name, flipped(files.get(name)!, at, 3));
  const rig = await LogRig.open(await storeWith(files), options);
  return { rig, writer: new Writer(rig) };
}

class Writer {
  readonly rig: LogRig;
  /** Positions in the journal file. */
  readonly losing: number[] = [];

  constructor(rig: LogRig) {
    this.rig = rig;
  }

  async send(producerId: number, producerEpoch: number, baseSequence: number, value: string) {
    const of = { producerId, producerEpoch, baseSequence, isTransactional: true };
    const [outcome] = await this.rig.api.append(caller, {
      acks: -1,
      timeoutMs: 1000,
      transactionalId: "tx",
      addsToTransaction: true,
      partitions: [{ topic: "t", partition: 0, batches: batchOf([value], of) }],
    });
    return outcome!.ok ? "ok" : outcome!.error.code;
  }

  async end(producerId: number, producerEpoch: number, isCommit: boolean, transactionVersion = 2) {
    const { rig } = this;
    const marker = { producerId, producerEpoch, coordinatorEpoch: 0, isCommit, transactionVersion };
    const verdict = logOf(rig, "t").appendMarker(marker, rig.test.wallMs);
    if (verdict.kind === "appended") await verdict.group.settled();
    return verdict.kind;
  }

  /** What is written next will be lost. */
  async lose(work: () => Promise<unknown>): Promise<void> {
    this.losing.push(this.rig.logs.journal.active.endPosition + 20);
    await work();
  }

  async visible(): Promise<string[]> {
    return [...(await seenIn(this.rig, "t", 0, 100_000)).seen];
  }

  get stable(): number {
    return logOf(this.rig, "t").lastStableOffset;
  }

  get lost() {
    return this.rig.test.events("transaction_end_lost").map(({ fields }) => fields);
  }
}

describe("a transaction over a hole", () => {
  test("is whole where the marker's epoch says that it is its own", async () => {
    for (const isCommit of [true, false]) {
      const { rig, writer } = await damagedLog(async (log) => {
        await log.send(1, 0, 0, "a");
        await log.lose(() => log.rig.append(batchOf(["lost"])));
        await log.send(1, 0, 1, "b");
        await log.end(1, 1, isCommit);
      });
      expect(await writer.visible()).toEqual(isCommit ? ["a", "b"] : []);
      expect([writer.stable, writer.lost]).toEqual([4, []]);
      await rig.close();
    }
  });

  test("is taken for aborted once its producer has gone on, and the next one stands for itself", async () => {
    const { rig, writer } = await damagedLog(async (log) => {
      await log.send(1, 0, 0, "a");
      await log.lose(() => log.end(1, 1, false));
      await log.send(1, 1, 0, "b");
      await log.end(1, 2, true);
    });
    expect(await writer.visible()).toEqual(["b"]);
    expect(writer.stable).toBe(4);
    expect(writer.lost).toEqual([
      { topic: "t", partition: 0, producerId: 1, producerEpoch: 0, firstOffset: 0, endOffset: 1 },
    ]);
    await rig.close();
  });

  test("of the first protocol is hidden up to the hole: whose the commit is, nobody knows", async () => {
    const { rig, writer } = await damagedLog(async (log) => {
      await log.send(1, 0, 0, "a");
      await log.lose(() => log.end(1, 0, false, 1));
      await log.send(1, 0, 1, "b");
      await log.end(1, 0, true, 1);
    });
    expect(await writer.visible()).toEqual(["b"]);
    expect(writer.lost).toMatchObject([{ firstOffset: 0, endOffset: 1 }]);
    await rig.close();
  });
});

describe("a transaction that is open over a hole", () => {
  const open = async (log: Writer) => {
    await log.send(1, 0, 0, "a");
    await log.lose(() => log.rig.append(batchOf(["lost"])));
    await log.rig.append(batchOf(["plain"]));
  };

  test("takes no more batches, so that its producer aborts; then the next one goes on", async () => {
    const { rig, writer } = await damagedLog(open);
    expect([writer.stable, await writer.send(1, 0, 1, "b")]).toEqual([
      0,
      "out_of_order_sequence_number",
    ]);
    await writer.end(1, 1, false);
    expect(await writer.send(1, 1, 0, "c")).toBe("ok");
    await writer.end(1, 2, true);
    expect(await writer.visible()).toEqual(["plain", "c"]);
    await rig.close();
  });

  test("is committed by its own marker", async () => {
    const { rig, writer } = await damagedLog(open);
    await writer.end(1, 1, true);
    expect(await writer.visible()).toEqual(["a", "plain"]);
    await rig.close();
  });

  test("is aborted by a marker of the broker's once its producer has gone on", async () => {
    for (const goOn of [
      async (log: Writer) => {
        await log.send(1, 1, 0, "b");
        await log.end(1, 2, true);
      },
      (log: Writer) => log.end(1, 2, true),
      (log: Writer) => log.end(1, 0, true, 1),
    ]) {
      const { rig, writer } = await damagedLog(open);
      await goOn(writer);
      expect((await writer.visible()).filter((value) => value !== "b")).toEqual(["plain"]);
      expect(writer.stable).toBe(logOf(rig, "t").logEndOffset);
      expect(writer.lost).toMatchObject([{ producerId: 1, firstOffset: 0 }]);
      await rig.close();
    }
  });
});

const only = process.env["MILLRACE_TEST_SEED"];
const seeds =
  only === undefined
    ? Array.from({ length: isFullTestRun ? 300 : 6 }, (_, i) => i)
    : [Number(only)];

describe("markers lost to damage", () => {
  test("of the second protocol, by any damage", async () => {
    let lost = 0;
    for (const seed of seeds) {
      lost += await rounds(`two ${seed}`, [2], ["bit", "zeros", "swap", "cut", "gone"]);
    }
    expect(lost).toBeGreaterThan(0);
  }, 600_000);

  test("of the first protocol beside it, by damage that shows", async () => {
    let lost = 0;
    for (const seed of seeds) {
      lost += await rounds(`both ${seed}`, [1, 2], ["bit", "zeros", "swap"]);
    }
    expect(lost).toBeGreaterThan(0);
  }, 600_000);

  test("are never suspected without damage, whatever was moved, settled and given up", async () => {
    for (const seed of seeds) {
      const { files, known: before, options, random } = await lifeOf(`sound ${seed}`, [1, 2]);
      const known = copyOf(before, false);
      const plugin = await storeWith(files);
      for (let life = 0; life < 5; life++) {
        const rig = await LogRig.open(plugin, options);
        await check(rig, known, random, `sound ${seed} life ${life}`);
        for (let i = 0; i < 60; i++) expect(await step(rig, known, random)).toBe(true);
        await rig.logs.maintain(false);
        expect(rig.test.events("transaction_end_lost")).toEqual([]);
        await rig.close();
      }
    }
  }, 600_000);
});
