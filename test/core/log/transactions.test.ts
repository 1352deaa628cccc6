// Transactions in one partition's log: what is open, what is stable, what was aborted; after settling, retention,
// restarts and cuts. Held against a plain model that works everything out anew.

import { describe, expect, test } from "bun:test";
import process from "node:process";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { ok } from "../../../src/base/outcome.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import { decodeAborted, encodeAborted } from "../../../src/core/log/aborted_list.ts";
import type { EndMarker } from "../../../src/core/log/producer_state.ts";
import { batchesIn } from "../../../src/record/record_batch.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { batchOf, caller, LogRig, type RigOptions, topic } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";
import {
  fetchCommitted,
  readCommitted,
  TransactionModel,
  visibleIn,
} from "../../support/transaction_model.ts";

const CONFIGS = { "internal.segment.bytes": "6000" };
const OPTIONS: RigOptions = {
  topics: [topic("t", 1, CONFIGS)],
  journalFileBytes: 8 * 1024,
  journalBytesMax: 0,
  grownBytes: 2000,
  gate: { admit: () => ok(null) },
};

const logOf = (rig: LogRig) => rig.logs.logIn(rig.logs.topicNamed("t")!, 0)!;

/** What a producer sends, protocol 2: its epoch grows with every end. */
class Producer {
  readonly id: number;
  epoch = 0;
  sequence = 0;

  constructor(id: number) {
    this.id = id;
  }

  batch(values: readonly string[], isTransactional = true): Uint8Array {
    const baseSequence = this.sequence;
    this.sequence += values.length;
    const { id: producerId, epoch: producerEpoch } = this;
    return batchOf(values, { producerId, producerEpoch, baseSequence, isTransactional });
  }

  marker(isCommit: boolean, transactionVersion = 2): EndMarker {
    if (transactionVersion === 2) {
      this.epoch++;
      this.sequence = 0;
    }
    const { id: producerId, epoch: producerEpoch } = this;
    return { producerId, producerEpoch, coordinatorEpoch: 3, isCommit, transactionVersion };
  }
}

function send(rig: LogRig, bytes: Uint8Array, transactionalId: string | null = "tx") {
  return rig.api
    .append(caller, {
      acks: -1,
      timeoutMs: 1000,
      transactionalId,
      addsToTransaction: true,
      partitions: [{ topic: "t", partition: 0, batches: bytes }],
    })
    .then((outcomes) => outcomes[0]!);
}

async function end(rig: LogRig, marker: EndMarker): Promise<number> {
  const verdict = logOf(rig).appendMarker(marker, rig.test.wallMs);
  if (verdict.kind !== "appended") throw new Error(`${verdict.kind} ${JSON.stringify(verdict)}`);
  await verdict.group.settled();
  return verdict.baseOffset;
}

