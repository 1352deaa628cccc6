// What a cluster adds to reads: that this broker may still speak for what it has, which replica is nearer to a consumer
// (KIP-392), and who leads instead (KIP-951). Invariant: only a replica in sync that has the offset is told of.
// Kafka: ReplicaManager.findPreferredReadReplica, RackAwareReplicaSelector, KafkaApis.getCurrentLeader.

import type { CurrentLeader } from "../../contracts/broker.ts";
import type { ClusterImage } from "../cluster/image.ts";
import type { FollowerProgress } from "../partition/isr.ts";
import type { PartitionLeader } from "../partition/partition_leader.ts";
import { endpointFor } from "./api_context.ts";

/** The value of `replica.selector.class` that sends consumers to replicas of their rack. */
export const RACK_AWARE_SELECTOR = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

export interface ReplicatedReads {
  /** Whether nobody else can lead what this broker leads. */
  isHeld(): boolean;
  /** The replica in the consumer's rack to read from instead of this one, which leads; null: this one. */
  nearerReplica(
    topicId: string,
    partition: number,
    fetchOffset: number,
    rack: string,
    listener: string,
  ): number | null;
  currentLeader(listener: string, topic: string, partition: number): CurrentLeader | null;
}

export interface ReplicatedReadsOptions {
  readonly brokerId: number;
  readonly image: () => ClusterImage;
  readonly isHeld: () => boolean;
  readonly leaderOf: (topicId: string, partition: number) => PartitionLeader | null;
  /** replica.selector.class */
  readonly selector: () => string | null;
}

export function replicatedReads(options: ReplicatedReadsOptions): ReplicatedReads {
  const { brokerId, image, isHeld, leaderOf, selector } = options;
  return {
    isHeld,
    nearerReplica(topicId, partition, fetchOffset, rack, listener) {
      if (rack === "" || selector() !== RACK_AWARE_SELECTOR) return null;
      const { brokers } = image();
      const leader = leaderOf(topicId, partition);
      if (leader === null || brokers.get(brokerId)?.rack === rack) return null;
      let nearest: FollowerProgress | null = null;
      for (const id of leader.isr) {
        const follower = leader.follower(id);
        const broker = brokers.get(id);
        if (follower === null || broker === undefined || broker.rack !== rack) continue;
        if (follower.logEndOffset < fetchOffset || follower.logStartOffset > fetchOffset) continue;
        if (endpointFor(broker, listener) === null) continue;
        if (nearest === null || isFurther(follower, nearest)) nearest = follower;
      }
      return nearest?.brokerId ?? null;
    },
    currentLeader(listener, name, partition) {
      const { brokers, partitions, topicsByName } = image();
      const known = partitions.get(topicsByName.get(name)?.id ?? "")?.[partition];
      if (known === undefined) return null;
      const { leader: leaderId, leaderEpoch } = known;
      const broker = brokers.get(leaderId);
      const endpoint = broker === undefined ? null : endpointFor(broker, listener);
      if (broker === undefined || endpoint === null) {
        return { leaderId, leaderEpoch, endpoint: null };
      }
      const { host, port } = endpoint;
      return { leaderId, leaderEpoch, endpoint: { host, port, rack: broker.rack } };
    },
  };
}

/** Whether `a` has more, or as much and caught up later; at the same point the higher id, so that all are sent to one. */
function isFurther(a: FollowerProgress, b: FollowerProgress): boolean {
  if (a.logEndOffset !== b.logEndOffset) return a.logEndOffset > b.logEndOffset;
  if (a.caughtUpMs !== b.caughtUpMs) return a.caughtUpMs > b.caughtUpMs;
  return a.brokerId > b.brokerId;
}
