// A transactional id as its coordinator knows it: one immutable value, which the next record of the id replaces.
// Invariant: partitions are there while a transaction is open or ends, and at no other time.
// Kafka: TransactionMetadata, TransactionState.

import type { TopicPartition } from "../../../contracts/broker.ts";

/**
 * "empty": nothing has been begun since the producer came. "prepare_*": the end is decided, and markers are on their way.
 * "dead" and "prepare_epoch_fence" are of Kafka's memory alone: neither is ever written.
 */
export type TransactionState =
  | "empty"
  | "ongoing"
  | "prepare_commit"
  | "prepare_abort"
  | "complete_commit"
  | "complete_abort"
  | "dead"
  | "prepare_epoch_fence";

/** In the order of Kafka's numbers. */
export const TRANSACTION_STATES: readonly TransactionState[] = [
  "empty",
  "ongoing",
  "prepare_commit",
  "prepare_abort",
  "complete_commit",
  "complete_abort",
  "dead",
  "prepare_epoch_fence",
];

/** As DescribeTransactions and ListTransactions call them. */
export const STATE_NAMES: Readonly<Record<TransactionState, string>> = {
  empty: "Empty",
  ongoing: "Ongoing",
  prepare_commit: "PrepareCommit",
  prepare_abort: "PrepareAbort",
  complete_commit: "CompleteCommit",
  complete_abort: "CompleteAbort",
  dead: "Dead",
  prepare_epoch_fence: "PrepareEpochFence",
};

/** Numbers of partitions by topic, in the order in which they came. */
export type Partitions = ReadonlyMap<string, ReadonlySet<number>>;

export const NO_PARTITIONS: Partitions = new Map();

export interface Transaction {
  readonly transactionalId: string;
  readonly producerId: number;
  /** The producer id before the last change of this value, whether it changed or not; -1 when a version 0 was read. */
  readonly previousProducerId: number;
  /** What the producer goes on with after an end that used up the epochs; -1: with the same. */
  readonly nextProducerId: number;
  readonly producerEpoch: number;
  readonly timeoutMs: number;
  readonly state: TransactionState;
  readonly partitions: Partitions;
  /** Wall time of the first partition; -1: nothing was begun. */
  readonly startMs: number;
  /** Wall time of the last change. */
  readonly updatedMs: number;
  /** Of the protocol by which the last transaction was begun or ended: from 2 on every end has an epoch of its own (KIP-890). */
  readonly clientVersion: number;
}

export const NO_PRODUCER_ID = -1;
export const NO_PRODUCER_EPOCH = -1;
const EPOCH_MAX = 32_767;
/** A timeout that stands for none: of two-phase commits (KIP-939). */
export const NO_TIMEOUT_MS = 2_147_483_647;
/** First level of transaction.version with an epoch for each transaction. */
const EPOCH_BUMP_FROM = 2;

/** The largest epoch is kept for fencing: no producer is given it. */
export function isEpochExhausted(epoch: number): boolean {
  return epoch >= EPOCH_MAX - 1;
}

/** The next epoch; the largest is followed by itself, which only a transaction that was begun with it can meet. */
export function bumpedEpoch(epoch: number): number {
  return Math.min(epoch + 1, EPOCH_MAX);
}

/** Whether ends by that protocol have an epoch of their own. */
export function bumpsEpoch(clientVersion: number): boolean {
  return clientVersion >= EPOCH_BUMP_FROM;
}

/** The end is decided and not yet complete. */
export function isPrepared({ state }: Transaction): boolean {
  return state === "prepare_commit" || state === "prepare_abort";
}

export function partitionsOf(list: Iterable<TopicPartition>): Partitions {
  return withPartitions(NO_PARTITIONS, list);
}

export function* listOf(partitions: Partitions): Generator<TopicPartition, void> {
  for (const [topic, numbers] of partitions) {
    for (const partition of numbers) yield { topic, partition };
  }
}

export function hasPartition(partitions: Partitions, { topic, partition }: TopicPartition) {
  return partitions.get(topic)?.has(partition) === true;
}

export function withPartitions(
  partitions: Partitions,
  added: Iterable<TopicPartition>,
): Partitions {
  const all = new Map(partitions);
  const own = new Map<string, Set<number>>();
  for (const { topic, partition } of added) {
    let numbers = own.get(topic);
    if (numbers === undefined) {
      numbers = new Set(partitions.get(topic));
      own.set(topic, numbers);
      all.set(topic, numbers);
    }
    numbers.add(partition);
  }
  return all;
}
