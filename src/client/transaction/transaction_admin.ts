// What operators do with transactions: list and describe them, see the producers of partitions, end those that hang, and fence
// producers.
// Invariant: a transaction is called hanging only when no coordinator knows that it is open in that partition.
// Kafka: Admin.listTransactions, describeProducers, abortTransaction, fenceProducers; kafka-transactions (KIP-664).

import { ok } from "../../base/outcome.ts";
import {
  errorByCode,
  errorByName,
  type KafkaError,
  kafkaError,
  type Outcome,
} from "../../protocol/errors.ts";
import { InitProducerId } from "../../protocol/messages/22_init_producer_id.ts";
import { WriteTxnMarkers } from "../../protocol/messages/27_write_txn_markers.ts";
import { DescribeProducers } from "../../protocol/messages/61_describe_producers.ts";
import { DescribeTransactions } from "../../protocol/messages/65_describe_transactions.ts";
import { ListTransactions } from "../../protocol/messages/66_list_transactions.ts";
import { ClientError, kafkaErrorOf, refusal, requireNone, unwrap } from "../client_error.ts";
import { Coordinator, type CoordinatorContext } from "../coordinator.ts";
import { byPlace, keyOf, type TopicPartition } from "../group/partition_key.ts";
import { byLeader, grouped, missing, refusedBy } from "../offsets.ts";
import { type CallBounds, retrying } from "../waiting.ts";

/** A transactional id in a list. */
export interface TransactionListing {
  readonly transactionalId: string;
  readonly producerId: number;
  /** "Ongoing", "PrepareCommit", "CompleteAbort", "Empty", … */
  readonly state: string;
  /** Node id of its coordinator. */
  readonly coordinator: number;
}

/** Which transactional ids to list; all when left out. */
export interface TransactionFilter {
  readonly states?: readonly string[];
  readonly producerIds?: readonly number[];
  /** Those of which a transaction has been open for so long, in ms. Brokers from 3.8 on. */
  readonly openMs?: number;
  /** What the whole name matches, in RE2 syntax. Brokers from 4.1 on. */
  readonly pattern?: string;
}

/** A transactional id, and the transaction that is open or ending. */
export interface TransactionDescription {
  readonly transactionalId: string;
  readonly coordinator: number;
  readonly state: string;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly timeoutMs: number;
  /** Since 1970, in ms; null where none is open. */
  readonly startMs: number | null;
  /** Those that take part, and still wait for a marker. */
  readonly partitions: readonly TopicPartition[];
}

/** A producer as a partition knows it. */
export interface ActiveProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly lastSequence: number;
  /** Of its last batch, since 1970, in ms; -1 for none. */
  readonly lastTimestampMs: number;
  /** Of the last marker; -1 before the first. */
  readonly coordinatorEpoch: number;
  /** Where its open transaction begins; null where none is open. */
  readonly transactionStartOffset: number | null;
}

/** A transaction that is open in a partition. */
export interface OpenTransaction extends TopicPartition, ActiveProducer {
  readonly transactionStartOffset: number;
}

/** Where to look for transactions that hang. */
export interface HangingSearch {
  /** Of these topics; of all when left out. */
  readonly topics?: readonly string[];
  readonly partitions?: readonly TopicPartition[];
  /** Only partitions with a replica on this broker. */
  readonly broker?: number;
  /** Nothing was written in it for so long, in ms. Default 900,000, the most that brokers allow a transaction unless told otherwise. */
  readonly idleMs?: number;
}

const IDLE_MS = 900_000;
const NOT_FOUND = "transactional_id_not_found";
/** What those who are fenced are told of; it is of no use to anybody. */
const FENCE_TIMEOUT_MS = 60_000;

