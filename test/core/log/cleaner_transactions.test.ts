// Cleaning of a log with transactions, beside a naive model: a read_committed reader sees the newest committed value of
// every key and nothing that was aborted; markers stay as long as something needs them.

import { describe, expect, test } from "bun:test";
import process from "node:process";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { ok } from "../../../src/base/outcome.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import { CODECS } from "../../../src/record/compression.ts";
import { batchesIn } from "../../../src/record/record_batch.ts";
import {
  compacted,
  doublesIn,
  type Entry,
  keyedBatch,
  logOf,
  type Row,
  rowsIn,
} from "../../support/compacted_log.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { caller, LogRig, type RigOptions } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";
import { isFullTestRun } from "../../support/test_scale.ts";
import {
  fetchCommitted,
  TransactionModel,
  visibleBatches,
} from "../../support/transaction_model.ts";

const GATE = { admit: () => ok(null) };

class Life {
  readonly random: SeededRandom;
  readonly memory = storageMemory();
  readonly model = new TransactionModel();
  readonly rows: Row[] = [];
  readonly producers = [21, 22, 23].map((id) => ({ id, epoch: 0, sequence: 0 }));
  readonly options: RigOptions;
  rig!: LogRig;
  restarts = 0;
  /** Everything before it was acknowledged. */
  ackedEnd = 0;
  /** More than there is memory for make a cleaning end in the middle of a segment. */
  readonly #keys: number;
  #count = 0;

  constructor(seed: number) {
    this.random = SeededRandom.of(`cleaning transactions ${seed}`);
    const configs = {
      "delete.retention.ms": "5000",
      "internal.segment.bytes": `${1500 + this.random.below(4000)}`,
    };
    const cleaner = { keysBytesMax: seed % 3 === 0 ? 3000 : 1 << 20 };
    this.#keys = seed % 3 === 0 ? 300 : 15;
    this.options = { ...compacted(configs), journalBytesMax: 64 * 1024, gate: GATE, cleaner };
  }

  async open(): Promise<void> {
    const slow = SeededRandom.of(`delays ${this.restarts++}`);
    const plugin = hookedStorage(this.memory, (call) => {
      if (call === "open" || call === "list" || slow.below(4) > 0) return undefined;
      return settle();
    });
    const { test } = this.rig ?? {};
    this.rig = await LogRig.open(plugin, {
      ...this.options,
      ...(test === undefined ? {} : { test }),
    });
  }

  async append(): Promise<void> {
    const { random, rig, model } = this;
    const at = logOf(rig).logEndOffset;
    const producer = this.producers[random.below(this.producers.length)]!;
    const draw = random.below(10);
    if (draw >= 8) {
      const isCommit = random.below(2) === 0;
      const verdict = logOf(rig).appendMarker(
        {
          producerId: producer.id,
          producerEpoch: ++producer.epoch,
          coordinatorEpoch: 0,
          isCommit,
          transactionVersion: 2,
        },
        rig.test.wallMs,
      );
      if (verdict.kind !== "appended") throw new Error(verdict.kind);
      producer.sequence = 0;
      model.add(producer.id, isCommit ? "commit" : "abort", at);
      this.rows.push({ offset: at, key: null, value: null, timestampMs: 0 });
      await verdict.group.settled();
      this.ackedEnd = at + 1;
      return;
    }
    const entries: Entry[] = Array.from({ length: 1 + random.below(3) }, () => ({
      key: `${random.below(this.#keys)}`,
      value: random.below(7) === 0 ? null : `${this.#count++}`.padEnd(10 + random.below(150), "v"),
    }));
    const isTransactional = draw >= 3;
    const timestampMs = rig.test.wallMs;
    const batches = keyedBatch(entries, {
      timestampMs,
      codec: CODECS[random.below(CODECS.length)]!,
      ...(isTransactional
        ? {
            isTransactional,
            producerId: producer.id,
            producerEpoch: producer.epoch,
            baseSequence: producer.sequence,
          }
        : {}),
    });
    if (isTransactional) producer.sequence += entries.length;
    const values = entries.map(({ key }) => key!);
    model.add(isTransactional ? producer.id : -1, isTransactional ? "data" : "plain", at, values);
    for (const [i, entry] of entries.entries()) {
      this.rows.push({ ...entry, offset: at + i, timestampMs: timestampMs + i });
    }
    const [outcome] = await rig.api.append(caller, {
      acks: -1,
      timeoutMs: 1000,
      transactionalId: "tx",
      addsToTransaction: true,
      partitions: [{ topic: "t", partition: 0, batches }],
    });
    if (!outcome!.ok) throw new Error(`${outcome!.error.code} ${outcome!.error.message}`);
    this.ackedEnd = at + entries.length;
  }

