// Who leads a partition, as this broker's image has it, and whether this broker may speak for what it leads.
// Invariant: a broker alone leads all there is, under its topics' epochs; in a cluster it speaks only while its session is held
// for certain (ADR 43). Kafka: MetadataCache, ReplicaManager.getPartitionOrError.

import type { Clock } from "../../contracts/runtime.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { TopicImage } from "../cluster/image.ts";

/** Who leads a partition; -1: nobody may. */
export interface Leadership {
  readonly leader: number;
  readonly leaderEpoch: number;
}

const NOBODY: Leadership = { leader: -1, leaderEpoch: -1 };

/** Of a partition that the topic has. */
export function leadershipOf(cluster: Cluster, topic: TopicImage, partition: number): Leadership {
  const { leaderEpoch } = topic;
  const partitions = cluster.image.partitions.get(topic.id);
  if (partitions === undefined) return { leader: cluster.brokerId, leaderEpoch };
  return partitions[partition] ?? NOBODY;
}

export function isLedHere(cluster: Cluster, topic: TopicImage, partition: number): boolean {
  return leadershipOf(cluster, topic, partition).leader === cluster.brokerId;
}

/** Whether nobody else can have been given what this broker leads: asked when something is answered. */
export function mayAnswer(cluster: Cluster, clock: Clock): boolean {
  const { membership } = cluster;
  return membership === null || membership.isHeldAt(clock.monotonicMs());
}
