// What this broker is to each partition of a cluster: its leader, a follower, or nothing. Invariant: a partition has at most
// one role here, the one that the newest image gives it, and its log knows it; each leader elsewhere has one fetcher at most.
// Kafka: ReplicaManager.applyDelta, ReplicaFetcherManager.

import type { Runtime, Timer } from "../../contracts/runtime.ts";
import type { BrokerImage, PartitionImage } from "../cluster/image.ts";
import { type FollowerLog, PartitionFollower } from "../partition/partition_follower.ts";
import {
  type FollowerFetch,
  type IsrProposal,
  PartitionLeader,
  type ProposalAnswer,
  type ReplicatedLog,
} from "../partition/partition_leader.ts";
import { Fetcher } from "./fetcher.ts";
import type { Peers } from "./peers.ts";

export type Role = PartitionLeader | PartitionFollower;

/** A log as roles need it: PartitionLog has it. */
export interface ReplicaLog extends ReplicatedLog, FollowerLog {
  /** The start of an epoch is at the log's end, also where nothing is written under it. */
  beginEpoch(epoch: number): void;
  /** Who waits on the log looks again. */
  wakeWaiters(): void;
}

export interface ReplicaManagerOptions {
  readonly runtime: Runtime;
  readonly brokerId: number;
  readonly brokerEpoch: () => number;
  readonly peers: Peers;
  /** Live brokers, as the newest image has them. */
  readonly brokers: () => ReadonlyMap<number, BrokerImage>;
  /** By index; undefined: there is no such topic. */
  readonly partitionsOf: (topicId: string) => readonly PartitionImage[] | undefined;
  /** Null where the log is not held here. */
  readonly logOf: (topicId: string, partition: number) => ReplicaLog | null;
  /** The log hears what this broker is to it; null: nothing now, which is never "alone": nothing is committed by it (NO_ROLE_YET). */
  readonly setRole: (topicId: string, partition: number, role: Role | null) => void;
  /** min.insync.replicas of a topic. */
  readonly minInSync: (topicId: string) => number;
  /** Never rejects. */
  readonly alterIsr: (
    topicId: string,
    partition: number,
    proposal: IsrProposal,
  ) => Promise<ProposalAnswer>;
  /** replica.lag.time.max.ms, and the replica.fetch.* settings. */
  readonly lagMsMax: () => number;
  readonly waitMs: () => number;
  readonly bytesMin: () => number;
  readonly partitionBytesMax: () => number;
  readonly bytesMax: () => number;
  readonly backoffMs: () => number;
}

export class ReplicaManager {
  readonly #options: ReplicaManagerOptions;
  /** By topic id, then by partition. */
  readonly #roles = new Map<string, Map<number, Role>>();
  readonly #fetchers = new Map<number, Fetcher>();
  #lagTimer: Timer | null = null;
  #isClosed = false;

  constructor(options: ReplicaManagerOptions) {
    this.#options = options;
    this.#scheduleLagCheck();
  }

  roleOf(topicId: string, partition: number): Role | null {
    return this.#roles.get(topicId)?.get(partition) ?? null;
  }

  leaderOf(topicId: string, partition: number): PartitionLeader | null {
    const role = this.roleOf(topicId, partition);
    return role instanceof PartitionLeader ? role : null;
  }

  /** How many partitions this broker leads: none are left when a controlled shutdown is done. */
  get ledCount(): number {
    let count = 0;
    for (const roles of this.#roles.values()) {
      for (const role of roles.values()) if (role.isLeader) count++;
    }
    return count;
  }

