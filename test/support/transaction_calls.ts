// Calls of a broker's TransactionApi in short, and a producer's batches: what a test does not say is left at its default.

import type { Broker, Caller } from "../../src/contracts/broker.ts";
import { withDefaults } from "../../src/protocol/defaults.ts";
import { errorByCode } from "../../src/protocol/errors.ts";
import type { MessageInputOf } from "../../src/protocol/infer.ts";
import { OffsetFetch } from "../../src/protocol/messages/09_offset_fetch.ts";
import { FindCoordinator } from "../../src/protocol/messages/10_find_coordinator.ts";
import { InitProducerId } from "../../src/protocol/messages/22_init_producer_id.ts";
import { AddPartitionsToTxn } from "../../src/protocol/messages/24_add_partitions_to_txn.ts";
import { AddOffsetsToTxn } from "../../src/protocol/messages/25_add_offsets_to_txn.ts";
import { EndTxn } from "../../src/protocol/messages/26_end_txn.ts";
import { WriteTxnMarkers } from "../../src/protocol/messages/27_write_txn_markers.ts";
import { TxnOffsetCommit } from "../../src/protocol/messages/28_txn_offset_commit.ts";
import { DescribeTransactions } from "../../src/protocol/messages/65_describe_transactions.ts";
import { ListTransactions } from "../../src/protocol/messages/66_list_transactions.ts";
import type { Message } from "../../src/protocol/schema.ts";
import { batchOf } from "./log_rig.ts";
import { visibleIn } from "./transaction_model.ts";

type Given<M extends Message> = Partial<MessageInputOf<M>>;

const full = <const M extends Message>(message: M, given: Given<M>) =>
  withDefaults(message, given as MessageInputOf<M>);

export const codeName = (code: number): string => errorByCode(code)?.code ?? "none";

/** A producer as it knows itself. */
export interface Producer {
  readonly producerId: number;
  readonly producerEpoch: number;
}

export class TransactionCalls {
  readonly #broker: Broker;
  readonly caller: Caller;

  constructor(broker: Broker, caller: Caller) {
    this.#broker = broker;
    this.caller = caller;
  }

  find(keys: readonly string[], version = 6) {
    const request = full(FindCoordinator.request, {
      key: keys[0] ?? "",
      keyType: 1,
      coordinatorKeys: keys,
    });
    return this.#broker.transactions.findCoordinator(this.caller, request, version);
  }

  init(given: Given<typeof InitProducerId.request> = {}, version = 5) {
    const request = full(InitProducerId.request, {
      transactionalId: "t",
      transactionTimeoutMs: 60_000,
      ...given,
    });
    return this.#broker.transactions.initProducerId(this.caller, request, version);
  }

  /** Up to version 3. @returns error names by "topic/partition", in the order of the answer */
  async add(
    producer: Producer,
    topics: Readonly<Record<string, readonly number[]>>,
    version = 3,
    transactionalId = "t",
  ): Promise<Record<string, string>> {
    const request = full(AddPartitionsToTxn.request, {
      v3AndBelowTransactionalId: transactionalId,
      v3AndBelowProducerId: producer.producerId,
      v3AndBelowProducerEpoch: producer.producerEpoch,
      v3AndBelowTopics: Object.entries(topics).map(([name, partitions]) => ({ name, partitions })),
    });
    const { transactions } = this.#broker;
    const answer = await transactions.addPartitionsToTxn(this.caller, request, version);
    return namesOf(answer.resultsByTopicV3AndBelow);
  }

  /** From version 4 on, of one transaction. */
  async addBatched(
    producer: Producer,
    topics: Readonly<Record<string, readonly number[]>>,
    verifyOnly = false,
    transactionalId = "t",
  ): Promise<Record<string, string>> {
    const request = full(AddPartitionsToTxn.request, {
      transactions: [
        {
          transactionalId,
          ...producer,
          verifyOnly,
          topics: Object.entries(topics).map(([name, partitions]) => ({ name, partitions })),
        },
      ],
    });
    const { transactions } = this.#broker;
    const answer = await transactions.addPartitionsToTxn(this.caller, request, 5);
    return namesOf(answer.resultsByTransaction[0]!.topicResults);
  }

  async addOffsets(producer: Producer, groupId = "g", version = 4, transactionalId = "t") {
    const request = full(AddOffsetsToTxn.request, { transactionalId, ...producer, groupId });
    const answer = await this.#broker.transactions.addOffsetsToTxn(this.caller, request, version);
    return codeName(answer.errorCode);
  }

