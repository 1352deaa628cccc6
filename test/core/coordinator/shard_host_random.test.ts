// Seeded runs of a shard's host in which everything takes its time: the gate, commits, loads. Whatever the order, no batch
// lies in the log outside of the transaction that it was sent in, what was acknowledged is there, and the shard is what its
// log says.

import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../src/base/prng.ts";
import type { EndMarker } from "../../../src/core/coordinator/runtime/coordinator_log.ts";
import {
  answer,
  type Decision,
  NO_DECISION,
  type Producer,
  type RecordSerde,
  type Shard,
  type TransactionEnd,
} from "../../../src/core/coordinator/runtime/shard.ts";
import { ShardHost } from "../../../src/core/coordinator/runtime/shard_host.ts";
import { type Outcome, refuse } from "../../../src/protocol/errors.ts";
import { readControlBatch } from "../../../src/record/control_record.ts";
import { RecordBatch } from "../../../src/record/record_batch.ts";
import { readRecords } from "../../../src/record/record_reader.ts";
import { hostCompression } from "../../../src/runtime/compression.ts";
import { settle, TestRuntime } from "../../support/test_runtime.ts";
import { ScriptedLog } from "./scripted_log.ts";

const SEEDS = 60;
const STEPS = 150;
const PRODUCERS = 3;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NO_VALUE = new Uint8Array(0);

const serde: RecordSerde<string> = {
  encode: (record) => ({ key: encoder.encode(record), value: NO_VALUE }),
  decode: (key) => decoder.decode(key),
};

/** What is replayed, in order. */
class Diary implements Shard<string> {
  readonly lines: string[] = [];

  replay(record: string, offset: number, producer: Producer | null): void {
    this.lines.push(`${offset} ${record} of ${producer?.producerId ?? "nobody"}`);
  }

  replayEnd({ producerId, isCommit }: TransactionEnd): void {
    this.lines.push(`${isCommit ? "commit" : "abort"} of ${producerId}`);
  }

  loaded(): Decision<string> {
    return NO_DECISION;
  }

  dropped(): void {}
}

/** A producer and what its coordinator knows of it. */
interface Client {
  readonly producerId: number;
  epoch: number;
  /** Of the transaction that is open, or will be with the next batch. */
  transaction: number;
  sent: number;
}

class Run {
  readonly random: SeededRandom;
  readonly test = new TestRuntime();
  readonly log = new ScriptedLog();
  readonly signal = new AbortController().signal;
  readonly clients: Client[] = Array.from({ length: PRODUCERS }, (_, producerId) => {
    return { producerId, epoch: 0, transaction: 0, sent: 0 };
  });
  readonly acknowledged: string[] = [];
  readonly under = new Set<Promise<unknown>>();
  /** Markers, and where each ends in the log. */
  markers: { readonly marker: EndMarker; readonly endOffset: number }[] = [];
  /** Questions that the gate has not answered yet. */
  readonly asked: (() => void)[] = [];
  host = this.newHost();
  shard!: Diary;
  plain = 0;

  constructor(seed: number) {
    this.random = SeededRandom.of(`a host ${seed}`);
    this.log.commitsAtOnce = false;
  }

  newHost(): ShardHost<Diary, string> {
    return new ShardHost({
      log: this.log,
      serde,
      runtime: this.test.runtime,
      makeShard: () => {
        this.shard = new Diary();
        return this.shard;
      },
      codec: () => "none",
      pendingMax: 1000,
    });
  }

  async step(): Promise<void> {
    const { random, log } = this;
    const roll = random.below(100);
    const client = this.clients[random.below(PRODUCERS)]!;
    if (roll < 15) this.write();
    else if (roll < 50) this.writeIn(client);
    else if (roll < 65) this.end(client);
    else if (roll < 80) this.asked.shift()?.();
    else if (roll < 93) log.commit();
    else if (roll < 95) this.fail();
    else if (roll < 97) this.restart();
    else await this.test.advance(10_000);
    if (random.below(2) === 0) await settle();
  }

  write(): void {
    const record = `p${this.plain++}`;
    this.follow(
      record,
      this.host.run<string>(
        (_shard, _now, reply) => ({ records: [record], answers: [answer(reply, record)] }),
        this.signal,
      ),
    );
  }

  writeIn(client: Client): void {
    const { producerId, epoch: producerEpoch, transaction } = client;
    const record = `t${producerId}:${transaction}:${client.sent++}`;
    // A gate knows nothing of which transaction of its epoch a batch is sent in.
    const mayEnter = (): Outcome<null> =>
      client.epoch === producerEpoch ? { ok: true, value: null } : refuse("transaction_abortable");
    const isLate = this.random.below(2) === 0;
    const admit = () => {
      // What the coordinator knows when it is asked.
      const outcome = mayEnter();
      if (!isLate) return outcome;
      return new Promise<Outcome<null>>((resolve) => this.asked.push(() => resolve(outcome)));
    };
    this.follow(
      record,
      this.host.runInTransaction<string>(
        { producer: { producerId, producerEpoch }, admit },
        (_shard, _now, reply) => ({ records: [record], answers: [answer(reply, record)] }),
        this.signal,
      ),
    );
  }