  /** What a read_committed reader sees; held against the model. */
  async check(): Promise<Row[]> {
    const { rig, model, random } = this;
    const stable = logOf(rig).lastStableOffset;
    const seen: Row[] = [];
    const bytesMax = [1, 2000, 100_000][random.below(3)]!;
    for (let next = 0; next < stable; ) {
      const fetched = await fetchCommitted(rig, next, bytesMax);
      if (fetched.endOffset === next) throw new Error(`nothing at ${next}, below ${stable}`);
      for (const batch of visibleBatches(fetched)) seen.push(...rowsIn(batch.view()));
      next = fetched.endOffset;
    }
    const committed = new Set(
      model.committed(0, logOf(rig).logEndOffset).map(({ offset }) => offset),
    );
    const newest = new Map<string, Row>();
    for (const row of seen) {
      if (!committed.has(row.offset)) throw new Error(`${row.offset} was aborted, and is seen`);
      const written = this.rows[row.offset]!;
      expect(row).toEqual(written);
      newest.set(row.key!, row);
    }
    const wanted = new Map<string, Row>();
    for (const { offset } of model.committed(0, stable)) {
      const row = this.rows[offset]!;
      wanted.set(row.key!, row);
    }
    for (const [key, row] of wanted) {
      const value = newest.get(key)?.value ?? null;
      if (value !== row.value) {
        throw new Error(`${key} is ${value}, and was committed as ${row.value} at ${row.offset}`);
      }
    }
    return seen;
  }

  /** Batches as they lie in the log. */
  async batches() {
    const found = [];
    for (let next = 0; next < logOf(this.rig).highWatermark; ) {
      const response = await this.rig.fetch(next);
      const [outcome] = response.partitions;
      if (!outcome!.ok) throw new Error(outcome!.error.code);
      const bytes = outcome!.value.batches[0]!.slice();
      response.release();
      found.push(...batchesIn(bytes).batches);
      next = found.at(-1)!.lastOffset + 1;
    }
    return found;
  }
}

/** A transaction of which a batch is left has its marker. */
async function checkMarkers(life: Life): Promise<void> {
  const left = await life.batches();
  const offsets = new Set(left.filter(({ isControl }) => isControl).map((each) => each.baseOffset));
  for (const { producerId, firstOffset, lastOffset } of life.model.transactions()) {
    if (lastOffset === Number.POSITIVE_INFINITY || offsets.has(lastOffset)) continue;
    const batch = left.find(
      (each) =>
        each.producerId === producerId &&
        each.baseOffset >= firstOffset &&
        each.baseOffset < lastOffset,
    );
    if (batch !== undefined) {
      throw new Error(
        `the marker at ${lastOffset} is gone, and the batch at ${batch.baseOffset} is not`,
      );
    }
  }
}

