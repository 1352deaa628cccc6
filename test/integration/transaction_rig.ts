// Requests of transactions in short, and producers in the states in which requests are refused: for the cases of
// transaction_refusals.ts and those beside it. They run against any broker on a socket, so that Apache Kafka can be asked, too.

import { Produce } from "../../src/protocol/messages/00_produce.ts";
import { OffsetCommit } from "../../src/protocol/messages/08_offset_commit.ts";
import { FindCoordinator } from "../../src/protocol/messages/10_find_coordinator.ts";
import { InitProducerId } from "../../src/protocol/messages/22_init_producer_id.ts";
import { AddPartitionsToTxn } from "../../src/protocol/messages/24_add_partitions_to_txn.ts";
import { AddOffsetsToTxn } from "../../src/protocol/messages/25_add_offsets_to_txn.ts";
import { EndTxn } from "../../src/protocol/messages/26_end_txn.ts";
import { TxnOffsetCommit } from "../../src/protocol/messages/28_txn_offset_commit.ts";
import { DescribeTransactions } from "../../src/protocol/messages/65_describe_transactions.ts";
import { type BatchOptions, RecordBatchBuilder } from "../../src/record/record_builder.ts";
import type { WireClient } from "./live.ts";
import type { Codes } from "./refusal_rig.ts";

/** What every batch says it was made at. */
export const WRITTEN_MS = 1_700_000_000_000;
/** Codes of a coordinator that is not there yet, or busy with the end of what was before. */
const NOT_YET = [3, 14, 15, 16, 51];
const BUSY = 51;
const TRIES = 250;

export interface Transactor {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly producerEpoch: number;
}

export interface Batch {
  readonly topic?: string;
  readonly partition?: number;
  readonly records?: Uint8Array;
}

const soon = (): Promise<void> => new Promise((done) => setTimeout(done, 20));

/** One record, as a producer of transactions sends it first; `given` says otherwise. */
export function batchOf(given: BatchOptions & { readonly records?: number } = {}): Uint8Array {
  const builder = new RecordBatchBuilder({ baseSequence: 0, isTransactional: true, ...given });
  for (let n = given.records ?? 1; n > 0; n--) {
    builder.append(WRITTEN_MS, null, new Uint8Array([n]));
  }
  return builder.build();
}

export class TransactionRig {
  /** What the cases come to, in the order of asking. */
  readonly seen: Record<string, Codes>;
  readonly client: WireClient;
  /** Whether to speak the newer protocol, too, for which Kafka has no records at transaction.version 0: it fails inside. */
  readonly speaksNewer: boolean;
  #ids = 0;

  constructor(client: WireClient, seen: Record<string, Codes>, speaksNewer = true) {
    this.client = client;
    this.seen = seen;
    this.speaksNewer = speaksNewer;
  }

  /** Versions of an API from `lowest` on, whose `highest` one is of the newer protocol. */
  versions(lowest: number, highest: number): number[] {
    const count = highest - lowest + (this.speaksNewer ? 1 : 0);
    return Array.from({ length: count }, (_, n) => lowest + n);
  }

  note(what: string, ...codes: Codes): void {
    if (what in this.seen) throw new Error(`${what} is there twice`);
    this.seen[what] = codes;
  }

  /** A transactional id that is not there yet. */
  newId(): string {
    return `${this.constructor.name}-${this.#ids++}`;
  }

  /** Waits until both coordinators are there. */
  async ready(): Promise<void> {
    const key = this.newId();
    for (let n = 0; n < TRIES; n++) {
      for (const keyType of [0, 1]) {
        await this.client.ask(FindCoordinator, 4, { keyType, coordinatorKeys: [key] });
      }
      const { errorCode } = await this.init(key);
      const partitions = [{ partitionIndex: 0, committedOffset: 1, committedMetadata: "" }];
      const committed = await this.client.ask(OffsetCommit, 8, {
        groupId: key,
        generationIdOrMemberEpoch: -1,
        memberId: "",
        topics: [{ name: "t", partitions }],
      });
      const codes = [errorCode, committed.topics[0]!.partitions[0]!.errorCode];
      if (codes.every((code) => code === 0)) return;
      if (!codes.every((code) => code === 0 || NOT_YET.includes(code))) {
        throw new Error(`the coordinators are not there: ${codes}`);
      }
      await soon();
    }
    throw new Error("the coordinators did not come");
  }

  // Requests, with what they mostly have

  async init(transactionalId: string, given: object = {}, version = 5) {
    return await this.client.ask(InitProducerId, version, {
      transactionalId,
      transactionTimeoutMs: 60_000,
      ...given,
    });
  }

