// Puts replication together: roles by the image, the connections to other brokers, and logs as roles need them. Loaded only where
// several brokers share the metadata store. Invariant: a log hears of its role before anything else is asked of it in that role.
// Kafka: BrokerServer's ReplicaManager.

import type { Caller, FetchRequest, FetchResponse } from "../../contracts/broker.ts";
import { MetadataStoreError } from "../../contracts/errors.ts";
import type { Runtime } from "../../contracts/runtime.ts";
import type { PeerTrust } from "../../contracts/transport.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { SharedCluster } from "../cluster/shared_cluster.ts";
import type { PartitionLog } from "../log/partition_log.ts";
import { NO_ROLE_YET } from "../log/partition_role.ts";
import type { ReplicaLogs } from "../log/replica_logs.ts";
import type { LogManager } from "../partition/log_manager.ts";
import type { FollowerAppend } from "../partition/partition_follower.ts";
import type { IsrProposal, ProposalAnswer } from "../partition/partition_leader.ts";
import { Peers } from "../replication/peers.ts";
import { type ReplicaLog, ReplicaManager } from "../replication/replica_manager.ts";
import type { Settings } from "../settings/dynamic.ts";
import { ReplicaFetch } from "./replica_fetch.ts";
import { appendedToReplicas, type ReplicatedAppends, refusalOf } from "./replicated_append.ts";
import { type ReplicatedReads, replicatedReads } from "./replicated_reads.ts";

const CONNECT_MS_MAX = 5_000;
export interface ReplicationOptions {
  readonly cluster: Cluster;
  readonly shared: SharedCluster;
  readonly logs: LogManager;
  readonly settings: Settings;
  readonly runtime: Runtime;
  /** Of the transports: how peers' listeners with TLS are reached. */
  readonly peerTrust?: PeerTrust | undefined;
}

export interface Replication {
  readonly replicas: ReplicaManager;
  readonly peers: Peers;
  readonly appends: ReplicatedAppends;
  readonly reads: ReplicatedReads;
  /** Answers a follower. */
  readonly fetch: (caller: Caller, request: FetchRequest) => Promise<FetchResponse>;
  close(): void;
}

export async function openReplication(options: ReplicationOptions): Promise<Replication> {
  const { cluster, shared, logs, settings, runtime } = options;
  const { brokerId } = cluster;
  const code = await logs.replicaLogs();
  const brokers = () => cluster.image.brokers;
  const brokerEpoch = () => cluster.membership?.brokerEpoch ?? 0;
  const peers = new Peers({
    runtime,
    brokerId,
    brokerEpoch,
    brokers,
    secret: () => shared.secret,
    connectMs: () => CONNECT_MS_MAX,
    trust: ({ peer }) => ({ serverName: peer?.host ?? "", ...options.peerTrust }),
  });
  const number = (name: string) => () => settings.number(name);
  const replicas = new ReplicaManager({
    runtime,
    brokerId,
    brokerEpoch,
    peers,
    brokers,
    partitionsOf: (topicId) => cluster.image.partitions.get(topicId),
    logOf: (topicId, partition) => {
      const log = logs.log(topicId, partition);
      return log === null ? null : new LogOfRole(log, logs, code, runtime);
    },
    setRole: (topicId, partition, role) => {
      const log = logs.log(topicId, partition);
      if (log !== null) log.role = role ?? NO_ROLE_YET;
    },
    minInSync: (topicId) => {
      const topic = cluster.image.topicsById.get(topicId);
      return topic === undefined ? 1 : Number(cluster.topicText(topic, "min.insync.replicas") ?? 1);
    },
    alterIsr: (topicId, partition, proposal) => alterIsr(options, topicId, partition, proposal),
    lagMsMax: number("replica.lag.time.max.ms"),
    waitMs: number("replica.fetch.wait.max.ms"),
    bytesMin: number("replica.fetch.min.bytes"),
    partitionBytesMax: number("replica.fetch.max.bytes"),
    bytesMax: number("replica.fetch.response.max.bytes"),
    backoffMs: number("replica.fetch.backoff.ms"),
  });
  /** Drops the log of a partition that was given to other brokers. */
  const dropMoved = (topicId: string, partition: number): void => {
    const image = cluster.partition(topicId, partition);
    if (image === null || image.replicas.includes(brokerId)) return;
    if (!logs.topicWithId(topicId)?.logs.has(partition)) return;
    runtime.log.info("replica_dropped", { topicId, partition });
    runtime.scheduler.spawn("replica_dropped", async () => {
      try {
        await logs.partitionDropped(topicId, partition);
      } catch (error) {
        // Files that stay are removed at the next start, as nothing speaks of them.
        runtime.log.warn("replica_not_dropped", { topicId, partition, error: String(error) });
      }
      // It may have come back meanwhile, and had no log.
      replicas.partitionsChanged(topicId, [partition]);
    });
  };
  const unfollow = cluster.follow({
    topicChanged: () => {},
    topicDeleted: (topic) => replicas.topicDeleted(topic.id),
    partitionsChanged: (topic, indexes) => {
      replicas.partitionsChanged(topic.id, indexes);
      for (const index of indexes) dropMoved(topic.id, index);
    },
    brokersChanged: () => replicas.brokersChanged(),
  });
  const appends: ReplicatedAppends = {
    leaderOf: (topicId, partition) => replicas.leaderOf(topicId, partition),
    isHeld: () => cluster.membership?.isHeldAt(runtime.clock.monotonicMs()) === true,
    refusalOf,
    appended: appendedToReplicas,
  };
  return {
    replicas,
    peers,
    appends,
    reads: replicatedReads({
      brokerId,
      image: () => cluster.image,
      selector: () => settings.text("replica.selector.class"),
      ...appends,
    }),
    fetch: (caller, request) =>
      new ReplicaFetch({ logs, runtime, ...appends }, caller, request).run(),
    close() {
      unfollow();
      replicas.close();
      peers.close();
    },
  };
}

