// Who leads a partition, as this broker's image has it, and whether this broker may speak for what it leads.
// Invariant: a broker alone leads all there is, under its topics' epochs; in a cluster it speaks only while its session is held
// for certain (ADR 43). Kafka: MetadataCache, ReplicaManager.getPartitionOrError.

import type { Clock } from "../../contracts/runtime.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { TopicImage } from "../cluster/image.ts";
import type { PartitionLog } from "../log/partition_log.ts";

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

/**
 * Whether this broker leads a partition under that epoch, and the partition has taken it up: what is appended now belongs to it.
 * Leaderships of one broker alone do not end.
 */
export function leadsNow(cluster: Cluster, log: PartitionLog, leaderEpoch: number): boolean {
  const { role } = log;
  if (role === null) return !cluster.isShared;
  return role.isLeader && role.leaderEpoch === leaderEpoch;
}

/**
 * Says, whenever it is asked, whether this broker leads a partition of a cluster under that epoch, and nobody else can have been given it
 * since. See commit_waits.ts.
 */
export function leadershipHeld(
  cluster: Cluster,
  log: PartitionLog,
  leaderEpoch: number,
  clock: Clock,
): () => boolean {
  return () => {
    const topic = cluster.image.topicsByName.get(log.topic.name);
    // The image may know of another leader before the partition has heard of it.
    const known = topic === undefined ? NOBODY : leadershipOf(cluster, topic, log.partition);
    const isOurs = known.leader === cluster.brokerId && known.leaderEpoch === leaderEpoch;
    return isOurs && leadsNow(cluster, log, leaderEpoch) && mayAnswer(cluster, clock);
  };
}

/** Whether nobody else can have been given what this broker leads: asked when something is answered. */
export function mayAnswer(cluster: Cluster, clock: Clock): boolean {
  if (!cluster.isShared) return true;
  return cluster.membership?.isHeldAt(clock.monotonicMs()) ?? false;
}
