// Programs drawn by seed over a compacted log: batches of all codecs, tombstones, transactions that are committed, aborted
// or left open, segments and memory for keys of any size, restarts, and kills at any call to storage. After each cleaning
// exactly what the naive model says is there, and storage-memory and storage-fs come to the same bytes.

import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { storageFs } from "../../../plugins/storage-fs/mod.ts";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { ok } from "../../../src/base/outcome.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import type { Storage, StoragePlugin } from "../../../src/contracts/storage.ts";
import { CODECS, type Codec } from "../../../src/record/compression.ts";
import { batchesIn, type RecordBatch } from "../../../src/record/record_batch.ts";
import { compacted, keyedBatch, logOf, rowsIn } from "../../support/compacted_log.ts";
import { CompactionModel } from "../../support/compaction_model.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { caller, LogRig, type RigOptions } from "../../support/log_rig.ts";
import { settle, TestRuntime } from "../../support/test_runtime.ts";
import { isFullTestRun } from "../../support/test_scale.ts";
import { fetchCommitted, visibleBatches } from "../../support/transaction_model.ts";

const GATE = { admit: () => ok(null) };
const DELETE_RETENTION_MS = 4000;
/** Memory for keys that is never too little. */
const ROOMY_BYTES = 1 << 20;
const PRODUCERS = [31, 32, 33];

interface Entry {
  readonly key: string;
  readonly value: string | null;
}

/** `killAt`: the process ends at that call to storage, if there are so many. */
type Step =
  | { readonly do: "append"; readonly entries: readonly Entry[]; readonly codec: Codec }
  | {
      readonly do: "send";
      readonly producer: number;
      readonly entries: readonly Entry[];
      readonly codec: Codec;
    }
  | { readonly do: "finish"; readonly producer: number; readonly isCommit: boolean }
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "roll" | "restart" }
  | { readonly do: "clean" | "maintain"; readonly killAt: number | null };

interface Program {
  readonly configs: Readonly<Record<string, string>>;
  readonly keysBytesMax: number;
  readonly journalFileBytes: number;
  readonly journalBytesMax: number;
  readonly steps: readonly Step[];
}

function programOf(seed: number, length: number, kills: boolean): Program {
  const random = SeededRandom.of(`compaction ${seed}`);
  const keys = [5, 30, 200][random.below(3)]!;
  let count = 0;
  const entries = (): Entry[] =>
    Array.from({ length: 1 + random.below(6) }, () => ({
      key: `key ${random.below(keys)}`,
      value: random.below(6) === 0 ? null : `${count++}`.padEnd(5 + random.below(120), "v"),
    }));
  const steps = Array.from({ length }, (): Step => {
    const draw = random.below(100);
    const codec = CODECS[random.below(CODECS.length)]!;
    const producer = random.below(PRODUCERS.length);
    const killAt = kills && random.below(3) === 0 ? random.below(24) : null;
    if (draw < 30) return { do: "append", entries: entries(), codec };
    if (draw < 62) return { do: "send", producer, entries: entries(), codec };
    if (draw < 76) return { do: "finish", producer, isCommit: random.below(2) === 0 };
    if (draw < 82) return { do: "wait", ms: random.below(5000) };
    if (draw < 85) return { do: "roll" };
    if (draw < 87) return { do: "restart" };
    return { do: draw < 97 ? "clean" : "maintain", killAt };
  });
  return {
    configs: {
      "delete.retention.ms": String(DELETE_RETENTION_MS),
      "internal.segment.bytes": String(800 + random.below(6000)),
    },
    keysBytesMax: random.below(3) === 0 ? 1500 : ROOMY_BYTES,
    journalFileBytes: 16 * 1024 + random.below(64 * 1024),
    journalBytesMax: random.below(64 * 1024),
    steps,
  };
}