/** All transactional ids of all coordinators, by name. */
export async function listTransactions(
  context: CoordinatorContext,
  filter: TransactionFilter,
  bounds: CallBounds,
): Promise<readonly TransactionListing[]> {
  const { runtime, port, metadata, backoff } = context;
  const { states = [], producerIds = [], openMs, pattern } = filter;
  const { brokers } = await metadata.cluster(bounds.signal, bounds.timeoutMs);
  const versionMin = pattern !== undefined ? 2 : openMs !== undefined ? 1 : 0;
  const answers = await Promise.all(
    brokers.map(({ nodeId }) =>
      retrying(runtime, { ...backoff, ...bounds }, async () => {
        const response = await port.send(
          ListTransactions,
          (version) => ({
            stateFilters: states,
            producerIdFilters: producerIds,
            ...(version >= 1 ? { durationFilter: openMs ?? -1 } : {}),
            ...(version >= 2 ? { transactionalIdPattern: pattern ?? null } : {}),
          }),
          { to: nodeId, versionMin, signal: bounds.signal },
        );
        if (errorByCode(response.errorCode)?.code === "invalid_regular_expression") {
          throw new ClientError("invalid_regular_expression", patternText(pattern));
        }
        requireNone(response.errorCode, `Cannot list the transactions of broker ${nodeId}`);
        const [unknown] = response.unknownStateFilters;
        if (unknown !== undefined) {
          const text = `Broker ${nodeId} knows no state "${unknown}" of transactions`;
          throw new ClientError("invalid_request", text);
        }
        return response.transactionStates.map((each) => ({
          transactionalId: each.transactionalId,
          producerId: each.producerId,
          state: each.transactionState,
          coordinator: nodeId,
        }));
      }),
    ),
  );
  return answers.flat().sort((a, b) => (a.transactionalId < b.transactionalId ? -1 : 1));
}

/** One outcome an id; one that is not there is "transactional_id_not_found". */
export function describeTransactions(
  context: CoordinatorContext,
  ids: readonly string[],
  bounds: CallBounds,
): Promise<readonly Outcome<TransactionDescription>[]> {
  return each(ids, async (transactionalId) => {
    const coordinator = new Coordinator(context, "transaction", transactionalId);
    const nodeId = await coordinator.nodeId(bounds);
    const { transactionStates } = await coordinator.ask(
      DescribeTransactions,
      { transactionalIds: [transactionalId] },
      (body) => body.transactionStates[0]?.errorCode ?? 0,
      bounds,
    );
    const found = transactionStates[0];
    requireNone(found?.errorCode ?? -1, `Cannot describe transactional id "${transactionalId}"`);
    const partitions = found!.topics.flatMap(({ topic, partitions: numbers }) =>
      numbers.map((partition) => ({ topic, partition })),
    );
    return {
      transactionalId,
      coordinator: nodeId,
      state: found!.transactionState,
      producerId: found!.producerId,
      producerEpoch: found!.producerEpoch,
      timeoutMs: found!.transactionTimeoutMs,
      startMs: found!.transactionStartTimeMs < 0 ? null : found!.transactionStartTimeMs,
      partitions: partitions.sort(byPlace),
    };
  });
}

/** Producers of partitions, as their leaders know them; one outcome a partition. */
export function describeProducers(
  context: CoordinatorContext,
  partitions: readonly TopicPartition[],
  bounds: CallBounds,
): Promise<readonly Outcome<readonly ActiveProducer[]>[]> {
  const { runtime, port, metadata, backoff } = context;
  const options = { ...backoff, ...bounds };
  return byLeader(runtime, metadata, options, partitions, async (to, open) => {
    const topics = grouped(open, ({ target }) => target.partition);
    const response = await port.send(
      DescribeProducers,
      { topics: topics.map((each) => ({ name: each.name, partitionIndexes: each.partitions })) },
      { to, signal: bounds.signal },
    );
    return open.map(({ target }): Outcome<readonly ActiveProducer[]> => {
      const answer = response.topics
        .find(({ name }) => name === target.topic)
        ?.partitions.find(({ partitionIndex }) => partitionIndex === target.partition);
      if (answer === undefined) return refusedBy(missing());
      const error = kafkaErrorOf(answer.errorCode, answer.errorMessage);
      if (error !== null) return refusedBy(error);
      const producers = answer.activeProducers.map((producer) => ({
        producerId: producer.producerId,
        producerEpoch: producer.producerEpoch,
        lastSequence: producer.lastSequence,
        lastTimestampMs: producer.lastTimestamp,
        coordinatorEpoch: producer.coordinatorEpoch,
        transactionStartOffset:
          producer.currentTxnStartOffset < 0 ? null : producer.currentTxnStartOffset,
      }));
      return ok(producers);
    });
  });
}

