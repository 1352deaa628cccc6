// The APIs of transactions: checks what Kafka checks before a shard is asked, finds the shard of each transactional id, and puts
// answers and refusals into the words of the version. Nothing here asks who is calling: that is admission.
// Kafka: KafkaApis, TransactionCoordinator.

import type { Caller, TopicPartition, TransactionApi } from "../../contracts/broker.ts";
import {
  type KafkaErrorName,
  NONE,
  type Outcome,
  refuse,
  wireCodeOf,
} from "../../protocol/errors.ts";
import type { InitProducerIdRequest } from "../../protocol/messages/22_init_producer_id.ts";
import type {
  AddPartitionsToTxnRequest,
  AddPartitionsToTxnResponse,
} from "../../protocol/messages/24_add_partitions_to_txn.ts";
import { GROUP_TOPIC, isInternalTopic } from "../cluster/topic_names.ts";
import { NO_TIMEOUT_MS, type Transaction } from "../coordinator/transaction/transaction.ts";
import type { ProducerIdentity } from "../coordinator/transaction/transaction_shard.ts";
import type { ApiContext } from "./api_context.ts";
import { findCoordinators } from "./found_coordinators.ts";
import {
  type AddedPartition,
  describedTransaction,
  endAnswer,
  initAnswer,
  KNOWS_FENCED_FROM,
  notDescribed,
  toldAs,
  topicResultsOf,
} from "./transaction_answers.ts";
import type { TransactionCoordinator } from "./transaction_coordinator.ts";
import { listTransactions } from "./transaction_list.ts";
import { writeMarkers } from "./transaction_markers.ts";

/** First version of AddPartitionsToTxn with several transactions, from brokers and the newer protocol. */
const BATCHED_FROM = 4;
/** First version of EndTxn by the newer protocol. */
const END_BUMPS_FROM = 5;
const TRANSACTION_KEYS = 1;

/** What the APIs of transactions share. */
export interface TransactionContext {
  readonly api: ApiContext;
  readonly transactions: TransactionCoordinator;
}

export function createTransactionApi(context: TransactionContext): TransactionApi {
  const { api, transactions } = context;
  return {
    findCoordinator: (caller, request, version) =>
      findCoordinators(api, caller, request, version, async (key) => {
        if (request.keyType !== TRANSACTION_KEYS) {
          const message = `There are no transactions of key type ${request.keyType}`;
          return { code: "invalid_request", message };
        }
        const found = await transactions.find(key);
        if (found !== null) return found;
        const message = "The topic of transactions could not be made";
        return { code: "coordinator_not_available", message };
      }),

    async initProducerId(caller, request, version) {
      return initAnswer(await initProducerId(context, caller, request), version);
    },

    addPartitionsToTxn: (caller, request, version) =>
      addPartitions(context, caller, request, version),

    async addOffsetsToTxn(caller, request, version) {
      const { transactionalId, producerId, producerEpoch, groupId } = request;
      const partition = await transactions.groups.partitionOf(groupId);
      const code =
        partition === null
          ? "coordinator_not_available"
          : await add(context, caller, {
              transactionalId,
              producerId,
              producerEpoch,
              partitions: [{ topic: GROUP_TOPIC, partition }],
              clientVersion: 0,
            });
      const errorCode = code === null ? NONE : wireCodeOf(toldAs(code, version, KNOWS_FENCED_FROM));
      return { throttleTimeMs: 0, errorCode };
    },

    async endTxn(caller, request, version) {
      const { transactionalId, producerId, producerEpoch, committed } = request;
      if (transactionalId === "") return endAnswer(refuse("invalid_request"), version);
      const clientVersion = version >= END_BUMPS_FROM ? 2 : 0;
      const outcome = await transactions.run<ProducerIdentity>(
        transactionalId,
        (shard, now, reply) =>
          shard.endTransaction(
            { transactionalId, producerId, producerEpoch, isCommit: committed, clientVersion },
            now,
            reply,
          ),
        caller.signal,
      );
      return endAnswer(outcome, version);
    },

    writeTxnMarkers: (_caller, request) => writeMarkers(transactions.markers, request),

    async describeTransactions(caller, request) {
      const transactionStates = await Promise.all(
        request.transactionalIds.map((id) => describe(context, caller, id)),
      );
      return { throttleTimeMs: 0, transactionStates };
    },

    listTransactions: (caller, request) => listTransactions(transactions, caller, request),
  };
}

async function initProducerId(
  { transactions }: TransactionContext,
  caller: Caller,
  request: InitProducerIdRequest,
): Promise<Outcome<ProducerIdentity>> {
  const { transactionTimeoutMs, producerId, producerEpoch, enable2Pc, keepPreparedTxn } = request;
  const transactionalId = request.transactionalId ?? "";
  const { settings } = transactions;
  if ((producerId === -1) !== (producerEpoch === -1)) return refuse("invalid_request");
  if (transactionalId === "") return refuse("invalid_request");
  if (enable2Pc && !settings.servesTwoPhaseCommit) {
    return refuse("transactional_id_authorization_failed");
  }
  if (keepPreparedTxn) return refuse("unsupported_version");
  const isTimed = transactionTimeoutMs > 0 && transactionTimeoutMs <= settings.timeoutMsMax;
  if (!enable2Pc && !isTimed) return refuse("invalid_transaction_timeout");
  await transactions.readyProducerIds();
  return transactions.run<ProducerIdentity>(
    transactionalId,
    (shard, now, reply) =>
      shard.initProducerId(
        {
          transactionalId,
          timeoutMs: enable2Pc ? NO_TIMEOUT_MS : transactionTimeoutMs,
          expected: producerId === -1 ? null : { producerId, producerEpoch },
        },
        now,
        reply,
      ),
    caller.signal,
    true,
  );
}

