// Seeded lives of a log whose policy, leader epoch and clock change while it is cleaned: what is read says the epoch, the time
// and the headers that were written, and look-ups by time find what a search through all that is left finds.

import { describe, expect, test } from "bun:test";
import process from "node:process";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import { findOffset } from "../../../src/core/log/offset_lookup.ts";
import { CODECS } from "../../../src/record/compression.ts";
import { batchesIn } from "../../../src/record/record_batch.ts";
import { readRecords } from "../../../src/record/record_reader.ts";
import { hostCompression } from "../../../src/runtime/compression.ts";
import { keyedBatch, logOf } from "../../support/compacted_log.ts";
import { LogRig, topic } from "../../support/log_rig.ts";
import { isFullTestRun } from "../../support/test_scale.ts";

const POLICIES = ["compact", "compact,delete", "delete"];
const OPEN = { compression: hostCompression, sizeBytesMax: 1 << 24 };

interface Written {
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly header: string;
  readonly timestampMs: number;
  readonly leaderEpoch: number;
}

const decoder = new TextDecoder();
const textOf = (bytes: Uint8Array | null) => (bytes === null ? null : decoder.decode(bytes));

class Life {
  readonly written: Written[] = [];
  readonly counts = { cleaned: 0, restarts: 0, epochs: 0 };
  readonly #random: SeededRandom;
  readonly #memory = storageMemory();
  readonly #seed: number;
  rig!: LogRig;
  #policy: string;
  #leaderEpoch = 0;
  #start = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = SeededRandom.of(`lives ${seed}`);
    this.#policy = POLICIES[seed % 3]!;
  }

  get #hasAppendTime(): boolean {
    return this.#seed % 4 === 1;
  }

  #image() {
    const configs = {
      "cleanup.policy": this.#policy,
      "internal.segment.bytes": "6000",
      "min.cleanable.dirty.ratio": "0.01",
      "delete.retention.ms": "5000",
      "retention.ms": "-1",
      "index.interval.bytes": "300",
      "message.timestamp.type": this.#hasAppendTime ? "LogAppendTime" : "CreateTime",
    };
    return { ...topic("t", 1, configs), leaderEpoch: this.#leaderEpoch };
  }

  async open(): Promise<void> {
    const test = this.rig === undefined ? {} : { test: this.rig.test };
    this.rig = await LogRig.open(this.#memory, {
      ...test,
      topics: [this.#image()],
      journalFileBytes: 32 * 1024,
      journalBytesMax: 64 * 1024,
      cleaner: { keysBytesMax: this.#seed % 5 === 0 ? 4000 : 1 << 20 },
    });
  }

  async step(): Promise<void> {
    const { rig } = this;
    const random = this.#random;
    rig.test.wallMs += random.below(50);
    const draw = random.below(100);
    if (draw < 74) await this.#append();
    else if (draw < 80) await Promise.all([this.#clean(), this.check()]);
    else if (draw < 85) await this.#clean();
    else if (draw < 88) await rig.logs.maintain(true);
    else if (draw < 91) {
      this.#leaderEpoch += 1 + random.below(2);
      this.counts.epochs++;
      rig.logs.topicChanged(this.#image(), rig.logs.topicNamed("t")!.context.settings);
    } else if (draw < 94) await this.#deleteRecords();
    else if (draw < 97) await this.#restart();
    else rig.test.wallMs += 4000;
  }

  async #append(): Promise<void> {
    const random = this.#random;
    const isLarge = random.below(60) === 0;
    const entries = Array.from({ length: 1 + random.below(5) }, () => {
      const value = `${random.below(1000)}`.padEnd(isLarge ? 90_000 : 20 + random.below(200), "v");
      const hasKey = this.#policy !== "delete" || random.below(4) > 0;
      return {
        key: hasKey ? `${random.below(30)}` : null,
        value: random.below(7) === 0 ? null : value,
      };
    });
    const codec = CODECS[random.below(CODECS.length)]!;
    const timestampMs = this.rig.test.wallMs - random.below(3000);
    const answer = await this.rig.append(keyedBatch(entries, { timestampMs, codec }));
    if (!answer.ok) throw new Error(answer.error.code);
    const { logAppendTimeMs } = answer.value;
    for (const [i, entry] of entries.entries()) {
      this.written.push({
        ...entry,
        offset: this.written.length,
        header: `${i}`,
        timestampMs: this.#hasAppendTime ? logAppendTimeMs : timestampMs + i,
        leaderEpoch: this.#leaderEpoch,
      });
    }
  }

  async #clean(): Promise<void> {
    this.counts.cleaned += await this.rig.logs.clean();
  }

  async #deleteRecords(): Promise<void> {
    if (this.#policy === "compact") return;
    const { logs } = this.rig;
    const to = this.#start + this.#random.below(this.written.length - this.#start + 1);
    const cleaning = this.#clean();
    const outcome = await logs.deleteRecords(logs.topicNamed("t")!.id, 0, to);
    if (!outcome.ok) throw new Error(outcome.code);
    this.#start = to;
    await cleaning;
  }

  /** With another policy, after a stop or a loss of power. */
  async #restart(): Promise<void> {
    this.counts.restarts++;
    this.#policy = POLICIES[this.#random.below(POLICIES.length)]!;
    if (this.#random.below(2) === 0) await this.rig.close();
    else this.#memory.loseUnsynced();
    await this.open();
    expect(logOf(this.rig).logEndOffset).toBe(this.written.length);
    await this.check();
  }

  async #readAll(): Promise<Written[]> {
    const found: Written[] = [];
    const bytesMax = [1, 5000, 200_000][this.#random.below(3)]!;
    for (let next = this.#start; ; ) {
      const response = await this.rig.fetch(next, { bytesMax });
      const outcome = response.partitions[0]!;
      if (!outcome.ok) throw new Error(`${outcome.error.code} at ${next}`);
      const { sizeBytes, highWatermark, batches } = outcome.value;
      if (sizeBytes === 0 && next < highWatermark) throw new Error(`nothing at ${next}`);
      for (const batch of batches.flatMap((bytes) => batchesIn(bytes).batches)) {
        // Also of a header alone: the mark that stands there on disk is never seen.
        expect(batch.leaderEpoch).toBe(this.written[batch.baseOffset]!.leaderEpoch);
        const { records, fault } = readRecords(batch, OPEN);
        if (fault !== null) throw new Error(fault);
        for (const { offset, timestampMs, key, value, headers } of records) {
          if (offset < next) continue;
          const { leaderEpoch } = batch;
          const header = textOf(headers[0]!.value)!;
          const texts = { key: textOf(key), value: textOf(value), header };
          found.push({ ...texts, offset, timestampMs, leaderEpoch });
        }
        next = batch.lastOffset + 1;
      }
      response.release();
      if (sizeBytes === 0) return found;
    }
  }

  async check(): Promise<void> {
    const start = this.#start;
    const found = await this.#readAll();
    const newest = new Map<string, Written>();
    for (const row of found) {
      expect(row).toEqual(this.written[row.offset]!);
      if (row.key !== null) newest.set(row.key, row);
    }
    const table = new Map<string, Written>();
    for (const row of this.written) if (row.key !== null) table.set(row.key, row);
    for (const [key, row] of table) {
      if (row.offset < start) continue;
      const left = newest.get(key)?.value ?? null;
      if (left !== row.value) throw new Error(`${key} is ${left}, written was ${row.value}`);
    }
    const seen = new Set(found.map(({ offset }) => offset));
    const dirtyStart = Math.max(start, logOf(this.rig).cleanedEnd);
    for (let offset = dirtyStart; offset < this.written.length; offset++) {
      if (!seen.has(offset)) throw new Error(`${offset} is gone and was not cleaned`);
    }
    await this.#checkTimes(found);
  }

  async #checkTimes(found: readonly Written[]): Promise<void> {
    if (found.length === 0) return;
    const { reader, segmentFiles } = this.rig.logs;
    const { highWatermark: end } = logOf(this.rig);
    for (let i = 0; i < 4; i++) {
      const at = found[this.#random.below(found.length)]!.timestampMs + this.#random.below(3) - 1;
      const hit = await findOffset(logOf(this.rig), at, end, reader, segmentFiles, OPEN);
      if (typeof hit === "string") throw new Error(hit);
      const wanted = found.find(({ timestampMs }) => timestampMs >= at);
      expect([at, hit?.offset]).toEqual([at, wanted?.offset]);
    }
    const hit = await findOffset(logOf(this.rig), "max", end, reader, segmentFiles, OPEN);
    if (typeof hit === "string") throw new Error(hit);
    expect(hit?.timestampMs).toBe(Math.max(...found.map(({ timestampMs }) => timestampMs)));
  }
}

describe("a log that is cleaned", () => {
  test("keeps epochs, times, headers and its end, whatever its policy was and is", async () => {
    const seeds = Number(process.env["MILLRACE_TEST_SEEDS"] ?? (isFullTestRun ? 60 : 6));
    const sums = { cleaned: 0, restarts: 0, epochs: 0 };
    for (let seed = 0; seed < seeds; seed++) {
      const life = new Life(seed);
      await life.open();
      try {
        for (let step = 0; step < 250; step++) await life.step();
        await life.check();
      } catch (error) {
        throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
      }
      const said = life.rig.test.lines.filter(({ level }) => level === "error");
      expect([seed, said]).toEqual([seed, []]);
      await life.rig.close();
      for (const name of ["cleaned", "restarts", "epochs"] as const) {
        sums[name] += life.counts[name];
      }
    }
    expect(sums.cleaned).toBeGreaterThan(seeds);
    expect(sums.restarts).toBeGreaterThan(seeds);
    expect(sums.epochs).toBeGreaterThan(seeds);
  }, 600_000);
});