describe("the last stable offset", () => {
  test("stays before an open transaction, and moves once its marker is committed", async () => {
    const rig = await LogRig.open(storageMemory(), OPTIONS);
    const log = logOf(rig);
    const a = new Producer(1);
    await rig.append(batchOf(["before"]));
    expect(await send(rig, a.batch(["x", "y"]))).toMatchObject({ value: { baseOffset: 1 } });
    await rig.append(batchOf(["after"]));
    expect([log.lastStableOffset, log.highWatermark]).toEqual([1, 4]);
    const verdict = log.appendMarker(a.marker(true), rig.test.wallMs);
    // Appended, and not committed yet.
    expect(log.hasOpenTransaction(1, 1)).toBe(false);
    expect(log.lastStableOffset).toBe(1);
    if (verdict.kind === "appended") await verdict.group.settled();
    expect(log.lastStableOffset).toBe(5);
    expect((await readCommitted(rig)).map(({ value }) => value)).toEqual([
      "before",
      "x",
      "y",
      "after",
    ]);
    await rig.close();
  });

  test("is what read_committed fetches and look-ups end at", async () => {
    const rig = await LogRig.open(storageMemory(), OPTIONS);
    const a = new Producer(1);
    await rig.append(batchOf(["old"], { timestampMs: 1000 }));
    await send(rig, a.batch(["open"]));
    await rig.append(batchOf(["new"], { timestampMs: rig.test.wallMs + 1 }));
    const query = async (
      at: "latest" | "max_timestamp" | { timestampMs: number },
      isolation: "read_committed" | "read_uncommitted",
    ) => {
      const [found] = await rig.api.offsetFor(caller, [
        { topic: "t", partition: 0, at, isolation, leaderEpoch: -1 },
      ]);
      return found!.ok ? found!.value.offset : found!.error.code;
    };
    expect(await query("latest", "read_committed")).toBe(1);
    expect(await query("latest", "read_uncommitted")).toBe(3);
    expect(await query({ timestampMs: rig.test.wallMs + 1 }, "read_committed")).toBe(-1);
    expect(await query({ timestampMs: rig.test.wallMs + 1 }, "read_uncommitted")).toBe(2);
    expect(await query("max_timestamp", "read_committed")).toBe(0);
    const { result } = await fetchCommitted(rig, 1, 1000);
    expect(result).toMatchObject({ lastStableOffset: 1, highWatermark: 3, sizeBytes: 0 });
    // Below the log's end, and past what is stable: nothing, and no refusal.
    expect((await fetchCommitted(rig, 2, 1000)).result.sizeBytes).toBe(0);
    await rig.close();
  });

  test("wakes a parked read_committed fetch when it moves", async () => {
    const rig = await LogRig.open(storageMemory(), OPTIONS);
    const a = new Producer(1);
    await send(rig, a.batch(["x"]));
    const parked = rig.api.fetch(caller, {
      isolation: "read_committed",
      waitMsMax: 60_000,
      bytesMin: 1,
      bytesMax: 1000,
      partitions: [{ topic: "t", partition: 0, fetchOffset: 0, bytesMax: 1000, leaderEpoch: -1 }],
    });
    await end(rig, a.marker(false));
    const response = await parked;
    const [outcome] = response.partitions;
    expect(outcome).toMatchObject({
      ok: true,
      value: { lastStableOffset: 2, abortedTransactions: [{ producerId: 1, firstOffset: 0 }] },
    });
    response.release();
    await rig.close();
  });

  test("is the log's start where records are deleted from under an open transaction", async () => {
    const rig = await LogRig.open(storageMemory(), OPTIONS);
    const a = new Producer(1);
    await send(rig, a.batch(["x", "y", "z"]));
    const { id } = OPTIONS.topics![0]!;
    expect(await rig.logs.deleteRecords(id, 0, 2)).toMatchObject({ ok: true });
    expect(logOf(rig).lastStableOffset).toBe(2);
    await end(rig, a.marker(false));
    const fetched = await fetchCommitted(rig, 2, 1000);
    expect(visibleIn(fetched)).toEqual([]);
    expect(fetched.result.abortedTransactions).toMatchObject([{ producerId: 1, firstOffset: 0 }]);
    await rig.close();
  });
});

describe("transactional batches", () => {
  test("without anybody who knows of transactions are refused, as are those without a producer", async () => {
    const { gate: _, ...without } = OPTIONS;
    const rig = await LogRig.open(storageMemory(), without);
    expect(await send(rig, new Producer(1).batch(["x"]))).toMatchObject({
      error: { code: "invalid_txn_state" },
    });
    await rig.close();
    const other = await LogRig.open(storageMemory(), OPTIONS);
    expect(await send(other, batchOf(["x"], { isTransactional: true }))).toMatchObject({
      error: { code: "invalid_record" },
    });
    expect(await send(other, batchOf(["x"], { isControl: true }))).toMatchObject({
      error: { code: "invalid_record" },
    });
    await other.close();
  });

  test("make an older Millrace refuse the folder", async () => {
    const rig = await LogRig.open(storageMemory(), OPTIONS);
    await rig.append(batchOf(["x"]));
    expect(rig.logs.journal.active.formatVersion).toBe(1);
    await send(rig, new Producer(1).batch(["x"]));
    expect(rig.logs.journal.active.formatVersion).toBe(3);
    await rig.close();
  });

  test("a batch that is not, in an open transaction, is refused", async () => {
    const rig = await LogRig.open(storageMemory(), OPTIONS);
    const a = new Producer(1);
    await send(rig, a.batch(["x"]));
    expect(await rig.append(a.batch(["y"], false))).toMatchObject({
      error: { code: "invalid_txn_state" },
    });
    await rig.close();
  });
});

interface Life {
  readonly random: SeededRandom;
  readonly model: TransactionModel;
  readonly producers: Producer[];
  readonly plain: { count: number };
}