class Life {
  readonly model = new CompactionModel();
  readonly test = new TestRuntime();
  /** What lay in the log after each cleaning. */
  readonly trace: string[] = [];
  /** The same at the end, without when tombstones may go: that depends on how far a cleaning came before a kill. */
  left = "";
  readonly counts = { cleanings: 0, kills: 0, exact: 0 };
  rig!: LogRig;
  readonly #plugin: StoragePlugin;
  readonly #options: RigOptions;
  readonly #producers = PRODUCERS.map((id) => ({ id, epoch: 0, sequence: 0 }));
  /** Not all keys fit into memory. */
  readonly #isTight: boolean;
  #inner: Storage | null = null;
  #callsLeft = Number.POSITIVE_INFINITY;

  constructor(plugin: StoragePlugin, program: Program) {
    const { configs, keysBytesMax, journalFileBytes, journalBytesMax } = program;
    this.#isTight = keysBytesMax < ROOMY_BYTES;
    this.#options = {
      ...compacted(configs),
      journalFileBytes,
      journalBytesMax,
      grownBytes: 2000,
      gate: GATE,
      cleaner: { keysBytesMax },
      test: this.test,
    };
    const remembering: StoragePlugin = {
      ...plugin,
      open: async (context) => {
        this.#inner = await plugin.open(context);
        return this.#inner;
      },
    };
    this.#plugin = hookedStorage(remembering, () => {
      if (this.#callsLeft-- > 0) return undefined;
      return new Promise<void>(() => {});
    });
  }

  async open(): Promise<void> {
    this.#callsLeft = Number.POSITIVE_INFINITY;
    this.rig = await LogRig.open(this.#plugin, this.#options);
  }

  async run({ steps }: Program): Promise<void> {
    await this.open();
    for (const step of steps) await this.#step(step);
    // Nothing is left to be cleaned, and nothing that waits for time.
    for (const producer of this.#producers.keys()) await this.#finish(producer, producer === 0);
    for (let round = 0; round < 3; round++) {
      await this.#append([{ key: "last", value: `${round}` }], "none");
      logOf(this.rig).roll(this.test.wallMs);
      await this.#clean(null);
      this.test.wallMs += DELETE_RETENTION_MS + 1;
    }
    const orphans = this.test.events("orphan_removed").length;
    await this.rig.close();
    await this.open();
    await this.#check();
    // Kills leave files that no state speaks of, and nothing else does.
    expect(this.test.events("orphan_removed").length).toBe(orphans);
    if (this.counts.kills === 0) expect(orphans).toBe(0);
    await this.rig.close();
  }

  async #step(step: Step): Promise<void> {
    const { rig, test } = this;
    switch (step.do) {
      case "append":
        return await this.#append(step.entries, step.codec);
      case "send":
        return await this.#append(step.entries, step.codec, this.#producers[step.producer]);
      case "finish":
        return await this.#finish(step.producer, step.isCommit);
      case "wait":
        test.wallMs += step.ms;
        return;
      case "roll":
        if ((logOf(rig).segments.at(-1)?.sizeBytes ?? 0) > 0) logOf(rig).roll(test.wallMs);
        return;
      case "restart":
        await rig.close();
        await this.open();
        return await this.#check();
      case "clean":
        return await this.#clean(step.killAt);
      case "maintain":
        await this.#killable(step.killAt, () => rig.logs.maintain(false));
        return;
    }
  }

  async #append(
    entries: readonly Entry[],
    codec: Codec,
    producer?: { id: number; epoch: number; sequence: number },
  ): Promise<void> {
    const timestampMs = this.test.wallMs;
    const of =
      producer === undefined
        ? {}
        : {
            isTransactional: true,
            producerId: producer.id,
            producerEpoch: producer.epoch,
            baseSequence: producer.sequence,
          };
    const batches = keyedBatch(entries, { timestampMs, codec, ...of });
    this.model.append(entries, timestampMs, codec, producer?.id ?? -1);
    const [outcome] = await this.rig.api.append(caller, {
      acks: -1,
      timeoutMs: 1000,
      transactionalId: "tx",
      addsToTransaction: true,
      partitions: [{ topic: "t", partition: 0, batches }],
    });
    // The producer's state has outlived everything so far.
    if (!outcome!.ok) throw new Error(`${outcome!.error.code} ${outcome!.error.message}`);
    if (producer !== undefined) producer.sequence += entries.length;
  }

  async #finish(index: number, isCommit: boolean): Promise<void> {
    const producer = this.#producers[index]!;
    const marker = {
      producerId: producer.id,
      producerEpoch: ++producer.epoch,
      coordinatorEpoch: 0,
      isCommit,
      transactionVersion: 2,
    };
    const verdict = logOf(this.rig).appendMarker(marker, this.test.wallMs);
    if (verdict.kind !== "appended") throw new Error(verdict.kind);
    producer.sequence = 0;
    this.model.finish(producer.id, isCommit);
    await verdict.group.settled();
  }

  async #clean(killAt: number | null): Promise<void> {
    const { model, test } = this;
    const before = logOf(this.rig).cleanedEnd;
    const done = await this.#killable(killAt, () => this.rig.logs.clean());
    if (done === "killed") {
      model.killed(test.wallMs, DELETE_RETENTION_MS);
      return await this.#check();
    }
    const { cleanedEnd } = logOf(this.rig);
    if (done === 0) {
      expect(cleanedEnd).toBe(before);
      return;
    }
    this.counts.cleanings++;
    expect(cleanedEnd).toBeLessThanOrEqual(model.lastStableOffset);
    expect(cleanedEnd).toBeGreaterThan(before);
    model.cleaned(cleanedEnd, test.wallMs, DELETE_RETENTION_MS, this.#isTight);
    if (model.records.every(({ presence }) => presence !== "maybe")) this.counts.exact++;
    await this.#check();
  }

  /** Runs `work`; the process dies at that call to storage. What was written until then is there afterwards. */
  async #killable<T>(killAt: number | null, work: () => Promise<T>): Promise<T | "killed"> {
    if (killAt === null) return await work();
    this.#callsLeft = killAt;
    let done: { readonly value: T } | null = null;
    const running = work().then((value) => {
      done = { value };
    });
    while (done === null && this.#callsLeft >= 0) await settle();
    if (done !== null) {
      this.#callsLeft = Number.POSITIVE_INFINITY;
      return (done as { readonly value: T }).value;
    }
    void running;
    // Calls that had begun come to their end, as those that the kernel has.
    for (let turn = 0; turn < 20; turn++) await settle();
    await this.#inner!.close();
    this.counts.kills++;
    await this.open();
    return "killed";
  }

  async #check(): Promise<void> {
    const { model, rig } = this;
    const digest = createHash("sha256");
    const timeless = createHash("sha256");
    const offsets = new Set<number>();
    for (const batch of await this.#batches()) {
      digest.update(batch.view());
      if (!batch.hasDeleteHorizon) timeless.update(batch.view());
      if (batch.isControl) continue;
      const rows = rowsIn(batch.view());
      timeless.update(JSON.stringify(rows));
      const written = model.records.find(({ offset }) => offset === rows[0]?.offset);
      if (rows.length > 0 && batch.codec !== written?.batch.codec) {
        throw new Error(`the batch at ${batch.baseOffset} is in ${batch.codec}`);
      }
      for (const row of rows) offsets.add(row.offset);
    }
    this.trace.push(`${logOf(rig).cleanedEnd} ${digest.digest("hex")}`);
    this.left = `${logOf(rig).cleanedEnd} ${timeless.digest("hex")}`;
    const wrong = model.wrongIn(offsets);
    if (wrong !== null) throw new Error(wrong);
    await this.#checkCommitted();
  }

  /** What a read_committed reader makes of it is the table of the model. */
  async #checkCommitted(): Promise<void> {
    const { model, rig } = this;
    const byOffset = new Map(model.records.map((record) => [record.offset, record]));
    const seen = new Map<string, string | null>();
    const stable = logOf(rig).lastStableOffset;
    expect(stable).toBe(model.lastStableOffset);
    for (let next = 0; next < stable; ) {
      const fetched = await fetchCommitted(rig, next, 4000);
      if (fetched.endOffset === next) throw new Error(`nothing at ${next}, below ${stable}`);
      for (const batch of visibleBatches(fetched)) {
        for (const { offset, key, value, timestampMs } of rowsIn(batch.view())) {
          const written = byOffset.get(offset);
          if (written?.batch.isAborted !== false) throw new Error(`${offset} was not committed`);
          expect({ key, value, timestampMs }).toEqual({
            key: written.key,
            value: written.value,
            timestampMs: written.timestampMs,
          });
          seen.set(key!, value);
        }
      }
      next = fetched.endOffset;
    }
    for (const [key, { value, offset }] of model.table(stable)) {
      const found = seen.get(key) ?? null;
      if (found !== value) throw new Error(`${key} is ${found}, and was ${value} at ${offset}`);
    }
  }

  async #batches(): Promise<RecordBatch[]> {
    const found: RecordBatch[] = [];
    const { highWatermark } = logOf(this.rig);
    for (let next = 0; next < highWatermark; ) {
      const response = await this.rig.fetch(next);
      const [outcome] = response.partitions;
      if (!outcome!.ok) throw new Error(`${outcome!.error.code} at ${next}`);
      const bytes = outcome!.value.batches[0]?.slice();
      response.release();
      if (bytes === undefined) throw new Error(`nothing at ${next}, below ${highWatermark}`);
      found.push(...batchesIn(bytes).batches);
      next = found.at(-1)!.lastOffset + 1;
    }
    return found;
  }
}

