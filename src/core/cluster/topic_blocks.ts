// The partitions of topics that are made, grown and deleted in a cluster: beside the topic's entry, in the same commit.
// Invariant: no topic that was made here is ever seen without its partitions. Kafka: ReplicationControlManager.createTopic.

import { COMMIT_BYTES_MAX } from "../../contracts/metadata_store.ts";
import { type Change, type Decision, refused } from "./decision.ts";
import type { ClusterImage, PartitionImage, TopicImage } from "./image.ts";
import {
  BLOCKS_MAX,
  blockDeletions,
  joined,
  newPartition,
  PartitionEdits,
} from "./partition_edits.ts";
import { type PlaceableBroker, placeReplicas } from "./placement.ts";

/** Room that the topic's own entry and what else is in the commit may take. */
const REST_BYTES = 64 * 1024;

/** What the decisions on topics ask for where partitions have entries. */
export interface TopicBlocks {
  /** `change` with the partitions `from` … `topic.partitionCount` made, placed as `assignments` say or where they fit. */
  grow(
    image: ClusterImage,
    topic: TopicImage,
    from: number,
    assignments: readonly (readonly number[])[] | null,
    change: Change,
  ): Decision<TopicImage>;
  /** `change` with all partitions of the topic gone. */
  delete(image: ClusterImage, topic: TopicImage, change: Change): Change;
}

/** @param draw Where the placement of a topic begins: any whole number */
export function topicBlocks(draw: (topicId: string) => number): TopicBlocks {
  return {
    grow(image, topic, from, assignments, change) {
      const replicas = assignments ?? placed(image, topic, from, draw(topic.id));
      if (replicas === null) {
        return refused(
          "invalid_replication_factor",
          `Cannot place ${topic.replicationFactor} replicas of each partition as ${placeable(image).length} broker(s) are registered`,
        );
      }
      if ((image.partitions.get(topic.id)?.length ?? 0) !== from) {
        return refused("not_controller", "The topic's partitions are being taken over: try again");
      }
      const edits = new PartitionEdits(image);
      const partitions: PartitionImage[] = [];
      for (const ids of replicas) {
        const live = ids.filter((id) => image.brokers.get(id)?.isStopping === false);
        if (live.length === 0) {
          return refused(
            "invalid_replica_assignment",
            `None of the brokers ${ids.join(", ")} that partition ${from + partitions.length} is assigned to is running`,
          );
        }
        partitions.push(newPartition(ids, live));
      }
      if (topic.partitionCount > BLOCKS_MAX * 100) return tooMany(topic.partitionCount);
      edits.append(topic.id, from, partitions);
      const all = joined([change, edits.toChange()!]);
      let sizeBytes = REST_BYTES;
      for (const { key, value } of all.writes) sizeBytes += key.length + (value?.byteLength ?? 0);
      if (sizeBytes > COMMIT_BYTES_MAX) return tooMany(topic.partitionCount);
      return { ok: true, value: topic, change: all };
    },
    delete(image, topic, change) {
      return joined([change, blockDeletions(image, topic)]);
    },
  };
}

function placed(
  image: ClusterImage,
  topic: TopicImage,
  from: number,
  start: number,
): number[][] | null {
  const brokers = placeable(image);
  if (topic.replicationFactor > brokers.length) return null;
  return placeReplicas(brokers, topic.partitionCount - from, topic.replicationFactor, start, from);
}

/** Brokers that may get replicas. */
export function placeable(image: ClusterImage): PlaceableBroker[] {
  return Array.from(image.brokers.values()).filter(({ isStopping }) => !isStopping);
}

function tooMany(count: number): ReturnType<typeof refused> {
  return refused(
    "policy_violation",
    `A topic of ${count} partitions with their replicas does not fit into one commit of the metadata store`,
  );
}