/** Compares everything a reader can be told with the model. */
async function compare(rig: LogRig, { model, random }: Life): Promise<void> {
  const log = logOf(rig);
  const { logStartOffset, highWatermark } = log;
  expect(highWatermark).toBe(model.endOffset);
  const stable = model.lastStableOffset(highWatermark, logStartOffset);
  expect(log.lastStableOffset).toBe(stable);
  const sizes = [1, 300, 2000, 100_000];
  expect(await readCommitted(rig, logStartOffset, sizes[random.below(4)])).toEqual(
    model.committed(logStartOffset, stable),
  );
  for (let i = 0; i < 6 && stable > logStartOffset; i++) {
    const offset = logStartOffset + random.below(stable - logStartOffset);
    const fetched = await fetchCommitted(rig, offset, sizes[random.below(4)]!);
    const told = fetched.result.abortedTransactions.map(({ producerId, firstOffset }) => ({
      producerId,
      firstOffset,
    }));
    const wanted = model.aborted(offset, fetched.endOffset);
    if (fetched.endOffset === offset) throw new Error(`nothing at ${offset} below ${stable}`);
    expect([offset, fetched.endOffset, told]).toEqual([offset, fetched.endOffset, wanted]);
  }
  const open = new Map(
    model
      .transactions()
      .filter(({ lastOffset }) => lastOffset === Number.POSITIVE_INFINITY)
      .map(({ producerId, firstOffset }) => [producerId, firstOffset]),
  );
  const { id } = OPTIONS.topics![0]!;
  for (const active of rig.logs.activeProducers(id, 0)!) {
    expect(active.currentTransactionStartOffset).toBe(open.get(active.producerId) ?? -1);
    open.delete(active.producerId);
  }
  expect([...open]).toEqual([]);
}

async function step(rig: LogRig, { model, random, producers, plain }: Life): Promise<void> {
  const producer = producers[random.below(producers.length)]!;
  const values = Array.from({ length: 1 + random.below(3) }, () =>
    `${plain.count++}`.padEnd(10 + random.below(200), "v"),
  );
  const draw = random.below(10);
  const log = logOf(rig);
  const at = log.logEndOffset;
  if (draw < 3) {
    await rig.append(batchOf(values));
    model.add(-1, "plain", at, values);
  } else if (draw < 8) {
    const outcome = await send(rig, producer.batch(values));
    if (!outcome.ok) throw new Error(`${outcome.error.code} ${outcome.error.message}`);
    expect(outcome.value.baseOffset).toBe(at);
    model.add(producer.id, "data", at, values);
  } else {
    const isCommit = random.below(2) === 0;
    // Of the first protocol as well: the epoch stays, and sequences go on.
    const marker = producer.marker(isCommit, random.below(3) === 0 ? 1 : 2);
    expect(await end(rig, marker)).toBe(at);
    model.add(producer.id, isCommit ? "commit" : "abort", at);
  }
}

async function live(seed: number, steps: number): Promise<Set<string>> {
  const random = SeededRandom.of(`transactions ${seed}`);
  const life: Life = {
    random,
    model: new TransactionModel(),
    producers: [11, 12, 13, 14].map((id) => new Producer(id)),
    plain: { count: 0 },
  };
  const plugin = storageMemory();
  let rig = await LogRig.open(plugin, OPTIONS);
  const seen = new Set<string>();
  for (let i = 1; i <= steps; i++) {
    await step(rig, life);
    const draw = random.below(60);
    if (draw < 4) await rig.logs.maintain(false);
    else if (draw === 4) {
      const log = logOf(rig);
      const start = log.logStartOffset + random.below(30);
      if (start <= log.highWatermark) {
        await rig.logs.deleteRecords(OPTIONS.topics![0]!.id, 0, start);
        seen.add("deleted");
      }
    } else if (draw === 5) {
      if (random.below(2) === 0) await rig.close();
      else plugin.loseUnsynced();
      rig = await LogRig.open(plugin, OPTIONS);
      seen.add("restarted");
    } else if (draw < 12) await compare(rig, life);
    const log = logOf(rig);
    if (log.segments.some(({ abortedCount }) => abortedCount > 0)) seen.add("aborted in files");
    if ((log.transactions?.aborted.count ?? 0) > 0) seen.add("aborted in the journal");
    const errors = rig.test.lines.filter(({ level }) => level === "error");
    expect(errors).toEqual([]);
    expect(rig.test.events("aborted_index_rebuilt")).toEqual([]);
  }
  await compare(rig, life);
  await rig.close();
  return seen;
}

