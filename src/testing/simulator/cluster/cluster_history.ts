// What the clients of a simulated cluster were told: the histories of partitions as with one broker, and beyond them who said it,
// under which leader epoch, and how partitions were described. Invariant: as in history.ts, from the wire alone.

import { type Ack, type Checker, type Fail, History, type PartitionHistory } from "../history.ts";
import type { World } from "../world.ts";

/** A partition in an answer to Metadata. */
export interface PartitionTold {
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
}

/** A batch as a broker served it. `bytes` are all of it. */
export interface ServedBatch {
  readonly brokerId: number;
  readonly baseOffset: number;
  /** Exclusive. */
  readonly endOffset: number;
  readonly leaderEpoch: number;
  readonly bytes: Uint8Array;
}

/** Invariants of several brokers; those of partitions are in ../checkers. */
export interface ClusterChecker {
  readonly name: string;
  described?(partition: PartitionHistory, told: PartitionTold, fail: Fail): void;
  /** An acks=all append that was sent at `sentUs`, in virtual time, and that `brokerId` acknowledged. */
  ackedBy?(
    partition: PartitionHistory,
    ack: Ack,
    brokerId: number,
    sentUs: number,
    fail: Fail,
  ): void;
  /** `connection` is unique in a run, and of one life of the broker. */
  highWatermarkTold?(
    partition: PartitionHistory,
    brokerId: number,
    connection: number,
    highWatermark: number,
    fail: Fail,
  ): void;
  served?(partition: PartitionHistory, batch: ServedBatch, fail: Fail): void;
  /** At the end, of every replica: what it serves below the high watermark. */
  replicaAudited?(
    partition: PartitionHistory,
    brokerId: number,
    highWatermark: number,
    batches: readonly ServedBatch[],
    fail: Fail,
  ): void;
  offsetCommitted?(group: string, offset: number, fail: Fail): void;
  /** `floor` is the largest that was acknowledged before it was asked, `asked` the largest that was asked for. */
  offsetFetched?(group: string, offset: number, floor: number, asked: number, fail: Fail): void;
}

export class ClusterHistory {
  readonly history: History;
  readonly #checkers: readonly ClusterChecker[];
  readonly #fails: readonly Fail[];

  constructor(
    world: World,
    checkers: readonly Checker[],
    clusterCheckers: readonly ClusterChecker[],
  ) {
    this.history = new History(world, checkers);
    this.#checkers = clusterCheckers;
    this.#fails = clusterCheckers.map((checker) => (message) => world.fail(checker.name, message));
  }

  described(partition: PartitionHistory, told: PartitionTold): void {
    this.#each((checker, fail) => checker.described?.(partition, told, fail));
  }

  acked(partition: PartitionHistory, ack: Ack, brokerId: number, sentUs: number): void {
    this.history.acked(partition, ack);
    this.#each((checker, fail) => checker.ackedBy?.(partition, ack, brokerId, sentUs, fail));
  }

  highWatermarkTold(
    partition: PartitionHistory,
    brokerId: number,
    connection: number,
    highWatermark: number,
  ): void {
    this.#each((checker, fail) =>
      checker.highWatermarkTold?.(partition, brokerId, connection, highWatermark, fail),
    );
  }

  served(partition: PartitionHistory, batch: ServedBatch): void {
    this.#each((checker, fail) => checker.served?.(partition, batch, fail));
  }

  replicaAudited(
    partition: PartitionHistory,
    brokerId: number,
    highWatermark: number,
    batches: readonly ServedBatch[],
  ): void {
    this.#each((checker, fail) =>
      checker.replicaAudited?.(partition, brokerId, highWatermark, batches, fail),
    );
  }

  offsetCommitted(group: string, offset: number): void {
    this.#each((checker, fail) => checker.offsetCommitted?.(group, offset, fail));
  }

  offsetFetched(group: string, offset: number, floor: number, asked: number): void {
    this.#each((checker, fail) => checker.offsetFetched?.(group, offset, floor, asked, fail));
  }

  #each(act: (checker: ClusterChecker, fail: Fail) => void): void {
    for (let i = 0; i < this.#checkers.length; i++) act(this.#checkers[i]!, this.#fails[i]!);
  }
}
