// What the controller changes without being asked: a pure function from the image to one commit. Invariant: run until it finds nothing
// to do, it leaves every partition led by who should lead it, and repeating it changes nothing.
// Kafka: ReplicationControlManager (handleBrokerFenced, maybeBalancePartitionLeaders), ReassignPartitions.

import type { ContextOf } from "./broker_decisions.ts";
import { BLOCK_PARTITIONS, NOBODY, SEAT_KEY } from "./cluster_entries.ts";
import type { Decision } from "./decision.ts";
import { afterBrokersChanged, isElrValid, preferred } from "./election.ts";
import type { ClusterImage, PartitionImage, TopicImage } from "./image.ts";
import { newPartition, PartitionEdits } from "./partition_edits.ts";
import { placeReplicas } from "./placement.ts";
import { finished, isReassigned } from "./reassignment.ts";
import { placeable } from "./topic_blocks.ts";

export interface DutiesContext {
  readonly contextOf: ContextOf;
  /** Replicas that partitions of a topic of the broker's own get, by its name, as far as there are brokers. */
  factorOf(topic: string): number;
  /** Only these topics, by id; null: all. */
  readonly topicIds: ReadonlySet<string> | null;
  /** Whether leadership goes back to preferred replicas. */
  readonly isBalancing: boolean;
  /** Who has the logs of topics that were made when one broker had the store for itself; null: nobody says so. */
  readonly adopter: number | null;
}

/** The value is whether there is more to do than fits into one commit. */
export function decideDuties(image: ClusterImage, context: DutiesContext): Decision<boolean> {
  const edits = new PartitionEdits(image);
  const conditions = [{ key: SEAT_KEY, revision: image.controller?.revision ?? 0 }];
  for (const topic of topicsOf(image, context.topicIds)) {
    if (!adopt(edits, image, topic, context.adopter)) {
      return { ok: true, value: true, change: edits.toChange(conditions) };
    }
    const election = context.contextOf(image, topic);
    const wanted = topic.isInternal
      ? Math.min(context.factorOf(topic.name), placeable(image).length)
      : 0;
    for (let index = 0; index < topic.partitionCount; index++) {
      if (edits.isFull) return { ok: true, value: true, change: edits.toChange(conditions) };
      const partition = edits.get(topic.id, index);
      if (partition === null) continue;
      const change =
        afterBrokersChanged(partition, election) ??
        finished(partition, election.isLive) ??
        (partition.elr.length > 0 && !isElrValid(partition, election) ? { elr: NOBODY } : null) ??
        (context.isBalancing ? preferred(partition, election) : null);
      if (change !== null) edits.change(topic.id, index, change);
      raise(edits, image, topic, index, wanted);
    }
  }
  return { ok: true, value: false, change: edits.toChange(conditions) };
}

function* topicsOf(
  image: ClusterImage,
  topicIds: ReadonlySet<string> | null,
): Iterable<TopicImage> {
  if (topicIds === null) {
    yield* image.topicsByName.values();
    return;
  }
  for (const id of topicIds) {
    const topic = image.topicsById.get(id);
    if (topic !== undefined) yield topic;
  }
}

/** Gives partitions to a topic that one broker had for itself: their only replica is there. @returns whether all fitted in */
function adopt(
  edits: PartitionEdits,
  image: ClusterImage,
  topic: TopicImage,
  adopter: number | null,
): boolean {
  const begun = image.partitions.get(topic.id);
  let next = begun?.length ?? 0;
  const keeper = begun?.[0]?.replicas[0] ?? adopter;
  if (keeper === null || next >= topic.partitionCount) return true;
  const isr = image.brokers.has(keeper) ? [keeper] : [];
  // Its logs have batches of the topic's own epoch.
  const one = { ...newPartition([keeper], isr), leaderEpoch: topic.leaderEpoch + 1 };
  while (next < topic.partitionCount) {
    if (edits.isFull) return false;
    const count = Math.min(
      BLOCK_PARTITIONS - (next % BLOCK_PARTITIONS),
      topic.partitionCount - next,
    );
    edits.append(topic.id, next, new Array<PartitionImage>(count).fill(one));
    next += count;
  }
  return true;
}

/** Adds replicas to a partition of an internal topic that has fewer than `wanted`. */
function raise(
  edits: PartitionEdits,
  image: ClusterImage,
  topic: TopicImage,
  index: number,
  wanted: number,
): void {
  const partition = edits.get(topic.id, index);
  if (partition === null || partition.replicas.length >= wanted || isReassigned(partition)) return;
  const { replicas } = partition;
  const others = placeable(image).filter(({ id }) => !replicas.includes(id));
  const count = Math.min(wanted - replicas.length, others.length);
  if (count <= 0) return;
  const adding = placeReplicas(others, 1, count, index)[0]!;
  edits.change(topic.id, index, { replicas: [...replicas, ...adding], adding });
}