describe("random transactions", () => {
  test("are seen as the model says, whatever is settled, deleted and started again", async () => {
    const seeds = Number(process.env["MILLRACE_TEST_SEEDS"] ?? 4);
    const seen = new Set<string>();
    for (let seed = 0; seed < seeds; seed++) {
      try {
        for (const each of await live(seed, 600)) seen.add(each);
      } catch (error) {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : error}`);
      }
    }
    expect([...seen].sort()).toEqual([
      "aborted in files",
      "aborted in the journal",
      "deleted",
      "restarted",
    ]);
  }, 3_600_000);
});

describe("recovery of transactions", () => {
  test("a journal cut at any byte: what is open and what was aborted is what its whole batches say", async () => {
    const random = SeededRandom.of("cuts");
    const life: Life = {
      random,
      model: new TransactionModel(),
      producers: [11, 12, 13].map((id) => new Producer(id)),
      plain: { count: 0 },
    };
    const plugin = storageMemory();
    const options = { ...OPTIONS, journalFileBytes: 1024 * 1024, grownBytes: 1 << 30 };
    const rig = await LogRig.open(plugin, options);
    const ends: { file: number; position: number }[] = [];
    for (let i = 0; i < 25; i++) {
      await step(rig, life);
      const { number, endPosition } = rig.logs.journal.active;
      ends.push({ file: number, position: endPosition });
    }
    // The first transactional batch begins the file that it lies in.
    const { number, file } = rig.logs.journal.active;
    const name = `journal/${String(number).padStart(10, "0")}.log`;
    const bytes = new Uint8Array(file!.sizeBytes);
    await file!.readInto(bytes, 0);
    const whole = life.model.entries;
    const begun = ends.findIndex((end) => end.file === number);
    expect(whole.length - begun).toBeGreaterThan(15);
    plugin.loseUnsynced();
    for (let cut = bytes.length; cut >= 64; cut -= cut % 7 === 0 ? 1 : 3) {
      const storage = await plugin.open({ runtime: rig.test.runtime, brokerId: 1 });
      const journal = await storage.segments!.open(name, { create: false });
      await journal.truncate(0);
      await journal.append([bytes.subarray(0, cut)]);
      await journal.sync();
      await journal.close();
      await storage.close();
      const again = await LogRig.open(plugin, options);
      const count = begun + ends.slice(begun).filter(({ position }) => position <= cut).length;
      life.model.entries = whole.slice(0, count);
      await compare(again, life);
      plugin.loseUnsynced();
    }
  }, 60_000);
});

/** A log with aborted transactions in several settled segments. */
async function settledLog() {
  const plugin = storageMemory();
  const rig = await LogRig.open(plugin, OPTIONS);
  const life: Life = {
    random: SeededRandom.of("settled"),
    model: new TransactionModel(),
    producers: [11, 12, 13].map((id) => new Producer(id)),
    plain: { count: 0 },
  };
  for (let i = 0; i < 300; i++) {
    await step(rig, life);
    if (i % 20 === 0) await rig.logs.maintain(false);
  }
  await rig.logs.maintain(false);
  const aborted = logOf(rig).segments.filter(({ abortedCount }) => abortedCount > 0);
  expect(aborted.length).toBeGreaterThan(2);
  return { plugin, rig, life };
}

describe("the files of what was aborted", () => {
  test("lie beside their segments, and go with them", async () => {
    const { plugin, rig } = await settledLog();
    const list = async () => {
      const storage = await plugin.open({ runtime: rig.test.runtime, brokerId: 1 });
      const files = await storage.segments!.list("segments/");
      await storage.close();
      return files.filter(({ name }) => name.endsWith(".aborted"));
    };
    const log = logOf(rig);
    const counts = log.segments.map(({ abortedCount }) => abortedCount).filter((n) => n > 0);
    const { id } = OPTIONS.topics![0]!;
    const middle = log.segments[Math.floor(log.segments.length / 2)]!.baseOffset;
    await rig.close();
    expect((await list()).map(({ sizeBytes }) => sizeBytes)).toEqual(counts.map((n) => n * 36));
    const again = await LogRig.open(plugin, OPTIONS);
    await again.logs.deleteRecords(id, 0, middle);
    const left = logOf(again).segments.filter(({ abortedCount }) => abortedCount > 0).length;
    expect(left).toBeLessThan(counts.length);
    await again.close();
    expect((await list()).length).toBe(left);
    const last = await LogRig.open(plugin, OPTIONS);
    await last.logs.topicDeleted(OPTIONS.topics![0]!);
    await last.close();
    expect(await list()).toEqual([]);
  });

  for (const [name, damage] of [
    ["gone", null],
    ["cut", (bytes: Uint8Array) => bytes.subarray(0, bytes.length - 5)],
    ["emptied", () => new Uint8Array(0)],
    [
      "flipped",
      (bytes: Uint8Array) => {
        bytes[9]! ^= 1;
        return bytes;
      },
    ],
    [
      "those of another segment",
      (bytes: Uint8Array) =>
        encodeAborted(
          decodeAborted(bytes)!.map(({ producerId, ...offsets }) => ({
            producerId,
            firstOffset: offsets.firstOffset + 1_000_000,
            lastOffset: offsets.lastOffset + 1_000_000,
            lastStableOffset: offsets.lastStableOffset + 1_000_000,
          })),
        ),
    ],
  ] as const) {
    test(`are made again from the log when they are ${name}`, async () => {
      const { plugin, rig, life } = await settledLog();
      await rig.close();
      const storage = await plugin.open({ runtime: rig.test.runtime, brokerId: 1 });
      for (const { name: file, sizeBytes } of await storage.segments!.list("segments/")) {
        if (!file.endsWith(".aborted")) continue;
        if (damage === null) {
          await storage.segments!.remove(file);
          continue;
        }
        const opened = await storage.segments!.open(file, { create: false });
        const bytes = new Uint8Array(sizeBytes);
        await opened.readInto(bytes, 0);
        await opened.truncate(0);
        await opened.append([damage(bytes)]);
        await opened.sync();
        await opened.close();
      }
      await storage.close();
      const again = await LogRig.open(plugin, OPTIONS);
      await compare(again, life);
      expect(again.test.events("aborted_index_rebuilt").length).toBeGreaterThan(0);
      // It goes on from there.
      for (let i = 0; i < 60; i++) await step(again, life);
      await again.logs.maintain(false);
      await compare(again, life);
      expect(again.test.events("aborted_index_lost")).toEqual([]);
      await again.close();
      const last = await LogRig.open(plugin, OPTIONS);
      await compare(last, life);
      await last.close();
    });
  }
});

describe("files of what was aborted that are made again", () => {
  test("lose nothing of what is settled meanwhile, for whoever asks", async () => {
    for (let seed = 0; seed < 12; seed++) {
      const { plugin, rig, life } = await settledLog();
      await rig.close();
      const storage = await plugin.open({ runtime: rig.test.runtime, brokerId: 1 });
      for (const { name } of await storage.segments!.list("segments/")) {
        if (name.endsWith(".aborted")) await storage.segments!.remove(name);
      }
      await storage.close();
      const slow = SeededRandom.of(`slow ${seed}`);
      const delayed = hookedStorage(plugin, (_call, name) =>
        name.includes("segments/") && slow.below(2) === 0 ? settle() : undefined,
      );
      const again = await LogRig.open(delayed, OPTIONS);
      const { logStartOffset, lastStableOffset } = logOf(again);
      const readers = Array.from({ length: 8 }, async () => {
        for (let i = 0; i < 6; i++) {
          const span = lastStableOffset - logStartOffset;
          await fetchCommitted(again, logStartOffset + slow.below(span), 2000);
        }
      });
      for (let i = 0; i < 40; i++) {
        await step(again, life);
        if (i % 8 === 7) await again.logs.maintain(false);
      }
      await Promise.all(readers);
      await compare(again, life);
      expect(again.test.lines.filter(({ level }) => level === "error")).toEqual([]);
      await again.close();
    }
  }, 60_000);
});

describe("a marker", () => {
  test("is Kafka's, byte for byte, and stamped where the topic stamps", async () => {
    const rig = await LogRig.open(storageMemory(), {
      ...OPTIONS,
      topics: [topic("t", 1, { "message.timestamp.type": "LogAppendTime" })],
    });
    const a = new Producer(7);
    await send(rig, a.batch(["x"]));
    await end(rig, a.marker(true));
    const { bytes } = await fetchCommitted(rig, 0, 1000);
    const marker = batchesIn(bytes).batches.at(-1)!;
    expect(marker).toMatchObject({
      isControl: true,
      isTransactional: true,
      isLogAppendTime: true,
      producerId: 7,
      producerEpoch: 1,
      baseSequence: -1,
      recordCount: 1,
      baseOffset: 1,
    });
    expect(marker.check()).toBeNull();
    expect(marker.maxTimestampMs).toBe(rig.test.wallMs);
    await rig.close();
  });
});