/**
 * Ends a transaction in one partition with a marker of abort, whatever its coordinator thinks: for one that hangs.
 *
 * @throws {ClientError} "invalid_producer_epoch" for another epoch than that of its batches, "cluster_authorization_failed", …
 */
export async function abortTransaction(
  context: CoordinatorContext,
  target: TopicPartition &
    Pick<ActiveProducer, "producerId" | "producerEpoch" | "coordinatorEpoch">,
  bounds: CallBounds,
): Promise<void> {
  const { runtime, port, metadata, backoff } = context;
  const { topic, partition, producerId, producerEpoch } = target;
  const options = { ...backoff, ...bounds };
  const [outcome] = await byLeader(runtime, metadata, options, [target], async (to) => {
    const response = await port.send(
      WriteTxnMarkers,
      {
        markers: [
          {
            producerId,
            producerEpoch,
            transactionResult: false,
            topics: [{ name: topic, partitionIndexes: [partition] }],
            // Before the first marker there is none.
            coordinatorEpoch: Math.max(target.coordinatorEpoch, 0),
          },
        ],
      },
      { to, signal: bounds.signal },
    );
    const code = response.markers[0]?.topics[0]?.partitions[0]?.errorCode;
    const error = code === undefined ? missing() : kafkaErrorOf(code);
    return [error === null ? ok(null) : refusedBy(error)];
  });
  unwrap(outcome!, `Cannot abort the transaction of producer ${producerId} in ${keyOf(target)}`);
}

/** Takes transactional ids over, without use for them: who has one is fenced, its open transaction aborted. One outcome an id. */
export function fenceProducers(
  context: CoordinatorContext,
  ids: readonly string[],
  bounds: CallBounds,
): Promise<readonly Outcome<null>[]> {
  const { runtime, backoff } = context;
  return each(ids, async (transactionalId) => {
    const coordinator = new Coordinator(context, "transaction", transactionalId);
    await retrying(runtime, { ...backoff, ...bounds }, async () => {
      const { errorCode } = await coordinator.askOnce(
        InitProducerId,
        { transactionalId, transactionTimeoutMs: FENCE_TIMEOUT_MS },
        (body) => body.errorCode,
        bounds,
      );
      requireNone(errorCode, `Cannot fence the producer of transactional id "${transactionalId}"`);
    });
    return null;
  });
}