async function lifeOn(plugin: StoragePlugin, program: Program): Promise<Life> {
  const life = new Life(plugin, program);
  await life.run(program);
  const said = life.test.lines.filter(({ level }) => level === "error");
  expect(said).toEqual([]);
  expect(life.test.failures).toEqual([]);
  return life;
}

async function bothAgree(seed: number, kills: boolean) {
  const program = programOf(seed, 160, kills);
  const directory = mkdtempSync(join(tmpdir(), "millrace-compaction-"));
  try {
    const memory = await lifeOn(storageMemory(), program);
    const files = await lifeOn(storageFs({ directory }), program);
    return { memory, files };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

describe("compaction by a naive model, on storage-memory and storage-fs", () => {
  const seeds = Number(process.env["MILLRACE_TEST_SEEDS"] ?? (isFullTestRun ? 60 : 6));
  const first = Number(process.env["MILLRACE_TEST_SEED"] ?? 0);

  test("leaves exactly what it should, and the same bytes on both", async () => {
    let cleanings = 0;
    let exact = 0;
    for (let seed = first; seed < first + seeds; seed++) {
      try {
        const { memory, files } = await bothAgree(seed, false);
        expect(files.trace).toEqual(memory.trace);
        exact += memory.counts.exact;
        cleanings += memory.counts.cleanings;
      } catch (error) {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : error}`);
      }
    }
    expect(cleanings).toBeGreaterThan(5 * seeds);
    // Most of them left nothing open.
    expect(exact).toBeGreaterThan(cleanings / 2);
  }, 3_600_000);

  test("loses nothing and brings nothing back where the process is killed at any call to storage", async () => {
    let kills = 0;
    for (let seed = first; seed < first + seeds; seed++) {
      try {
        const { memory, files } = await bothAgree(1000 + seed, true);
        kills += memory.counts.kills + files.counts.kills;
        // Once all is cleaned and its time has passed, there is one way for it to be.
        expect(files.left).toEqual(memory.left);
      } catch (error) {
        throw new Error(`seed ${1000 + seed}: ${error instanceof Error ? error.stack : error}`);
      }
    }
    expect(kills).toBeGreaterThan(seeds);
  }, 3_600_000);
});
