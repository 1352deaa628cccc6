// The partitions of an image, and the next one's: what the blocks of the store hold, by topic. Invariant: a table made from an image
// copies what it changes, so that the image stays as it was; it tells of exactly the partitions that differ.
// Kafka: TopicsDelta, TopicDelta.

import type { Entry } from "../../contracts/metadata_store.ts";
import { BLOCK_PARTITIONS, blockOfKey, decodeBlock } from "./cluster_entries.ts";
import type { ClusterImage, PartitionImage } from "./image.ts";
import { VersionedMap } from "./versioned_map.ts";

type Partitions = ClusterImage["partitions"];
type Revisions = ClusterImage["blockRevisions"];

export class PartitionTable {
  #partitions: Partitions;
  #revisions: Revisions;
  /** Of the topics changed here: partitions that differ from the image. */
  readonly #changed = new Map<string, Set<number>>();
  /** Topics whose lists are ours already. */
  readonly #owned = new Map<string, PartitionImage[]>();

  /** @param from Null: an empty one. */
  constructor(from: Pick<ClusterImage, "partitions" | "blockRevisions"> | null) {
    this.#partitions = from?.partitions ?? new VersionedMap<readonly PartitionImage[]>();
    this.#revisions = from?.blockRevisions ?? new VersionedMap<readonly number[]>();
  }

  get partitions(): Partitions {
    return this.#partitions;
  }

  get revisions(): Revisions {
    return this.#revisions;
  }

  /** @throws {MetadataStoreError} "version" or "corrupt" */
  put(entry: Entry): void {
    const at = blockOfKey(entry.key);
    if (at === null) return;
    const { topicId, block } = at;
    const list = this.#own(topicId);
    const changed = this.#changed.get(topicId) ?? new Set<number>();
    this.#changed.set(topicId, changed);
    let index = block * BLOCK_PARTITIONS;
    for (const partition of decodeBlock(entry)) {
      // A field changes with the partition's epoch only: what is as it was stays the same object.
      if (list[index]?.partitionEpoch !== partition.partitionEpoch) {
        list[index] = partition;
        changed.add(index);
      }
      index++;
    }
    const revisions = (this.#revisions.get(topicId) ?? []).slice();
    revisions[block] = entry.revision;
    this.#revisions = versioned(this.#revisions).with(topicId, revisions);
  }

  /** Blocks go with their topic, all at once. */
  delete(key: string): void {
    const at = blockOfKey(key);
    if (at === null) return;
    this.#partitions = versioned(this.#partitions).without(at.topicId);
    this.#revisions = versioned(this.#revisions).without(at.topicId);
    this.#owned.delete(at.topicId);
    this.#changed.delete(at.topicId);
  }

  /** What differs from the image, by topic id, in ascending order. */
  changed(): ReadonlyMap<string, readonly number[]> {
    if (this.#changed.size === 0) return NOTHING;
    const changed = new Map<string, readonly number[]>();
    for (const [topicId, indexes] of this.#changed) {
      if (indexes.size > 0) changed.set(topicId, Array.from(indexes).sort(ascending));
    }
    return changed;
  }

  #own(topicId: string): PartitionImage[] {
    let list = this.#owned.get(topicId);
    if (list === undefined) {
      list = (this.#partitions.get(topicId) ?? []).slice();
      this.#owned.set(topicId, list);
      this.#partitions = versioned(this.#partitions).with(topicId, list);
    }
    return list;
  }
}

/** The partitions of `after` that are not as in `before`. */
export function partitionsBetween(
  before: ClusterImage,
  after: ClusterImage,
): ReadonlyMap<string, readonly number[]> {
  const changed = new Map<string, readonly number[]>();
  for (const [topicId, list] of after.partitions) {
    const old = before.partitions.get(topicId);
    const indexes: number[] = [];
    for (let index = 0; index < list.length; index++) {
      if (old?.[index]?.partitionEpoch !== list[index]?.partitionEpoch) indexes.push(index);
    }
    if (indexes.length > 0) changed.set(topicId, indexes);
  }
  return changed;
}

const NOTHING: ReadonlyMap<string, readonly number[]> = new Map();

function ascending(a: number, b: number): number {
  return a - b;
}

function versioned<V>(map: ReadonlyMap<string, V>): VersionedMap<V> {
  return map instanceof VersionedMap ? (map as VersionedMap<V>) : new VersionedMap(new Map(map));
}
