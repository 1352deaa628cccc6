// One instance of a transactional id, by either protocol, over the wire: takes the id, writes, commits offsets, ends. What an
// instance does not know it asks again, as clients do; every refusal has to be explained by somebody else or by time.
// Invariant: it asks to commit only when all it sent was acknowledged; by the older protocol it takes a new epoch after any
// request whose answer was lost, since that request may still arrive.

import type { SeededRandom } from "../../../base/prng.ts";
import { errorByCode } from "../../../protocol/errors.ts";
import { Produce } from "../../../protocol/messages/00_produce.ts";
import { FindCoordinator } from "../../../protocol/messages/10_find_coordinator.ts";
import { InitProducerId } from "../../../protocol/messages/22_init_producer_id.ts";
import { AddPartitionsToTxn } from "../../../protocol/messages/24_add_partitions_to_txn.ts";
import { AddOffsetsToTxn } from "../../../protocol/messages/25_add_offsets_to_txn.ts";
import { EndTxn } from "../../../protocol/messages/26_end_txn.ts";
import { TxnOffsetCommit } from "../../../protocol/messages/28_txn_offset_commit.ts";
import { ConnectionGone, type SimClient, type SimConnection } from "../sim_client.ts";
import { batchBytes } from "./batches.ts";
import {
  type Ask,
  FENCED,
  type ModelGroup,
  type ModelId,
  type ModelPartition,
  type ModelTransaction,
  type SentRecord,
  type TransactionModel,
} from "./model.ts";

const CHECKER = "transaction_answers";
/** First versions of the newer protocol. */
const PRODUCE_ADDS_FROM = 12;
const END_BUMPS_FROM = 5;
const OFFSETS_ADD_FROM = 5;
/** Last of the older one, for clients. */
const ADD_PARTITIONS_LAST = 3;
/** First versions with what the simulation cannot do without. */
const INIT_EXPECTS_FROM = 3;
const OFFSETS_OF_MEMBERS_FROM = 3;
const PRODUCE_IDS_FROM = 13;
/** First version of Produce that names the transactional id. */
const PRODUCE_FROM = 3;
const TRIES_MAX = 8;

/** "abort": the transaction cannot be committed; "fenced": the instance is over. */
export type Verdict = "ok" | "abort" | "fenced";

/** Ask again: it passes. */
const PASSING = new Set([
  "coordinator_load_in_progress",
  "coordinator_not_available",
  "not_coordinator",
  "concurrent_transactions",
  "not_enough_replicas",
  "not_enough_replicas_after_append",
  "kafka_storage_error",
  "not_leader_or_follower",
  "leader_not_available",
  "request_timed_out",
]);
/** Somebody else has the id, or time is up. */
const OVER = new Set(["producer_fenced", "invalid_producer_epoch", "invalid_producer_id_mapping"]);
/** The same, in words that leave the instance alive. */
const ENDED = new Set(["invalid_txn_state", "transaction_abortable"]);
/** Of topics that are deleted meanwhile, and of what was asked for together with them. */
const GONE = new Set(["unknown_topic_or_partition", "unknown_topic_id", "operation_not_attempted"]);
/** A member that is none any more, or of another generation. */
const NO_MEMBER = new Set([
  "illegal_generation",
  "unknown_member_id",
  "stale_member_epoch",
  "fenced_member_epoch",
  "rebalance_in_progress",
]);

interface OpenBatch {
  readonly partition: ModelPartition;
  readonly firstSequence: number;
  /** Of its author's records in the partition. */
  readonly firstOfAuthor: number;
  readonly count: number;
  readonly bytes: Uint8Array;
  attempts: number;
  firstSentUs: number;
}

const never = () => false;

/** Records for one partition, as one batch. */
export interface Wanted {
  readonly partition: ModelPartition;
  readonly records: readonly SentRecord[];
}

