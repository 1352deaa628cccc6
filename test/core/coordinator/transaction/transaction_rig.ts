// A shard of transactional ids under test: decides, replays and answers as its host does, with a hand-turned clock, a log in
// memory, and partitions that take markers as the test says. Every decision is checked: it may not touch hard state but by its
// records. checkReplay() replays all that was written, through the bytes of Kafka's records, into an empty shard; with
// replayAfterEach() at its top, a file does so for every rig of every test.

import { expect } from "bun:test";
import type { TopicPartition } from "../../../../src/contracts/broker.ts";
import type { LogFields, Logger } from "../../../../src/contracts/runtime.ts";
import type { Decision, Now, Reply } from "../../../../src/core/coordinator/runtime/shard.ts";
import type {
  MarkerWriter,
  TransactionMarker,
} from "../../../../src/core/coordinator/transaction/ports.ts";
import {
  listOf,
  type Transaction,
} from "../../../../src/core/coordinator/transaction/transaction.ts";
import {
  type TransactionRecord,
  transactionRecordSerde,
} from "../../../../src/core/coordinator/transaction/transaction_record.ts";
import type { TransactionSettings } from "../../../../src/core/coordinator/transaction/transaction_settings.ts";
import {
  type Admitted,
  type ProducerIdentity,
  TransactionShard,
} from "../../../../src/core/coordinator/transaction/transaction_shard.ts";
import type { KafkaErrorName, Outcome } from "../../../../src/protocol/errors.ts";
import { refuse } from "../../../../src/protocol/errors.ts";
import { settle } from "../../../support/test_runtime.ts";
import { RigTimers } from "../rig_timers.ts";
import { Asked, canonical, replayedAtEnd } from "../shard_rig.ts";

export const ID = "t";
export const OK: Outcome<null> = { ok: true, value: null };

/** Partitions that take markers: at once, or as the test answers. */
export class RigMarkers implements MarkerWriter {
  /** Every marker, with its partition as "topic/partition"; in the order of the calls. */
  readonly written: { readonly partition: string; readonly marker: TransactionMarker }[] = [];
  /** Topics that lie in another journal. */
  readonly unordered = new Set<string>();
  /** Topics whose markers are answered by `answer`. */
  readonly waits = new Set<string>();
  /** Of unordered topics: whether the decision is committed. */
  isCommitted: () => boolean = () => true;
  /** Called for each marker, when it comes. */
  onWrite: (marker: TransactionMarker, partition: TopicPartition) => void = () => {};
  #waiting: ((outcome: Outcome<null>) => void)[] = [];

  isOrderedWith({ topic }: TopicPartition): boolean {
    return !this.unordered.has(topic);
  }