  follow(record: string, outcome: Promise<Outcome<string>>): void {
    const settled = outcome.then((each) => {
      if (each.ok) this.acknowledged.push(record);
    });
    this.under.add(settled);
  }

  /** By the first protocol, or by the second. */
  end(client: Client): void {
    const isSecond = this.random.below(2) === 0;
    const isCommit = this.random.below(2) === 0;
    if (isSecond) client.epoch++;
    client.transaction++;
    this.mark({
      producerId: client.producerId,
      producerEpoch: client.epoch,
      coordinatorEpoch: 0,
      isCommit,
      transactionVersion: isSecond ? 2 : 1,
    });
  }

  mark(marker: EndMarker): void {
    const ended = this.host.endTransaction(marker);
    if (!ended.ok) throw new Error(ended.error.code);
    this.markers.push({ marker, endOffset: ended.value.endOffset });
  }

  /** What is not committed is gone. Ends are written again by their coordinator, which has decided on them. */
  fail(): void {
    this.log.fail();
    const lost = this.markers.filter(({ endOffset }) => endOffset > this.log.highWatermark);
    this.markers = [];
    for (const { marker } of lost) this.mark(marker);
  }

  restart(): void {
    this.host.close();
    this.host = this.newHost();
    this.fail();
    this.host.start();
  }

  /** Until nobody waits for anything. */
  async quiet(): Promise<void> {
    this.log.commitsAtOnce = true;
    for (let i = 0; i < 5; i++) {
      for (const say of this.asked.splice(0)) say();
      this.log.commit();
      await settle();
      // A load that failed is tried again when somebody asks.
      await this.test.advance(10_000);
      this.under.add(
        this.host.run(
          (_shard, _now, reply) => ({ records: [], answers: [answer(reply, "read")] }),
          this.signal,
        ),
      );
    }
    await settle();
    for (const say of this.asked.splice(0)) say();
    await Promise.all(this.under);
  }
}

/** All records by their place, and who wrote them. */
function written(log: ScriptedLog): { lines: string[]; records: string[] } {
  const lines: string[] = [];
  const records: string[] = [];
  for (const bytes of log.batches) {
    const batch = new RecordBatch(bytes, 0, bytes.length);
    if (batch.isControl) {
      const { type } = readControlBatch(batch)!;
      lines.push(`${type === 1 ? "commit" : "abort"} of ${batch.producerId}`);
      continue;
    }
    const rules = { compression: hostCompression, sizeBytesMax: 1 << 20 };
    for (const { key, offset } of readRecords(batch, rules).records) {
      const text = decoder.decode(key!);
      lines.push(`${offset} ${text} of ${batch.isTransactional ? batch.producerId : "nobody"}`);
      records.push(text);
    }
  }
  return { lines, records };
}

describe("a host of which everything takes its time", () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    test(`keeps transactions apart, seed ${seed}`, async () => {
      const run = new Run(seed);
      run.host.start();
      for (let i = 0; i < STEPS; i++) {
        await run.step();
        if (i % 50 === 49) {
          await run.quiet();
          expect(run.shard.lines).toEqual(written(run.log).lines);
          run.log.commitsAtOnce = false;
        }
      }
      await run.quiet();
      const { lines, records } = written(run.log);
      expect(run.shard.lines).toEqual(lines);
      expect(run.acknowledged.filter((each) => !records.includes(each))).toEqual([]);
      expect(run.acknowledged.length).toBeGreaterThan(5);
      for (const { producerId } of run.clients) {
        // What was sent in a transaction lies before what was sent in the next, in order.
        const own = records.filter((each) => each.startsWith(`t${producerId}:`));
        const places = own.map((each) => each.split(":").slice(1).map(Number) as [number, number]);
        const sorted = [...places].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
        expect(places).toEqual(sorted);
        let transaction = -1;
        for (const line of lines) {
          if (/^(commit|abort)/.test(line) && line.endsWith(` of ${producerId}`)) transaction = -1;
          const found = line.match(new RegExp(` t${producerId}:(\\d+):`));
          if (found === null) continue;
          // Between two ends there is one transaction.
          expect([line, transaction === -1 || transaction === Number(found[1])]).toEqual([
            line,
            true,
          ]);
          transaction = Number(found[1]);
        }
      }
      expect(run.test.events("coordinator_defect")).toEqual([]);
      expect(run.test.failures).toEqual([]);
      expect(run.host.pendingCount).toBe(0);
    });
  }
});