export interface ProducerOptions {
  readonly client: SimClient;
  readonly model: TransactionModel;
  readonly id: ModelId;
  readonly usesNewProtocol: boolean;
  readonly timeoutMs: number;
  readonly valueBytesMax: number;
  readonly random: SeededRandom;
}

export class TransactionalProducer {
  readonly options: ProducerOptions;
  transaction: ModelTransaction | null = null;
  readonly #sequences = new Map<ModelPartition, number>();
  readonly #versions = new Map<number, number>();
  #added = new Set<ModelPartition>();
  #ask: Ask | null = null;
  #producerId = -1;
  #producerEpoch = -1;
  /** An answer was lost, or the broker refused what was to be written. */
  #isInDoubt = false;
  /** Something was added for certain: there is a transaction to end. */
  #hasBegun = false;
  /** It begins anew, as a process that was started again. */
  #isNew = true;

  constructor(options: ProducerOptions) {
    this.options = options;
  }

  /** Whether it has to take the id (again) before it begins a transaction. */
  get mustInit(): boolean {
    return this.#ask === null;
  }

  /** Takes the id: everybody else who has it is fenced. */
  async init(): Promise<void> {
    const { client, model, id, timeoutMs, random } = this.options;
    if (random.below(3) === 0) await this.#find();
    for (;;) {
      const expected = this.#isNew || this.#producerId < 0 ? null : this.#identity;
      const connection = await this.#connected();
      const ask = id.ask(model.world.nowUs);
      const lowest = expected === null ? InitProducerId.lowest : INIT_EXPECTS_FROM;
      const version = connection.versionOf(InitProducerId, lowest);
      const response = await this.#lost(() =>
        connection.request(InitProducerId, version, {
          transactionalId: id.name,
          transactionTimeoutMs: timeoutMs,
          ...expected,
        }),
      );
      if (response !== null) {
        ask.doneUs = model.world.nowUs;
        const code = errorByCode(response.errorCode)?.code;
        if (code === undefined) {
          this.#take(ask, response.producerId, response.producerEpoch);
          return;
        }
        if (OVER.has(code) && expected !== null) this.#isNew = true;
        else if (!PASSING.has(code)) this.#fail("InitProducerId", code);
      }
      await client.backOff();
    }
  }

  begin(): ModelTransaction {
    const { model, id, timeoutMs } = this.options;
    this.#added = new Set();
    this.#hasBegun = false;
    this.transaction = model.begin({ id, ask: this.#ask!, ...this.#identity, timeoutMs });
    return this.transaction;
  }

  /** Writes requests back to back, several partitions each; all of it is acknowledged, or the transaction cannot be committed. */
  async write(requests: readonly (readonly Wanted[])[]): Promise<Verdict> {
    const { usesNewProtocol, client } = this.options;
    if (!usesNewProtocol) {
      const verdict = await this.#addPartitions(requests.flat().map(({ partition }) => partition));
      if (verdict !== "ok") return verdict;
    }
    const batches = requests.map((request) => request.map((wanted) => this.#batchOf(wanted)));
    const failed = new Set<ModelPartition>();
    let left = await this.#sendRound(batches, failed);
    for (let tries = 0; typeof left !== "string" && left.length > 0; tries++) {
      if (tries === TRIES_MAX) return this.#spoiled("abort");
      await client.backOff();
      const [first, ...rest] = left;
      const again = await this.#sendRound([[first!]], failed);
      left = typeof again === "string" ? again : [...again, ...rest];
    }
    return typeof left === "string" ? this.#spoiled(left) : "ok";
  }

  /** Commits offsets with the transaction. @param member Of the group; null: nobody's */
  async sendOffsets(
    group: ModelGroup,
    member: { readonly memberId: string; readonly epoch: number } | null,
    offsets: ReadonlyMap<number, number>,
  ): Promise<Verdict> {
    const { id, usesNewProtocol } = this.options;
    const { groupId, input } = group;
    const transaction = this.transaction!;
    if (!usesNewProtocol) {
      const version = this.#versionOf(AddOffsetsToTxn, AddOffsetsToTxn.lowest, 4);
      const verdict = await this.#persist("AddOffsetsToTxn", never, async (connection) => {
        const body = { transactionalId: id.name, ...this.#identity, groupId };
        return (await connection.request(AddOffsetsToTxn, version, body)).errorCode;
      });
      if (verdict !== "ok") return this.#spoiled(verdict);
      this.#hasBegun = true;
    }
    for (const [partition, offset] of offsets) {
      transaction.offsets.push({ group, partition, offset });
      group.commits[partition]!.push({ offset, transaction });
    }
    const lowest = usesNewProtocol
      ? OFFSETS_ADD_FROM
      : member === null
        ? TxnOffsetCommit.lowest
        : OFFSETS_OF_MEMBERS_FROM;
    const version = this.#versionOf(TxnOffsetCommit, lowest, usesNewProtocol ? 5 : 4);
    const verdict = await this.#persist("TxnOffsetCommit", never, async (connection) => {
      const { topics } = await connection.request(TxnOffsetCommit, version, {
        transactionalId: id.name,
        groupId,
        ...this.#identity,
        ...(member !== null && { memberId: member.memberId, generationId: member.epoch }),
        ...(member === null && version >= OFFSETS_OF_MEMBERS_FROM && { memberId: "" }),
        topics: [
          {
            name: input.shape.name,
            partitions: Array.from(offsets, ([partitionIndex, committedOffset]) => ({
              partitionIndex,
              committedOffset,
              committedMetadata: "",
            })),
          },
        ],
      } as never);
      const codes = topics[0]!.partitions.map((each) => each.errorCode);
      return codes.find((code) => code !== 0) ?? 0;
    });
    if (verdict !== "ok") return this.#spoiled(verdict);
    transaction.areOffsetsAcked = true;
    this.#hasBegun = true;
    return "ok";
  }

  /** Ends the transaction. @returns how, as far as is known; "fenced": the instance is over */
  async end(isCommit: boolean): Promise<"committed" | "aborted" | "unknown" | "fenced"> {
    const { id, usesNewProtocol, model, random, client } = this.options;
    const transaction = this.transaction!;
    this.transaction = null;
    // Nothing is there to end, as far as it knows; if there is, taking the id ends it.
    if (!usesNewProtocol && !this.#hasBegun) {
      this.#ask = null;
      this.#isNew = random.below(2) === 0;
      return "aborted";
    }
    transaction.isEndAsked = true;
    transaction.isCommitAsked = isCommit;
    const end = isCommit ? "committed" : "aborted";
    const version = this.#versionOf(
      EndTxn,
      usesNewProtocol ? END_BUMPS_FROM : EndTxn.lowest,
      usesNewProtocol ? EndTxn.highestStable : END_BUMPS_FROM - 1,
    );
    for (let attempts = 1; ; attempts++) {
      const connection = await this.#connected();
      const body = { transactionalId: id.name, ...this.#identity, committed: isCommit };
      const response = await this.#lost(() => connection.request(EndTxn, version, body));
      const code = response === null ? null : (errorByCode(response.errorCode)?.code ?? "none");
      if (code === "none") {
        model.decide(transaction, end, `EndTxn (${end}) was answered without error`);
        if (usesNewProtocol) this.#bumped(response!.producerId, response!.producerEpoch);
        else if (this.#isInDoubt) this.#giveUpEpoch();
        return end;
      }
      if (code !== null && (OVER.has(code) || ENDED.has(code))) {
        // Of v1, and of an abort: whatever it could have ended is over or was never begun.
        const isHarmless = !isCommit && code === "invalid_txn_state" && this.#isInDoubt;
        if (!isHarmless) this.#explain(transaction, "EndTxn", code);
        const isFirst = attempts === 1;
        if (isCommit && isFirst)
          model.decide(transaction, "aborted", `EndTxn was refused: ${code}`);
        this.#die();
        return "fenced";
      }
      if (code !== null && !PASSING.has(code)) this.#fail("EndTxn", code);
      // A process that ends before it hears.
      if (code === null && random.below(8) === 0) {
        this.#die();
        return "unknown";
      }
      // "concurrent_transactions" alone says for certain that nothing was done.
      if (code === "concurrent_transactions") attempts--;
      await client.backOff();
    }
  }

  /** Leaves the transaction open, and the id to whoever comes. */
  abandon(): void {
    this.transaction = null;
    this.#die();
  }

  async #find(): Promise<void> {
    const { client, id } = this.options;
    await client.persist(async (connection) => {
      const version = connection.versionOf(FindCoordinator, 1);
      const keys = version >= 4 ? { coordinatorKeys: [id.name] } : { key: id.name };
      const response = await connection.request(FindCoordinator, version, { ...keys, keyType: 1 });
      const { errorCode } = version >= 4 ? response.coordinators[0]! : response;
      const code = errorByCode(errorCode)?.code;
      if (code === undefined) return null;
      if (!PASSING.has(code)) this.#fail("FindCoordinator", code);
      return "again";
    });
  }

  async #addPartitions(wanted: readonly ModelPartition[]): Promise<Verdict> {
    const partitions = [...new Set(wanted)].filter((each) => !this.#added.has(each));
    if (partitions.length === 0) return "ok";
    const version = this.#versionOf(AddPartitionsToTxn, 0, ADD_PARTITIONS_LAST);
    const topics = new Map<string, number[]>();
    for (const { topic, index } of partitions) {
      const numbers = topics.get(topic.shape.name) ?? [];
      numbers.push(index);
      topics.set(topic.shape.name, numbers);
    }
    const { producerId, producerEpoch } = this.#identity;
    const areSomeGone = () => partitions.some(({ topic }) => topic.isDeletionAsked);
    const verdict = await this.#persist("AddPartitionsToTxn", areSomeGone, async (connection) => {
      const response = await connection.request(AddPartitionsToTxn, version, {
        v3AndBelowTransactionalId: this.options.id.name,
        v3AndBelowProducerId: producerId,
        v3AndBelowProducerEpoch: producerEpoch,
        v3AndBelowTopics: Array.from(topics, ([name, list]) => ({ name, partitions: list })),
      });
      const codes = response.resultsByTopicV3AndBelow.flatMap(({ resultsByPartition }) =>
        resultsByPartition.map((each) => each.partitionErrorCode),
      );
      return codes.find((code) => code !== 0) ?? 0;
    });
    if (verdict !== "ok") return this.#spoiled(verdict);
    for (const partition of partitions) {
      this.#added.add(partition);
      this.transaction!.joined.add(partition);
    }
    this.#hasBegun = true;
    return "ok";
  }

  #batchOf({ partition, records }: Wanted): OpenBatch {
    const { author } = this.transaction!;
    const { random, valueBytesMax, model } = this.options;
    const firstSequence = this.#sequences.get(partition) ?? 0;
    this.#sequences.set(partition, firstSequence + records.length);
    const sent = author.sent.get(partition) ?? [];
    const firstOfAuthor = sent.length;
    sent.push(...records);
    author.sent.set(partition, sent);
    const bytes = batchBytes(model.world, random, valueBytesMax, author, partition, firstOfAuthor, {
      ...this.#identity,
      baseSequence: firstSequence,
      isTransactional: true,
    });
    const count = records.length;
    return { partition, firstSequence, firstOfAuthor, count, bytes, attempts: 0, firstSentUs: 0 };
  }

  /** @returns what has to be sent again, in order */
  async #sendRound(
    requests: readonly (readonly OpenBatch[])[],
    failed: Set<ModelPartition>,
  ): Promise<OpenBatch[] | Verdict> {
    let connection: SimConnection;
    try {
      connection = await this.options.client.connected();
    } catch (error) {
      if (!(error instanceof ConnectionGone)) throw error;
      return requests.flat();
    }
    const outcomes = requests.map((batches) => this.#send(connection, batches, failed));
    const again: OpenBatch[] = [];
    let verdict: Verdict = "ok";
    for (const outcome of outcomes) {
      const each = await outcome;
      if (typeof each !== "string") again.push(...each);
      else if (verdict !== "fenced") verdict = each;
    }
    return verdict === "ok" ? again : verdict;
  }

  async #send(
    connection: SimConnection,
    batches: readonly OpenBatch[],
    failed: Set<ModelPartition>,
  ): Promise<OpenBatch[] | Verdict> {
    const { id, usesNewProtocol, model } = this.options;
    const version = this.#versionOf(
      Produce,
      usesNewProtocol ? PRODUCE_ADDS_FROM : PRODUCE_FROM,
      usesNewProtocol ? Produce.highestStable : PRODUCE_ADDS_FROM - 1,
    );
    const byTopic = new Map(batches.map(({ partition }) => [partition.topic, [] as OpenBatch[]]));
    for (const batch of batches) {
      byTopic.get(batch.partition.topic)!.push(batch);
      if (batch.attempts++ === 0) batch.firstSentUs = model.world.nowUs;
    }
    const transaction = this.transaction!;
    const response = await this.#lost(() =>
      connection.request(Produce, version, {
        transactionalId: id.name,
        acks: -1,
        timeoutMs: 30_000,
        topicData: Array.from(byTopic, ([topic, list]) => ({
          name: topic.shape.name,
          topicId: topic.id,
          partitionData: list.map(({ partition, bytes }) => ({
            index: partition.index,
            records: bytes,
          })),
        })),
      }),
    );
    if (response === null) {
      for (const { partition } of batches) failed.add(partition);
      return [...batches];
    }
    const again: OpenBatch[] = [];
    let verdict: Verdict = "ok";
    for (const batch of batches) {
      const { topic, index } = batch.partition;
      const answer = response.responses
        .find((each) =>
          version >= PRODUCE_IDS_FROM ? each.topicId === topic.id : each.name === topic.shape.name,
        )
        ?.partitionResponses.find((each) => each.index === index);
      if (answer === undefined) {
        this.#fail("Produce", `${batch.partition.label} was left unanswered`);
        continue;
      }
      const code = errorByCode(answer.errorCode)?.code;
      if (code === undefined) {
        this.#acked(transaction, batch, answer.baseOffset);
        continue;
      }
      const hasFailed = failed.has(batch.partition);
      failed.add(batch.partition);
      const isEarly = code === "out_of_order_sequence_number" && hasFailed;
      if (PASSING.has(code) || isEarly) again.push(batch);
      else if (GONE.has(code) && topic.isDeletionAsked) verdict = "abort";
      else if (OVER.has(code) || ENDED.has(code)) {
        this.#explain(transaction, `Produce to ${batch.partition.label}`, code);
        verdict = OVER.has(code) ? "fenced" : "abort";
      } else this.#fail(`Produce to ${batch.partition.label}`, code);
    }
    return verdict === "ok" ? again : verdict;
  }

  #acked(transaction: ModelTransaction, batch: OpenBatch, baseOffset: number): void {
    const { model, id } = this.options;
    const { partition, firstOfAuthor, count, attempts, firstSentUs } = batch;
    if (attempts === 1 && firstSentUs > id.supersededUs(transaction.ask)) {
      model.fail(FENCED, `${transaction.label} wrote to ${partition.label} after it was fenced`);
    }
    this.#hasBegun = true;
    model.acked(transaction.author, partition, firstOfAuthor, count, baseOffset);
  }

  /** Repeats a request until it is answered for good, or often enough. */
  async #persist(
    what: string,
    mayBeGone: () => boolean,
    act: (connection: SimConnection) => Promise<number>,
  ): Promise<Verdict> {
    const { client } = this.options;
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const connection = await this.#connected();
      const errorCode = await this.#lost(() => act(connection));
      const code = errorCode === null ? null : errorByCode(errorCode)?.code;
      if (code === undefined) return "ok";
      if (code !== null && !PASSING.has(code)) {
        if (NO_MEMBER.has(code) || (GONE.has(code) && mayBeGone())) return "abort";
        if (!OVER.has(code) && !ENDED.has(code)) this.#fail(what, code);
        this.#explain(this.transaction!, what, code);
        return OVER.has(code) ? "fenced" : "abort";
      }
      // It may have been done, and is not known to be.
      if (code !== null) this.#isInDoubt = true;
      await client.backOff();
    }
    return "abort";
  }

  async #connected(): Promise<SimConnection> {
    return await this.options.client.persist(async (connection) => connection);
  }

  /** Null when the answer was lost. */
  async #lost<T>(act: () => Promise<T>): Promise<T | null> {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof ConnectionGone)) throw error;
      this.#isInDoubt = true;
      return null;
    }
  }

  get #identity(): { readonly producerId: number; readonly producerEpoch: number } {
    return { producerId: this.#producerId, producerEpoch: this.#producerEpoch };
  }

  #take(ask: Ask, producerId: number, producerEpoch: number): void {
    const { id, model } = this.options;
    model.world.say(() => `${this.options.client.name} is producer ${producerId}/${producerEpoch}`);
    this.#ask = ask;
    this.#isNew = false;
    this.#isInDoubt = false;
    id.taken.push({ ask, toldUs: model.world.nowUs });
    this.#bumped(producerId, producerEpoch);
  }

  #bumped(producerId: number, producerEpoch: number): void {
    const { id, model } = this.options;
    if (!id.takes(producerId, producerEpoch)) {
      model.fail(
        FENCED,
        `${id.name}: producer ${producerId}, epoch ${producerEpoch} was given twice`,
      );
    }
    this.#producerId = producerId;
    this.#producerEpoch = producerEpoch;
    this.#sequences.clear();
  }

  /** What was to be written is not all there. */
  #spoiled(verdict: Verdict): Verdict {
    if (verdict === "fenced") this.#die();
    else this.#isInDoubt = true;
    return verdict;
  }

  /** By the older protocol: late requests of this epoch are to be refused. */
  #giveUpEpoch(): void {
    this.#ask = null;
    this.#isNew = this.options.random.below(3) === 0;
  }

  #die(): void {
    this.#ask = null;
    this.#isNew = true;
  }

  /** Somebody else, or time, has to be the reason. */
  #explain(transaction: ModelTransaction, what: string, code: string): void {
    const { id, model } = this.options;
    const { nowUs } = model.world;
    const { timesOutEarly, idsExpire } = model.options;
    const { ask, begunUs, timeoutMs } = transaction;
    const hasTime = nowUs < begunUs + timeoutMs * 1000 && !timesOutEarly;
    if (!hasTime || id.mayBeSuperseded(ask)) return;
    if (idsExpire && code === "invalid_producer_id_mapping") return;
    this.#fail(what, `${code}, and nobody else has the id (${transaction.label})`);
  }

  #fail(what: string, code: string): void {
    this.options.model.fail(CHECKER, `${this.options.client.name}: ${what}: ${code}`);
  }

  /** One version of each API for life, within a protocol. */
  #versionOf(api: { readonly apiKey: number }, lowest: number, highest: number): number {
    let version = this.#versions.get(api.apiKey);
    if (version === undefined) {
      version = lowest + this.options.random.below(highest - lowest + 1);
      this.#versions.set(api.apiKey, version);
    }
    return version;
  }
}