async function walk(seed: number, steps: number): Promise<Record<string, number>> {
  const life = new Life(seed);
  const { random } = life;
  const counts: Record<string, number> = { cleaned: 0, aborted: 0, markersGone: 0, restarts: 0 };
  await life.open();
  for (let step = 0; step < steps; step++) {
    const draw = random.below(100);
    if (draw < 76) await life.append();
    else if (draw < 80) life.rig.test.wallMs += random.below(4000);
    else if (draw < 84) {
      const cleaning = life.rig.logs.clean();
      await Promise.all([life.check(), life.check(), life.rig.logs.maintain(false)]);
      await life.append();
      counts["cleaned"]! += await cleaning;
      await life.check();
    } else if (draw < 90) counts["cleaned"]! += await life.rig.logs.clean();
    else if (draw < 94) await life.rig.logs.maintain(true);
    else if (draw < 98) {
      await life.check();
      await checkMarkers(life);
    } else {
      counts["restarts"]!++;
      if (random.below(2) === 0) await life.rig.close();
      else {
        const cleaning = life.rig.logs.clean();
        for (let turn = random.below(30); turn > 0; turn--) await Promise.resolve();
        life.memory.loseUnsynced();
        await cleaning;
        await settle();
        // What the dead one could not read any more is of no account.
        life.rig.test.lines.length = 0;
      }
      await life.open();
      await life.check();
    }
    const bad = life.rig.test.lines.find(
      ({ level, event }) =>
        level === "error" && !["log_directory_offline", "log_read_failed"].includes(event),
    );
    if (bad !== undefined) throw new Error(`${bad.event} ${JSON.stringify(bad.fields)}`);
    life.rig.test.lines.length = 0;
  }
  // All ends, and time enough passes for what is not needed to go.
  for (const producer of life.producers) {
    const at = logOf(life.rig).logEndOffset;
    const verdict = logOf(life.rig).appendMarker(
      {
        producerId: producer.id,
        producerEpoch: producer.epoch + 1,
        coordinatorEpoch: 0,
        isCommit: false,
        transactionVersion: 2,
      },
      life.rig.test.wallMs,
    );
    if (verdict.kind === "appended") await verdict.group.settled();
    life.model.add(producer.id, "abort", at);
    life.rows.push({ offset: at, key: null, value: null, timestampMs: 0 });
  }
  const markers = life.model.entries.filter(({ kind }) => kind === "abort" || kind === "commit");
  for (let round = 0; round < 4; round++) {
    logOf(life.rig).roll(life.rig.test.wallMs);
    // A part at a time, where not all keys fit.
    while ((await life.rig.logs.clean()) > 0) counts["cleaned"]!++;
    life.rig.test.wallMs += 6000;
    // Nothing is dirty without it.
    const value = "x".repeat(1500);
    const at = logOf(life.rig).logEndOffset;
    const timestampMs = life.rig.test.wallMs;
    await life.rig.append(keyedBatch([{ key: "filler", value }], { timestampMs }));
    life.model.add(-1, "plain", at, ["filler"]);
    life.rows.push({ offset: at, key: "filler", value, timestampMs });
  }
  const { cleanedEnd } = logOf(life.rig);
  const rows = await life.check();
  await checkMarkers(life);
  if (doublesIn(rows, cleanedEnd).length > 0) throw new Error(`keys twice before ${cleanedEnd}`);
  const left = (await life.batches()).filter(({ baseOffset }) => baseOffset < cleanedEnd);
  const hidden = life.model.transactions().filter(({ isAborted }) => isAborted);
  for (const batch of left) {
    const isAborted =
      batch.isTransactional &&
      !batch.isControl &&
      hidden.some(
        ({ producerId, firstOffset, lastOffset }) =>
          producerId === batch.producerId &&
          firstOffset <= batch.baseOffset &&
          batch.lastOffset < lastOffset,
      );
    if (isAborted) {
      counts["aborted"]!++;
      expect(batch.recordCount).toBe(0);
    }
  }
  counts["markersGone"] = markers.length - left.filter(({ isControl }) => isControl).length;
  // Every aborted record is gone, and so is what the index said of it.
  const indexed = logOf(life.rig).segments.reduce((sum, each) => sum + each.abortedCount, 0);
  expect(indexed).toBeLessThanOrEqual(3);
  await life.rig.close();
  const again = await LogRig.open(life.memory, life.options);
  life.rig = again;
  expect((await life.check()).length).toBe(rows.length);
  expect(again.test.events("orphan_removed")).toEqual([]);
  await again.close();
  return counts;
}