  /** One that has begun nothing; its epoch is 0. */
  async transactor(): Promise<Transactor> {
    const transactionalId = this.newId();
    const { errorCode, producerId, producerEpoch } = await this.init(transactionalId);
    if (errorCode !== 0) throw new Error(`${transactionalId} was answered ${errorCode}`);
    return { transactionalId, producerId, producerEpoch };
  }

  /** Partition 0 of "t" is in its transaction. */
  async begun(): Promise<Transactor> {
    const by = await this.transactor();
    const codes = await this.add(by);
    if (codes.some((code) => code !== 0)) throw new Error(`${by.transactionalId}: ${codes}`);
    return by;
  }

  /** Partitions by the older form. @returns codes in the order of the answer */
  async add(by: Transactor, topics: object[] = [topic("t", 0)], version = 3): Promise<number[]> {
    for (let n = 0; ; n++) {
      const answer = await this.client.ask(AddPartitionsToTxn, version, {
        v3AndBelowTransactionalId: by.transactionalId,
        v3AndBelowProducerId: by.producerId,
        v3AndBelowProducerEpoch: by.producerEpoch,
        v3AndBelowTopics: topics as { name: string; partitions: number[] }[],
      });
      const codes = answer.resultsByTopicV3AndBelow.flatMap(({ resultsByPartition }) =>
        resultsByPartition.map(({ partitionErrorCode }) => partitionErrorCode),
      );
      // Kafka may still be writing markers of what was before.
      if (!codes.includes(BUSY) || n === TRIES) return codes;
      await soon();
    }
  }

  async addOffsets(by: Transactor, groupId: string, version = 3): Promise<number> {
    return (await this.client.ask(AddOffsetsToTxn, version, { ...by, groupId })).errorCode;
  }

  /** The code, and for the newer protocol by how much the epoch has gone up. */
  async end(by: Transactor, committed: boolean, version = 3): Promise<Codes> {
    const answer = await this.client.ask(EndTxn, version, { ...by, committed });
    if (version < 5 || answer.errorCode !== 0) return [answer.errorCode];
    return [0, `epoch ${answer.producerEpoch - by.producerEpoch} up`];
  }

  async commit(by: Transactor, groupId: string, given: object = {}, version = 3) {
    const partitions = [{ partitionIndex: 0, committedOffset: 7, committedMetadata: "" }];
    const { topics } = await this.client.ask(TxnOffsetCommit, version, {
      ...by,
      groupId,
      memberId: "",
      topics: [{ name: "t", partitions }],
      ...given,
    });
    return topics.flatMap((each) => each.partitions.map(({ errorCode }) => errorCode));
  }

  /** @returns the code of each batch */
  async produce(
    transactionalId: string | null,
    batches: readonly Batch[],
    version = 11,
    acks = -1,
  ): Promise<number[]> {
    for (let n = 0; ; n++) {
      const { responses } = await this.client.ask(Produce, version, {
        transactionalId,
        acks,
        timeoutMs: 5000,
        topicData: batches.map(({ topic: name = "t", partition: index = 0, records = null }) => ({
          name,
          partitionData: [{ index, records }],
        })),
      });
      const codes = responses.flatMap(({ partitionResponses }) =>
        partitionResponses.map(({ errorCode }) => errorCode),
      );
      if (!codes.includes(BUSY) || n === TRIES) return codes;
      await soon();
    }
  }

  /** Its batch, with what `given` says of it. */
  async send(
    by: Transactor,
    given: BatchOptions & { readonly records?: number } = {},
    version = 11,
  ) {
    const { producerId, producerEpoch } = by;
    const records = batchOf({ producerId, producerEpoch, ...given });
    return await this.produce(by.transactionalId, [{ records }], version);
  }

  async stateOf(transactionalId: string): Promise<string> {
    const { transactionStates } = await this.client.ask(DescribeTransactions, 0, {
      transactionalIds: [transactionalId],
    });
    const { errorCode, transactionState } = transactionStates[0]!;
    return errorCode === 0 ? transactionState : `error ${errorCode}`;
  }

  /** Waits until its markers are written, as Kafka's may not be when it answers. */
  async settled(transactionalId: string): Promise<string> {
    for (let n = 0; n < TRIES; n++) {
      const state = await this.stateOf(transactionalId);
      if (!state.startsWith("Prepare")) return state;
      await soon();
    }
    throw new Error(`${transactionalId} did not come to its end`);
  }
}

export const topic = (name: string, ...partitions: number[]) => ({ name, partitions });
