// Admission of transactions: operation and resource as Kafka asks them, API by API. Invariant: a transaction with a partition
// that is not allowed is refused whole, and what is listed without being named is left out in silence.
// Kafka: KafkaApis.handleAddPartitionsToTxnRequest and its neighbours.

import type { Caller, TransactionApi } from "../../contracts/broker.ts";
import { type KafkaErrorName, NONE, wireCodeOf } from "../../protocol/errors.ts";
import type {
  AddPartitionsToTxnRequest,
  AddPartitionsToTxnResponse,
} from "../../protocol/messages/24_add_partitions_to_txn.ts";
import type {
  DescribeTransactionsRequest,
  DescribeTransactionsResponse,
} from "../../protocol/messages/65_describe_transactions.ts";
import { isInternalTopic } from "../cluster/topic_names.ts";
import { refusedProducerId } from "./admission_admin.ts";
import type { Gate } from "./admission_gate.ts";
import { findAdmittedCoordinator } from "./admission_groups.ts";

/** First version of AddPartitionsToTxn that brokers alone may send. */
const BROKERS_FROM = 4;
const ID_DENIED = wireCodeOf("transactional_id_authorization_failed");
const GROUP_DENIED = wireCodeOf("group_authorization_failed");
const CLUSTER_DENIED = wireCodeOf("cluster_authorization_failed");

/** The transactional part of a broker, admitted. @param partitionCountOf Of a topic; 0 where there is none. */
export function admitTransactions(
  transactions: TransactionApi,
  gate: Gate,
  partitionCountOf: (topic: string) => number,
): TransactionApi {
  const mayWrite = (caller: Caller, transactionalId: string) =>
    gate.allowsTransactionalId(caller, "write", transactionalId);
  return {
    findCoordinator: (caller, request, version) =>
      findAdmittedCoordinator(transactions, gate, caller, request, version),
    async initProducerId(caller, request, version) {
      // Kafka has a right of its own for it, TWO_PHASE_COMMIT, which nobody can be given here.
      if (mayWrite(caller, request.transactionalId ?? "") && !request.enable2Pc) {
        return transactions.initProducerId(caller, request, version);
      }
      return refusedProducerId("transactional_id_authorization_failed");
    },
    async addPartitionsToTxn(caller, request, version) {
      if (version < BROKERS_FROM) {
        const refused = refusedPartitions(gate, caller, request, partitionCountOf);
        return refused ?? transactions.addPartitionsToTxn(caller, request, version);
      }
      if (gate.allowsCluster(caller, "cluster_action")) {
        return transactions.addPartitionsToTxn(caller, request, version);
      }
      return {
        throttleTimeMs: 0,
        errorCode: CLUSTER_DENIED,
        resultsByTransaction: [],
        resultsByTopicV3AndBelow: [],
      };
    },
    async addOffsetsToTxn(caller, request, version) {
      if (!mayWrite(caller, request.transactionalId)) {
        return { throttleTimeMs: 0, errorCode: ID_DENIED };
      }
      if (!gate.allowsGroup(caller, "read", request.groupId)) {
        return { throttleTimeMs: 0, errorCode: GROUP_DENIED };
      }
      return transactions.addOffsetsToTxn(caller, request, version);
    },
    async endTxn(caller, request, version) {
      if (mayWrite(caller, request.transactionalId)) {
        return transactions.endTxn(caller, request, version);
      }
      return { throttleTimeMs: 0, errorCode: ID_DENIED, producerId: -1, producerEpoch: -1 };
    },
    async writeTxnMarkers(caller, request, version) {
      // Operators who end a transaction that hangs may alter the cluster; coordinators act for it.
      if (gate.allowsCluster(caller, "alter") || gate.allowsCluster(caller, "cluster_action")) {
        return transactions.writeTxnMarkers(caller, request, version);
      }
      const markers = request.markers.map(({ producerId, topics }) => ({
        producerId,
        topics: topics.map(({ name, partitionIndexes }) => ({
          name,
          partitions: partitionIndexes.map((partitionIndex) => ({
            partitionIndex,
            errorCode: CLUSTER_DENIED,
          })),
        })),
      }));
      return { markers };
    },
    describeTransactions: (caller, request, version) =>
      describeTransactions(transactions, gate, caller, request, version),
    async listTransactions(caller, request, version) {
      const response = await transactions.listTransactions(caller, request, version);
      const names = response.transactionStates.map(({ transactionalId }) => transactionalId);
      const visible = gate.allowed(caller, "describe", "transactional_id", names);
      const transactionStates = response.transactionStates.filter(({ transactionalId }) =>
        visible.has(transactionalId),
      );
      return { ...response, transactionStates };
    },
  };
}

/** The answer to a client whose transaction may not be added to; null where it may. */
function refusedPartitions(
  gate: Gate,
  caller: Caller,
  request: AddPartitionsToTxnRequest,
  partitionCountOf: (topic: string) => number,
): AddPartitionsToTxnResponse | null {
  const topics = request.v3AndBelowTopics;
  const answer = (codeOf: (topic: string, partition: number) => KafkaErrorName) => ({
    throttleTimeMs: 0,
    errorCode: NONE,
    resultsByTransaction: [],
    resultsByTopicV3AndBelow: topics.map(({ name, partitions }) => ({
      name,
      resultsByPartition: partitions.map((partitionIndex) => ({
        partitionIndex,
        partitionErrorCode: wireCodeOf(codeOf(name, partitionIndex)),
      })),
    })),
  });
  if (!gate.allowsTransactionalId(caller, "write", request.v3AndBelowTransactionalId)) {
    return answer(() => "transactional_id_authorization_failed");
  }
  const names = topics.map(({ name }) => name).filter((name) => !isInternalTopic(name));
  const allowed = gate.allowed(caller, "write", "topic", names);
  if (topics.every(({ name }) => allowed.has(name))) return null;
  return answer((name, partition) => {
    if (!allowed.has(name)) return "topic_authorization_failed";
    return partition >= 0 && partition < partitionCountOf(name)
      ? "operation_not_attempted"
      : "unknown_topic_or_partition";
  });
}

async function describeTransactions(
  transactions: TransactionApi,
  gate: Gate,
  caller: Caller,
  request: DescribeTransactionsRequest,
  version: number,
): Promise<DescribeTransactionsResponse> {
  const ids = request.transactionalIds;
  const allowed = gate.allowed(caller, "describe", "transactional_id", ids);
  const transactionalIds = ids.filter((each) => allowed.has(each));
  const answered =
    transactionalIds.length === 0
      ? []
      : (await transactions.describeTransactions(caller, { ...request, transactionalIds }, version))
          .transactionStates;
  const names = answered.flatMap(({ topics }) => topics.map(({ topic }) => topic));
  const visible = gate.allowed(caller, "describe", "topic", names);
  let next = 0;
  const transactionStates = ids.map((transactionalId) => {
    if (!allowed.has(transactionalId)) return refusedTransaction(transactionalId);
    const state = answered[next++]!;
    return { ...state, topics: state.topics.filter(({ topic }) => visible.has(topic)) };
  });
  return { throttleTimeMs: 0, transactionStates };
}

function refusedTransaction(
  transactionalId: string,
): DescribeTransactionsResponse["transactionStates"][number] {
  return {
    errorCode: ID_DENIED,
    transactionalId,
    transactionState: "",
    transactionTimeoutMs: 0,
    transactionStartTimeMs: 0,
    producerId: 0,
    producerEpoch: 0,
    topics: [],
  };
}
