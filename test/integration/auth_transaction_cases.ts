// What operations on transactions and features are refused with, and the rules that allow them.

import { Produce } from "../../src/protocol/messages/00_produce.ts";
import { InitProducerId } from "../../src/protocol/messages/22_init_producer_id.ts";
import { AddPartitionsToTxn } from "../../src/protocol/messages/24_add_partitions_to_txn.ts";
import { AddOffsetsToTxn } from "../../src/protocol/messages/25_add_offsets_to_txn.ts";
import { EndTxn } from "../../src/protocol/messages/26_end_txn.ts";
import { WriteTxnMarkers } from "../../src/protocol/messages/27_write_txn_markers.ts";
import { TxnOffsetCommit } from "../../src/protocol/messages/28_txn_offset_commit.ts";
import { UpdateFeatures } from "../../src/protocol/messages/57_update_features.ts";
import { DescribeTransactions } from "../../src/protocol/messages/65_describe_transactions.ts";
import { ListTransactions } from "../../src/protocol/messages/66_list_transactions.ts";
import { patchCrc, TRANSACTIONAL_BIT } from "../../src/record/batch_header.ts";
import { asking, batch, type Case, CLUSTER, one, TRANSACTION } from "./auth_rig.ts";
import type { WireClient } from "./live.ts";

const ATTRIBUTES_AT = 22;

/** A batch that says that it belongs to a transaction. */
function transactionalBatch(): Uint8Array {
  const bytes = batch();
  bytes[ATTRIBUTES_AT]! |= TRANSACTIONAL_BIT;
  patchCrc(bytes, 0, bytes.length);
  return bytes;
}

const producer = { producerId: 4242, producerEpoch: 0 };
const oneOfMine = { transactionalId: "x", ...producer };
const topics = [{ name: "there", partitions: [0] }];

export const TRANSACTION_CASES: readonly Case[] = [
  {
    operation: "write with a transactional id",
    refused: TRANSACTION,
    rule: { allow: ["write"], topics: ["*"], transactionalIds: ["x"] },
    ...asking(
      Produce,
      8,
      () => ({
        transactionalId: "x",
        acks: -1,
        timeoutMs: 5000,
        topicData: [
          { name: "there", partitionData: [{ index: 0, records: transactionalBatch() }] },
        ],
      }),
      ({ responses }) => responses[0]!.partitionResponses[0]!.errorCode,
    ),
  },
  {
    operation: "write with a transactional id and to a topic: partitions",
    refused: TRANSACTION,
    rule: { allow: ["write"], topics: ["there"], transactionalIds: ["x"] },
    ...asking(
      AddPartitionsToTxn,
      3,
      () => ({
        v3AndBelowTransactionalId: "x",
        v3AndBelowProducerId: producer.producerId,
        v3AndBelowProducerEpoch: producer.producerEpoch,
        v3AndBelowTopics: topics,
      }),
      ({ resultsByTopicV3AndBelow: [row] }) => row!.resultsByPartition[0]!.partitionErrorCode,
    ),
  },
  {
    operation: "cluster_action: partitions of many transactions",
    refused: CLUSTER,
    rule: one("cluster_action", "cluster"),
    ...asking(
      AddPartitionsToTxn,
      5,
      () => ({ transactions: [{ ...oneOfMine, verifyOnly: true, topics }] }),
      ({ errorCode }) => errorCode,
    ),
  },
  {
    operation: "write with a transactional id and read a group: offsets",
    refused: TRANSACTION,
    rule: { allow: ["write", "read"], transactionalIds: ["x"], groups: ["g"] },
    ...asking(
      AddOffsetsToTxn,
      4,
      () => ({ ...oneOfMine, groupId: "g" }),
      ({ errorCode }) => errorCode,
    ),
  },
  {
    operation: "write with a transactional id: end",
    refused: TRANSACTION,
    rule: one("write", "transactionalIds"),
    ...asking(
      EndTxn,
      5,
      () => ({ ...oneOfMine, committed: true }),
      ({ errorCode }) => errorCode,
    ),
  },
  ...(["cluster_action", "alter"] as const).map(
    (operation): Case => ({
      operation: `${operation}: markers`,
      refused: CLUSTER,
      rule: one(operation, "cluster"),
      ...asking(
        WriteTxnMarkers,
        2,
        () => ({
          markers: [
            {
              ...producer,
              transactionResult: false,
              coordinatorEpoch: 0,
              transactionVersion: 0,
              topics: [{ name: "nowhere", partitionIndexes: [0] }],
            },
          ],
        }),
        ({ markers }) => markers[0]!.topics[0]!.partitions[0]!.errorCode,
      ),
    }),
  ),
  {
    operation: "write with a transactional id, read a group and a topic: commit",
    refused: TRANSACTION,
    rule: { allow: ["write", "read"], transactionalIds: ["x"], groups: ["g"], topics: ["there"] },
    ...asking(
      TxnOffsetCommit,
      5,
      () => ({
        ...oneOfMine,
        groupId: "g",
        memberId: "",
        topics: [
          {
            name: "there",
            partitions: [{ partitionIndex: 0, committedOffset: 5, committedMetadata: "" }],
          },
        ],
      }),
      (answer) => answer.topics[0]!.partitions[0]!.errorCode,
    ),
  },
  {
    operation: "describe a transactional id",
    refused: TRANSACTION,
    rule: one("describe", "transactionalIds"),
    ...asking(
      DescribeTransactions,
      0,
      () => ({ transactionalIds: ["x"] }),
      ({ transactionStates }) => transactionStates[0]!.errorCode,
    ),
  },
  {
    operation: "alter the cluster: features",
    refused: CLUSTER,
    rule: one("alter", "cluster"),
    ...asking(
      UpdateFeatures,
      2,
      () => ({
        timeoutMs: 1000,
        featureUpdates: [{ feature: "group.version", maxVersionLevel: 0, upgradeType: 2 }],
        validateOnly: true,
      }),
      ({ errorCode }) => errorCode,
    ),
  },
];

/** Ids that a list shows. */
export async function listedTransactions(client: WireClient): Promise<readonly string[]> {
  const { transactionStates } = await client.ask(ListTransactions, 2, {
    stateFilters: [],
    producerIdFilters: [],
    durationFilter: -1,
    transactionalIdPattern: null,
  });
  return transactionStates.map(({ transactionalId }) => transactionalId);
}

/** Makes it known to its coordinator. @returns the error code */
export async function beginTransactions(client: WireClient, transactionalId: string) {
  const { errorCode } = await client.ask(InitProducerId, 5, {
    transactionalId,
    transactionTimeoutMs: 1000,
  });
  return errorCode;
}