  end(producer: Producer, committed = true, version = 5, transactionalId = "t") {
    const { producerId, producerEpoch } = producer;
    const request = full(EndTxn.request, { transactionalId, producerId, producerEpoch, committed });
    return this.#broker.transactions.endTxn(this.caller, request, version);
  }

  writeMarkers(given: Given<typeof WriteTxnMarkers.request>, version = 2) {
    const request = full(WriteTxnMarkers.request, given);
    return this.#broker.transactions.writeTxnMarkers(this.caller, request, version);
  }

  async describe(...transactionalIds: string[]) {
    const request = full(DescribeTransactions.request, { transactionalIds });
    const { transactions } = this.#broker;
    return (await transactions.describeTransactions(this.caller, request, 0)).transactionStates;
  }

  list(given: Given<typeof ListTransactions.request> = {}) {
    const request = full(ListTransactions.request, given);
    return this.#broker.transactions.listTransactions(this.caller, request, 2);
  }

  /** One batch. @returns "ok", or why not */
  async produce(
    producer: Producer,
    values: readonly string[],
    given: {
      topic?: string;
      partition?: number;
      sequence?: number;
      adds?: boolean;
      transactionalId?: string;
    } = {},
  ): Promise<string> {
    const { topic = "a", partition = 0, sequence = 0, adds = true, transactionalId = "t" } = given;
    const batches = batchOf(values, { ...producer, baseSequence: sequence, isTransactional: true });
    const [outcome] = await this.#broker.log.append(this.caller, {
      acks: -1,
      timeoutMs: 1000,
      transactionalId,
      addsToTransaction: adds,
      partitions: [{ topic, partition, batches }],
    });
    return outcome!.ok ? "ok" : outcome!.error.code;
  }

  /** An offset of partition 0 of a topic, by TxnOffsetCommit v5. @returns an error's name, or "none" */
  async commitOffset(
    producer: Producer,
    groupId: string,
    topic: string,
    offset: number,
    transactionalId = "t",
  ): Promise<string> {
    const request = full(TxnOffsetCommit.request, {
      transactionalId,
      groupId,
      ...producer,
      topics: [
        {
          name: topic,
          partitions: [{ partitionIndex: 0, committedOffset: offset, committedMetadata: null }],
        },
      ],
    });
    const answer = await this.#broker.groups.txnOffsetCommit(this.caller, request, 5);
    return codeName(answer.topics[0]!.partitions[0]!.errorCode);
  }

  /** What is committed for partition 0 of a topic: -1, or why it cannot be said for sure. */
  async committedOffset(groupId: string, topic: string): Promise<number | string> {
    const request = full(OffsetFetch.request, {
      groupId,
      topics: [{ name: topic, partitionIndexes: [0] }],
      requireStable: true,
    });
    const answer = await this.#broker.groups.offsetFetch(this.caller, request, 7);
    if (answer.errorCode !== 0) return codeName(answer.errorCode);
    const { errorCode, committedOffset } = answer.topics[0]!.partitions[0]!;
    return errorCode === 0 ? committedOffset : codeName(errorCode);
  }

  /** What a reader sees of a partition, from its start. */
  async read(
    isolation: "read_committed" | "read_uncommitted" = "read_committed",
    topic = "a",
    partition = 0,
  ): Promise<string[]> {
    const bytesMax = 10_000_000;
    const response = await this.#broker.log.fetch(this.caller, {
      isolation,
      waitMsMax: 0,
      bytesMin: 0,
      bytesMax,
      partitions: [{ topic, partition, fetchOffset: 0, bytesMax, leaderEpoch: -1 }],
    });
    const [outcome] = response.partitions;
    if (!outcome!.ok) throw new Error(outcome!.error.message);
    const bytes = (outcome!.value.batches[0] ?? new Uint8Array(0)).slice();
    response.release();
    const fetched = { result: outcome!.value, bytes, endOffset: 0 };
    return visibleIn(fetched).map(({ value }) => String(value));
  }
}

function namesOf(
  topics: readonly {
    readonly name: string;
    readonly resultsByPartition: readonly {
      readonly partitionIndex: number;
      readonly partitionErrorCode: number;
    }[];
  }[],
): Record<string, string> {
  const names: Record<string, string> = {};
  for (const { name, resultsByPartition } of topics) {
    for (const { partitionIndex, partitionErrorCode } of resultsByPartition) {
      names[`${name}/${partitionIndex}`] = codeName(partitionErrorCode);
    }
  }
  return names;
}