describe("random cleaning of transactions", () => {
  test("agrees with the model", async () => {
    const seeds = Number(process.env["MILLRACE_TEST_SEEDS"] ?? 6);
    const total: Record<string, number> = {};
    for (let seed = 0; seed < seeds; seed++) {
      try {
        for (const [what, count] of Object.entries(await walk(seed, 400))) {
          total[what] = (total[what] ?? 0) + count;
        }
      } catch (error) {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : error}`);
      }
    }
    for (const what of ["cleaned", "restarts", "markersGone"]) {
      expect([what, (total[what] ?? 0) > 0]).toEqual([what, true]);
    }
  }, 3_600_000);
});

/** Loses power at the storage call of that number since the first cleaning began. Null when there are not so many. */
async function crashedAt(call: number): Promise<string | null> {
  const life = new Life(1);
  let hasCleaned = false;
  let isOver = false;
  let count = 0;
  let crashedIn: string | null = null;
  const plugin = hookedStorage(life.memory, (what, name) => {
    if (crashedIn !== null) return new Promise<void>(() => {});
    if (!hasCleaned || isOver || count++ < call) return undefined;
    crashedIn = `${what} ${name}`;
    life.memory.loseUnsynced();
    return new Promise<void>(() => {});
  });
  life.rig = await LogRig.open(plugin, life.options);
  const run = async () => {
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 40; i++) await life.append();
      hasCleaned = true;
      await life.rig.logs.clean();
      life.rig.test.wallMs += 3000;
      await life.rig.logs.maintain(false);
    }
  };
  const running = run().finally(() => {
    isOver = true;
  });
  running.catch(() => {});
  while (!isOver && crashedIn === null) await settle();
  if (crashedIn === null) {
    await running;
    await life.rig.close();
    return null;
  }
  await settle();
  life.rig = await LogRig.open(life.memory, life.options);
  const { highWatermark } = logOf(life.rig);
  expect(highWatermark).toBeGreaterThanOrEqual(life.ackedEnd);
  life.model.cut(highWatermark);
  expect(life.model.endOffset).toBe(highWatermark);
  for (const isCleaned of [false, true]) {
    if (isCleaned) await life.rig.logs.clean();
    await life.check();
    await checkMarkers(life);
  }
  const said = life.rig.test.lines.filter(({ level, event }) => {
    return level === "error" || event === "aborted_index_rebuilt";
  });
  expect(said).toEqual([]);
  await life.rig.close();
  life.rig = await LogRig.open(life.memory, life.options);
  await life.check();
  expect(life.rig.test.events("orphan_removed")).toEqual([]);
  await life.rig.close();
  return crashedIn;
}

describe("a crash at a call to storage while a log with transactions is cleaned", () => {
  test("loses nothing, and shows nothing that was aborted, at any of them", async () => {
    const seen = new Set<string>();
    let calls = 0;
    for (let call = 0; ; call += isFullTestRun ? 1 : 4) {
      const crashedIn = await crashedAt(call).catch((error: unknown) => {
        throw new Error(`call ${call}: ${error instanceof Error ? error.stack : error}`);
      });
      if (crashedIn === null) break;
      calls++;
      seen.add(crashedIn.split(" ")[0]!);
    }
    expect(calls).toBeGreaterThan(30);
    expect(seen.has("append")).toBe(true);
    expect(seen.has("sync")).toBe(true);
  }, 3_600_000);
});