  write(marker: TransactionMarker, { topic, partition }: TopicPartition) {
    this.onWrite(marker, { topic, partition });
    if (this.unordered.has(topic)) expect(this.isCommitted()).toBe(true);
    this.written.push({ partition: `${topic}/${partition}`, marker });
    if (!this.waits.has(topic)) return null;
    return new Promise<Outcome<null>>((resolve) => this.#waiting.push(resolve));
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Answers all that wait. */
  async answer(outcome: Outcome<null> | KafkaErrorName = OK): Promise<void> {
    const all = this.#waiting;
    this.#waiting = [];
    for (const resolve of all) resolve(typeof outcome === "string" ? refuse(outcome) : outcome);
    await settle();
  }
}

export type MutableSettings = {
  -readonly [K in keyof TransactionSettings]: TransactionSettings[K];
};

export interface Fields {
  readonly producerId?: number;
  readonly producerEpoch?: number;
}

export class TransactionRig {
  shard: TransactionShard;
  timers: RigTimers<TransactionRecord>;
  readonly markers = new RigMarkers();
  readonly settings: MutableSettings;
  readonly records: TransactionRecord[] = [];
  readonly lines: { readonly level: string; readonly event: string; readonly fields: LogFields }[] =
    [];
  wallMs = 1_700_000_000_000;
  monotonicMs = 1_000;
  /** The next fresh producer id; null: none is at hand. */
  nextProducerId: number | null = 100;
  /** False: what is appended waits for `commit`. */
  commitsAtOnce = true;
  #onCommit: (() => void)[] = [];

  constructor(version = 2) {
    this.settings = {
      version,
      idExpirationMs: 604_800_000,
      timeoutCheckMs: 10_000,
      expiryCheckMs: 3_600_000,
    };
    this.timers = new RigTimers(this);
    this.shard = this.#newShard(this.timers);
    this.apply(() => this.shard.loaded(this.now));
    replayedAtEnd(this);
  }

  get now(): Now {
    return { wallMs: this.wallMs, monotonicMs: this.monotonicMs };
  }

  ask<Response>(
    decide: (
      shard: TransactionShard,
      reply: Reply<Response>,
      now: Now,
    ) => Decision<TransactionRecord>,
  ): Asked<Response> {
    const asked = new Asked<Response>();
    this.apply(() => decide(this.shard, asked, this.now));
    return asked;
  }

  /** Runs one decision and what follows from it. @returns the records of all */
  apply(decide: () => Decision<TransactionRecord>): readonly TransactionRecord[] {
    const before = canonical(this.#snapshot(this.shard));
    const isOfThisLife = this.shard;
    const decision = decide();
    expect(canonical(this.#snapshot(this.shard))).toEqual(before);
    const all = [...decision.records];
    for (const record of decision.records) {
      this.records.push(record);
      this.shard.replay(record);
    }
    const commit = () => {
      for (const { reply, response } of decision.answers) (reply as Asked<unknown>).give(response);
      const { follow } = decision;
      if (follow?.after === "committed" && this.shard === isOfThisLife) {
        all.push(...this.apply(() => follow.decide(this.now)));
      }
    };
    const { follow } = decision;
    if (follow?.after === "appended") all.push(...this.apply(() => follow.decide(this.now)));
    if (this.commitsAtOnce) commit();
    else this.#onCommit.push(commit);
    return all;
  }

  commit(): void {
    const all = this.#onCommit;
    this.#onCommit = [];
    for (const each of all) each();
  }

  /** Turns both clocks and runs the timers that become due, in order. */
  advance(byMs: number): readonly TransactionRecord[] {
    const endMs = this.monotonicMs + byMs;
    const written: TransactionRecord[] = [];
    for (let fired = 0; ; fired++) {
      const timer = this.timers.next(endMs);
      if (timer === null) break;
      if (fired > 100_000) throw new Error(`Timers go on for ever: ${timer.key}`);
      this.timers.byKey.delete(timer.key);
      this.wallMs += Math.max(timer.dueMs - this.monotonicMs, 0);
      this.monotonicMs = Math.max(this.monotonicMs, timer.dueMs);
      written.push(...this.apply(() => timer.decide(this.now)));
    }
    this.wallMs += endMs - this.monotonicMs;
    this.monotonicMs = endMs;
    return written;
  }

  /** As after `kill -9`: what was appended is there, soft state, timers and who waits are not. */
  reload(): void {
    this.#onCommit = [];
    this.shard.dropped();
    this.timers = new RigTimers(this);
    this.shard = this.#newShard(this.timers);
    for (const record of this.records) this.shard.replay(reread(record));
    this.apply(() => this.shard.loaded(this.now));
  }

  /** A state that no request of a test could bring about in reasonable time. */
  put(transaction: Partial<Transaction>): void {
    this.apply(() => ({
      records: [
        {
          transactionalId: transaction.transactionalId ?? ID,
          version: 1,
          transaction: {
            transactionalId: ID,
            producerId: 7,
            previousProducerId: 7,
            nextProducerId: -1,
            producerEpoch: 0,
            timeoutMs: 60_000,
            state: "empty",
            partitions: new Map(),
            startMs: -1,
            updatedMs: this.wallMs,
            clientVersion: 0,
            ...transaction,
          },
        },
      ],
      answers: [],
    }));
  }

  /** All that was written, and as the log cleaner leaves it, gives the state that there is. */
  checkReplay(): void {
    const expected = canonical(this.#snapshot(this.shard));
    const last = new Map(this.records.map((record, i) => [record.transactionalId, i]));
    const logs = {
      whole: this.records,
      compacted: this.records.filter((record, i) => last.get(record.transactionalId) === i),
    };
    for (const [log, records] of Object.entries(logs)) {
      const shard = this.#newShard(new RigTimers(this));
      for (const record of records) shard.replay(reread(record));
      expect({ log, state: canonical(this.#snapshot(shard)) }).toEqual({ log, state: expected });
    }
  }

  // Requests in a few words

  init(
    expected: Fields | null = null,
    { transactionalId = ID, timeoutMs = 60_000 } = {},
  ): ProducerIdentity | string {
    const ask = {
      transactionalId,
      timeoutMs,
      expected:
        expected === null
          ? null
          : { producerId: expected.producerId ?? 100, producerEpoch: expected.producerEpoch ?? 0 },
    };
    return told(
      this.ask<Outcome<ProducerIdentity>>((shard, reply, now) =>
        shard.initProducerId(ask, now, reply),
      ).value,
    );
  }

  add(partitions: string | readonly string[], fields: Fields = {}, clientVersion = 0): string {
    const list = (typeof partitions === "string" ? [partitions] : partitions).map(partitionOf);
    const { value } = this.ask<Outcome<null>>((shard, reply, now) =>
      shard.addPartitions(
        { ...this.#producer(fields), partitions: list, clientVersion },
        now,
        reply,
      ),
    );
    return value.ok ? "ok" : value.error.code;
  }

  verify(partitions: readonly string[], fields: Fields = {}): readonly (KafkaErrorName | null)[] {
    const { value } = this.ask<Outcome<readonly (KafkaErrorName | null)[]>>((shard, reply) =>
      shard.verifyPartitions(this.#producer(fields), partitions.map(partitionOf), reply),
    );
    if (!value.ok) throw new Error(value.error.message);
    return value.value;
  }

  admit(partitions: string | readonly string[], adds: boolean, fields: Fields = {}): string {
    const list = typeof partitions === "string" ? [partitions] : partitions;
    let admitted: Admitted | null = null;
    this.apply(() => {
      const { decision, result } = this.shard.admit(
        this.#producer(fields),
        list.map(partitionOf),
        adds,
        this.now,
      );
      admitted = result;
      return decision;
    });
    const { outcome } = admitted as unknown as Admitted;
    return outcome.ok ? "ok" : outcome.error.code;
  }

  askEnd(isCommit: boolean, fields: Fields = {}, clientVersion = 2) {
    return this.ask<Outcome<ProducerIdentity>>((shard, reply, now) =>
      shard.endTransaction({ ...this.#producer(fields), isCommit, clientVersion }, now, reply),
    );
  }

  /** By the newer protocol. */
  end(isCommit: boolean, fields: Fields = {}): ProducerIdentity | string {
    return told(this.askEnd(isCommit, fields, 2).value);
  }

  /** By the older protocol. */
  endOld(isCommit: boolean, fields: Fields = {}): ProducerIdentity | string {
    return told(this.askEnd(isCommit, fields, 0).value);
  }

  /** In a few words: state, producer, partitions. */
  get told(): string {
    const known = this.shard.get(ID);
    if (known === undefined) return "none";
    const partitions = [...listOf(known.partitions)].map(
      (each) => `${each.topic}/${each.partition}`,
    );
    return [`${known.state} ${known.producerId}/${known.producerEpoch}`, ...partitions].join(" ");
  }

  /** The states that were written, in order. */
  get states(): readonly (string | null)[] {
    return this.records.map(({ transaction }) => transaction?.state ?? null);
  }

  #producer(fields: Fields) {
    return { transactionalId: ID, producerId: 100, producerEpoch: 0, ...fields };
  }

  #snapshot(shard: TransactionShard): unknown {
    return new Map([...shard.all()].map((each) => [each.transactionalId, each]));
  }

  #newShard(timers: RigTimers<TransactionRecord>): TransactionShard {
    return new TransactionShard({
      timers,
      settings: this.settings,
      markers: this.markers,
      coordinatorEpoch: 3,
      takeProducerId: () => (this.nextProducerId === null ? null : this.nextProducerId++),
      log: this.#logger(),
    });
  }

  #logger(): Logger {
    const say =
      (level: string) =>
      (event: string, fields: LogFields = {}) => {
        this.lines.push({ level, event, fields });
      };
    return {
      debug: say("debug"),
      info: say("info"),
      warn: say("warn"),
      error: say("error"),
      child: () => this.#logger(),
    };
  }
}

function told(outcome: Outcome<ProducerIdentity>): ProducerIdentity | string {
  return outcome.ok ? outcome.value : outcome.error.code;
}

function reread(record: TransactionRecord): TransactionRecord {
  const { key, value } = transactionRecordSerde.encode(record);
  return transactionRecordSerde.decode(key, value)!;
}

function partitionOf(text: string): TopicPartition {
  const [topic, partition] = text.split("/");
  return { topic: topic!, partition: Number(partition) };
}