/** One transaction of an AddPartitionsToTxn, of whatever version. */
interface Adding {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly partitions: readonly TopicPartition[];
}

async function addPartitions(
  context: TransactionContext,
  caller: Caller,
  request: AddPartitionsToTxnRequest,
  version: number,
): Promise<AddPartitionsToTxnResponse> {
  if (version < BATCHED_FROM) {
    const adding = {
      transactionalId: request.v3AndBelowTransactionalId,
      producerId: request.v3AndBelowProducerId,
      producerEpoch: request.v3AndBelowProducerEpoch,
      partitions: listed(request.v3AndBelowTopics),
    };
    const rows = await addOne(context, caller, adding, version, false);
    return {
      throttleTimeMs: 0,
      errorCode: NONE,
      resultsByTransaction: [],
      resultsByTopicV3AndBelow: topicResultsOf(rows),
    };
  }
  const resultsByTransaction = await Promise.all(
    request.transactions.map(async ({ topics, verifyOnly, ...producer }) => {
      const adding = { ...producer, partitions: listed(topics) };
      const rows = await addOne(context, caller, adding, version, verifyOnly);
      return { transactionalId: producer.transactionalId, topicResults: topicResultsOf(rows) };
    }),
  );
  return { throttleTimeMs: 0, errorCode: NONE, resultsByTransaction, resultsByTopicV3AndBelow: [] };
}

async function addOne(
  context: TransactionContext,
  caller: Caller,
  adding: Adding,
  version: number,
  verifyOnly: boolean,
): Promise<readonly AddedPartition[]> {
  const { partitions } = adding;
  const refused = notAddable(context, partitions, version);
  if (refused !== null) return refused;
  if (verifyOnly) return verify(context, caller, adding);
  const clientVersion = version >= BATCHED_FROM ? 2 : 0;
  const code = await add(context, caller, { ...adding, clientVersion });
  const told = code === null ? null : toldAs(code, version, KNOWS_FENCED_FROM);
  return partitions.map((each) => ({ ...each, code: told }));
}

/** One that may not be added refuses the whole transaction; those that may not come first, as in Kafka. */
function notAddable(
  { api }: TransactionContext,
  partitions: readonly TopicPartition[],
  version: number,
): readonly AddedPartition[] | null {
  const { topicsByName } = api.cluster.image;
  const denied: AddedPartition[] = [];
  const unknown: AddedPartition[] = [];
  const others: AddedPartition[] = [];
  for (const { topic, partition } of partitions) {
    const known = topicsByName.get(topic);
    if (version < BATCHED_FROM && isInternalTopic(topic)) {
      denied.push({ topic, partition, code: "topic_authorization_failed" });
    } else if (known === undefined || partition < 0 || partition >= known.partitionCount) {
      unknown.push({ topic, partition, code: "unknown_topic_or_partition" });
    } else others.push({ topic, partition, code: "operation_not_attempted" });
  }
  return denied.length + unknown.length === 0 ? null : [...denied, ...unknown, ...others];
}

/** @returns why they were not added; null: they were */
async function add(
  { transactions }: TransactionContext,
  caller: Caller,
  ask: Adding & { readonly clientVersion: number },
): Promise<KafkaErrorName | null> {
  if (ask.transactionalId === "") return "invalid_request";
  const outcome = await transactions.run<null>(
    ask.transactionalId,
    (shard, now, reply) => shard.addPartitions(ask, now, reply),
    caller.signal,
  );
  return outcome.ok ? null : outcome.error.code;
}

async function verify(
  { transactions }: TransactionContext,
  caller: Caller,
  ask: Adding,
): Promise<readonly AddedPartition[]> {
  const { transactionalId, partitions } = ask;
  const all = (code: KafkaErrorName) => partitions.map((each) => ({ ...each, code }));
  if (transactionalId === "") return all("invalid_request");
  const outcome = await transactions.run<readonly (KafkaErrorName | null)[]>(
    transactionalId,
    (shard, _now, reply) => shard.verifyPartitions(ask, partitions, reply),
    caller.signal,
  );
  if (!outcome.ok) return all(outcome.error.code);
  return partitions.map((each, i) => ({ ...each, code: outcome.value[i] ?? null }));
}

async function describe({ transactions }: TransactionContext, caller: Caller, id: string) {
  if (id === "") return notDescribed(id, "invalid_request");
  const outcome = await transactions.run<Transaction | undefined>(
    id,
    (shard, _now, reply) => shard.describe(id, reply),
    caller.signal,
  );
  if (!outcome.ok) return notDescribed(id, outcome.error.code);
  return outcome.value === undefined
    ? notDescribed(id, "transactional_id_not_found")
    : describedTransaction(outcome.value);
}

/** Each once. */
function listed(
  topics: readonly { readonly name: string; readonly partitions: readonly number[] }[],
): readonly TopicPartition[] {
  return topics.flatMap(({ name: topic, partitions }) =>
    [...new Set(partitions)].map((partition) => ({ topic, partition })),
  );
}