/** Never rejects. */
async function alterIsr(
  { cluster, shared, runtime }: ReplicationOptions,
  topicId: string,
  partition: number,
  proposal: IsrProposal,
): Promise<ProposalAnswer> {
  try {
    const outcome = await shared.alterIsr(topicId, partition, proposal);
    const image = outcome.ok ? outcome.partition : cluster.partition(topicId, partition);
    return { kind: "settled", image };
  } catch (error) {
    if (!(error instanceof MetadataStoreError)) throw error;
    runtime.log.warn("alter_isr_failed", { topicId, partition, error: error.message });
    return { kind: "unknown" };
  }
}

/** A log as its role sees it. */
class LogOfRole implements ReplicaLog {
  readonly #log: PartitionLog;
  readonly #logs: LogManager;
  readonly #code: ReplicaLogs;
  readonly #runtime: Runtime;

  constructor(log: PartitionLog, logs: LogManager, code: ReplicaLogs, runtime: Runtime) {
    this.#log = log;
    this.#logs = logs;
    this.#code = code;
    this.#runtime = runtime;
  }

  get logStartOffset(): number {
    return this.#log.logStartOffset;
  }

  get logEndOffset(): number {
    return this.#log.logEndOffset;
  }

  get syncedEnd(): number {
    return this.#log.syncedEnd;
  }

  get highWatermark(): number {
    return this.#log.highWatermark;
  }

  get epochs() {
    return this.#log.epochs;
  }

  advanceHighWatermark(offset: number): void {
    this.#log.advanceHighWatermark(offset);
  }

  beginEpoch(epoch: number): void {
    this.#log.beginEpoch(epoch);
  }

  wakeWaiters(): void {
    this.#log.wakeWaiters();
  }

  appendAsFollower(batches: Uint8Array): FollowerAppend {
    const verdict = this.#code.append(this.#log, batches);
    if (verdict.kind === "appended") {
      const { group, endOffset } = verdict;
      return { kind: "appended", endOffset, group: group ?? NOTHING_TO_SYNC };
    }
    const { kind, expectedOffset, foundOffset } = verdict;
    return { kind, message: `expected offset ${expectedOffset}, found ${foundOffset}` };
  }

  async cutTo(offset: number): Promise<boolean> {
    const verdict = await this.#code.truncateTo(this.#log, offset);
    if (verdict.kind !== "unreadable") return verdict.kind === "cut";
    // What would be kept cannot be read: the leader has all of it.
    return await this.startAnewAt(this.#log.logStartOffset);
  }

  async startAnewAt(offset: number): Promise<boolean> {
    return (await this.#code.startAnewAt(this.#log, offset)).kind === "cut";
  }

  followStart(offset: number): void {
    const { scheduler, log } = this.#runtime;
    const { partition, topic } = this.#log;
    // Nobody waits: the start has moved in memory, and where it cannot be written the folder goes offline by that.
    scheduler.spawn("replica_start", async () => {
      try {
        if (await this.#logs.followStart(this.#log, offset)) return;
        log.warn("log_start_not_followed", { topic: topic.name, partition, offset });
      } catch (error) {
        // Segment files that stay are removed at the next start, as nothing speaks of them.
        log.warn("segments_not_removed", { topic: topic.name, partition, error: String(error) });
      }
    });
  }
}

const NOTHING_TO_SYNC = { settled: () => Promise.resolve(true) };