/** Transactions in which nothing was written for long, and which no coordinator will ever end; by place. */
export async function findHangingTransactions(
  context: CoordinatorContext,
  search: HangingSearch,
  bounds: CallBounds,
): Promise<readonly OpenTransaction[]> {
  const places = await placesOf(context, search, bounds);
  const outcomes = await describeProducers(context, places, bounds);
  const beforeMs = context.runtime.clock.wallMs() - (search.idleMs ?? IDLE_MS);
  const idle: OpenTransaction[] = [];
  for (const [at, outcome] of outcomes.entries()) {
    const place = places[at]!;
    // It was deleted meanwhile.
    if (!outcome.ok && outcome.error.code === "unknown_topic_or_partition") continue;
    const producers = unwrap(outcome, `Cannot see the producers of ${keyOf(place)}`);
    for (const producer of producers) {
      const { transactionStartOffset, lastTimestampMs } = producer;
      if (transactionStartOffset === null || lastTimestampMs > beforeMs) continue;
      idle.push({ ...place, ...producer, transactionStartOffset });
    }
  }
  if (idle.length === 0) return [];
  const producerIds = [...new Set(idle.map(({ producerId }) => producerId))];
  const listed = await listTransactions(context, { producerIds }, bounds);
  const ids = listed.map(({ transactionalId }) => transactionalId);
  const expected = new Set<string>();
  for (const [at, outcome] of (await describeTransactions(context, ids, bounds)).entries()) {
    if (!outcome.ok && outcome.error.code === NOT_FOUND) continue;
    const { producerId, partitions } = unwrap(outcome, `Cannot describe "${ids[at]}"`);
    for (const place of partitions) expected.add(`${producerId} ${keyOf(place)}`);
  }
  return idle
    .filter((each) => !expected.has(`${each.producerId} ${keyOf(each)}`))
    .sort((a, b) => byPlace(a, b) || a.transactionStartOffset - b.transactionStartOffset);
}

async function placesOf(
  { metadata }: CoordinatorContext,
  { topics, partitions, broker }: HangingSearch,
  bounds: CallBounds,
): Promise<readonly TopicPartition[]> {
  const named = topics ?? (partitions === undefined ? null : []);
  const all =
    named === null
      ? await metadata.allTopics(bounds.signal, bounds.timeoutMs)
      : await Promise.all(named.map((name) => metadata.topic(name, bounds)));
  const found = all.flatMap(({ name: topic, partitions: held }) =>
    held
      .filter(({ replicas }) => broker === undefined || replicas.includes(broker))
      .map(({ partition }) => ({ topic, partition })),
  );
  return [...found, ...(partitions ?? [])];
}

/** One outcome each: a refusal of one says nothing of the others; an end of the whole call does. */
function each<T>(
  ids: readonly string[],
  ask: (id: string) => Promise<T>,
): Promise<readonly Outcome<T>[]> {
  return Promise.all(
    ids.map(async (id): Promise<Outcome<T>> => {
      try {
        return ok(await ask(id));
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
        const known: KafkaError | undefined = errorByName(error.code);
        if (known === undefined) throw error;
        return { ok: false, error: { ...known, message: error.message } };
      }
    }),
  );
}

/** The transaction of a partition that begins at an offset. @throws {ClientError} "transactional_id_not_found" for none */
export async function transactionAt(
  context: CoordinatorContext,
  place: TopicPartition & { readonly startOffset: number },
  bounds: CallBounds,
): Promise<OpenTransaction> {
  const { topic, partition, startOffset } = place;
  const [outcome] = await describeProducers(context, [{ topic, partition }], bounds);
  const producers = unwrap(outcome!, `Cannot see the producers of ${keyOf(place)}`);
  const found = producers.find((producer) => producer.transactionStartOffset === startOffset);
  if (found !== undefined) {
    return { topic, partition, ...found, transactionStartOffset: startOffset };
  }
  const open = producers.flatMap((producer) => producer.transactionStartOffset ?? []);
  const there = open.length === 0 ? "none is" : `open are those from ${open.join(", ")}`;
  const text = `No transaction that is open in ${keyOf(place)} begins at offset ${startOffset}: ${there}`;
  throw refusal({ ...kafkaError(NOT_FOUND), message: text }, "Cannot abort");
}

/** A broker does not say what is wrong with it; where no RegExp can be made of it either, the host does. */
function patternText(pattern = ""): string {
  const text = `The pattern ${JSON.stringify(pattern)} is no regular expression of RE2`;
  try {
    new RegExp(pattern, "u");
    return `${text}: it has neither look-around nor back-references`;
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    return `${text}: ${said.replace(/^Invalid regular expression:\s*/i, "")}`;
  }
}