  /** These partitions of a topic are new, or have changed in the image. */
  partitionsChanged(topicId: string, partitions: Iterable<number>): void {
    if (this.#isClosed) return;
    const images = this.#options.partitionsOf(topicId);
    for (const partition of partitions) {
      this.#changed(topicId, partition, images?.[partition] ?? null);
    }
    this.#closeIdle();
  }

  topicDeleted(topicId: string): void {
    for (const partition of [...(this.#roles.get(topicId)?.keys() ?? [])]) {
      this.#drop(topicId, partition);
    }
    this.#closeIdle();
  }

  /** Brokers came, went or registered anew. */
  brokersChanged(): void {
    this.#options.peers.brokersChanged();
    for (const fetcher of this.#fetchers.values()) fetcher.retryNow();
  }

  /**
   * Takes in where a follower is, before it is answered. Null: taken. Kafka: Partition.fetchRecords with a replica id,
   * UNKNOWN_LEADER_EPOCH and the like being judged before.
   */
  followerFetched(
    topicId: string,
    partition: number,
    fetch: FollowerFetch,
  ): "not_leader_or_follower" | "unknown_topic_or_partition" | null {
    const role = this.roleOf(topicId, partition);
    if (!(role instanceof PartitionLeader)) return "not_leader_or_follower";
    return role.followerFetched(fetch) ? null : "unknown_topic_or_partition";
  }

  /** Takes who has fallen behind out of the in-sync sets. The background does the same on its own. */
  checkLag(): void {
    for (const roles of this.#roles.values()) {
      for (const role of roles.values()) if (role instanceof PartitionLeader) role.checkLag();
    }
  }

  /** Nothing is followed and nothing led any more. Does not close the peers. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#lagTimer?.cancel();
    for (const topicId of [...this.#roles.keys()]) {
      for (const partition of [...this.#roles.get(topicId)!.keys()]) this.#drop(topicId, partition);
    }
    for (const fetcher of this.#fetchers.values()) fetcher.close();
    this.#fetchers.clear();
  }

  #changed(topicId: string, partition: number, image: PartitionImage | null): void {
    const { brokerId, logOf } = this.#options;
    const role = this.roleOf(topicId, partition);
    if (!image?.replicas.includes(brokerId) || image.leader < 0) {
      this.#drop(topicId, partition);
      return;
    }
    const isSameEpoch = role !== null && role.leaderEpoch === image.leaderEpoch;
    if (image.leader === brokerId) {
      if (isSameEpoch && role instanceof PartitionLeader) {
        role.imageChanged(image);
        return;
      }
    } else if (isSameEpoch && role instanceof PartitionFollower) return;
    this.#drop(topicId, partition);
    const log = logOf(topicId, partition);
    if (log === null) return;
    if (image.leader === brokerId) this.#lead(topicId, partition, image, log);
    else this.#follow(topicId, partition, image, log);
    log.wakeWaiters();
  }

  #lead(topicId: string, partition: number, image: PartitionImage, log: ReplicaLog): void {
    const { runtime, brokerId, brokers, minInSync, lagMsMax, alterIsr } = this.#options;
    log.beginEpoch(image.leaderEpoch);
    const leader = new PartitionLeader(
      {
        log,
        brokerId,
        nowMs: () => runtime.clock.monotonicMs(),
        lagMsMax,
        minInSync: () => minInSync(topicId),
        registration: (id) => brokers().get(id) ?? null,
        propose: (proposal) => alterIsr(topicId, partition, proposal),
        after: (delayMs, label, task) => runtime.scheduler.after(delayMs, label, task),
        tell: (event, ids) =>
          runtime.log.info(event, { topicId, partition, brokers: ids.join(",") }),
      },
      image,
    );
    this.#keep(topicId, partition, leader);
  }

  #follow(topicId: string, partition: number, image: PartitionImage, log: ReplicaLog): void {
    const follower = new PartitionFollower(log, image.leader, image.leaderEpoch);
    this.#keep(topicId, partition, follower);
    this.#fetcherOf(image.leader).add(topicId, partition, follower);
  }

  #keep(topicId: string, partition: number, role: Role): void {
    const roles = this.#roles.get(topicId) ?? new Map<number, Role>();
    this.#roles.set(topicId, roles);
    roles.set(partition, role);
    this.#options.setRole(topicId, partition, role);
  }

  #drop(topicId: string, partition: number): void {
    const roles = this.#roles.get(topicId);
    const role = roles?.get(partition);
    if (roles === undefined || role === undefined) return;
    roles.delete(partition);
    if (roles.size === 0) this.#roles.delete(topicId);
    role.end();
    if (role instanceof PartitionFollower) {
      this.#fetchers.get(role.leaderId)?.remove(topicId, partition);
    }
    this.#options.setRole(topicId, partition, null);
    this.#options.logOf(topicId, partition)?.wakeWaiters();
  }

  #fetcherOf(leaderId: number): Fetcher {
    const known = this.#fetchers.get(leaderId);
    if (known !== undefined) return known;
    const { peers } = this.#options;
    const peer = () => peers.peer(leaderId, "fetch");
    const fetcher = new Fetcher(leaderId, { ...this.#options, peer });
    this.#fetchers.set(leaderId, fetcher);
    return fetcher;
  }

  #closeIdle(): void {
    for (const [leaderId, fetcher] of this.#fetchers) {
      if (fetcher.partitionCount > 0) continue;
      fetcher.close();
      this.#fetchers.delete(leaderId);
    }
  }

  #scheduleLagCheck(): void {
    const { runtime, lagMsMax } = this.#options;
    this.#lagTimer = runtime.scheduler.after(Math.max(lagMsMax() / 2, 1), "isr_lag", () => {
      if (this.#isClosed) return;
      this.checkLag();
      this.#scheduleLagCheck();
    });
  }
}
