// Changes of partitions on their way into one commit: blocks are encoded once, whatever many of their partitions change.
// Invariant: what is committed has as conditions the revisions of all blocks it was decided from; every change raises the
// partition's epoch, every change of its leader the leader's. Kafka: PartitionChangeBuilder, PartitionChangeRecord.

import { COMMIT_BYTES_MAX, COMMIT_CONDITIONS_MAX } from "../../contracts/metadata_store.ts";
import { BLOCK_PARTITIONS, blockKey, blockOf, encodeBlock, NOBODY } from "./cluster_entries.ts";
import type { Change, Decision, Verdict } from "./decision.ts";
import type { ClusterImage, PartitionImage, TopicImage } from "./image.ts";

/** Blocks of one commit: what else it writes and demands has room beside them. */
export const BLOCKS_MAX = COMMIT_CONDITIONS_MAX - 10;
/** Of keys and values, of one commit; a block of the longest partitions is far below the rest. */
const EDITS_BYTES_MAX = COMMIT_BYTES_MAX / 4;
/** Guess of what a partition is in bytes, for the bound above. */
const PARTITION_BYTES = 64;

/** What may change of a partition; epochs follow by themselves. */
export type PartitionChange = Partial<Omit<PartitionImage, "leaderEpoch" | "partitionEpoch">> & {
  /** The leader's epoch goes up though the leader stays: it may have lost what it had not synced. */
  readonly isNewLeadership?: boolean;
};

/** A partition that nobody has written to. @param replicas In order of preference. @param isr Those of them that live. */
export function newPartition(replicas: readonly number[], isr: readonly number[]): PartitionImage {
  return {
    leader: isr[0] ?? -1,
    leaderEpoch: 0,
    partitionEpoch: 0,
    replicas,
    isr: isr.length === 0 ? replicas : isr,
    adding: NOBODY,
    removing: NOBODY,
    elr: NOBODY,
  };
}

/** The partition after a change. */
export function changed(before: PartitionImage, change: PartitionChange): PartitionImage {
  const { isNewLeadership, ...fields } = change;
  const leader = fields.leader ?? before.leader;
  const isRaised = leader !== before.leader || isNewLeadership === true;
  return {
    ...before,
    ...fields,
    leader,
    leaderEpoch: before.leaderEpoch + (isRaised ? 1 : 0),
    partitionEpoch: before.partitionEpoch + 1,
  };
}

/** Collects changes decided from one image. */
export class PartitionEdits {
  readonly #image: ClusterImage;
  /** By block key. */
  readonly #blocks = new Map<string, { revision: number; list: PartitionImage[] }>();
  #sizeBytes = 0;

  constructor(image: ClusterImage) {
    this.#image = image;
  }

  get isEmpty(): boolean {
    return this.#blocks.size === 0;
  }

  /** Whether one more block may not fit: what is left is for the next commit. */
  get isFull(): boolean {
    return this.#blocks.size >= BLOCKS_MAX || this.#sizeBytes >= EDITS_BYTES_MAX;
  }

  /** As it is with what was changed here; null where there is none. */
  get(topicId: string, index: number): PartitionImage | null {
    const block = this.#blocks.get(blockKey(topicId, blockOf(index)));
    if (block !== undefined) return block.list[index % BLOCK_PARTITIONS] ?? null;
    return this.#image.partitions.get(topicId)?.[index] ?? null;
  }

  /** The partition must be there. @returns it as it will be */
  change(topicId: string, index: number, change: PartitionChange): PartitionImage {
    const list = this.#own(topicId, blockOf(index));
    const at = index % BLOCK_PARTITIONS;
    const after = changed(list[at]!, change);
    list[at] = after;
    return after;
  }

  /** Puts partitions behind those that the topic has. @param from The index of the first: so many are there, or were put here. */
  append(topicId: string, from: number, partitions: readonly PartitionImage[]): void {
    let index = from;
    for (const partition of partitions) {
      this.#own(topicId, blockOf(index)).push(partition);
      index++;
    }
    this.#sizeBytes += partitions.length * PARTITION_BYTES;
  }

  /** What to commit, or null where nothing changes. @param conditions Demanded beside the blocks' own. */
  toChange(conditions: Change["conditions"] = []): Change | null {
    if (this.#blocks.size === 0) return null;
    const blocks = Array.from(this.#blocks);
    return {
      conditions: [...blocks.map(([key, { revision }]) => ({ key, revision })), ...conditions],
      writes: blocks.map(([key, { list }]) => ({ key, value: encodeBlock(list) })),
      locks: [],
    };
  }

  #own(topicId: string, block: number): PartitionImage[] {
    const key = blockKey(topicId, block);
    let own = this.#blocks.get(key);
    if (own === undefined) {
      const first = block * BLOCK_PARTITIONS;
      const list =
        this.#image.partitions.get(topicId)?.slice(first, first + BLOCK_PARTITIONS) ?? [];
      own = { revision: this.#image.blockRevisions.get(topicId)?.[block] ?? 0, list };
      this.#blocks.set(key, own);
      this.#sizeBytes += key.length + list.length * PARTITION_BYTES;
    }
    return own.list;
  }
}

/** One change out of several: `edit` adds to the edits what it changes, and nothing where it refuses. */
export function decideOne<T>(
  image: ClusterImage,
  edit: (edits: PartitionEdits) => Verdict<T>,
): Decision<T> {
  const edits = new PartitionEdits(image);
  const verdict = edit(edits);
  return verdict.ok ? { ...verdict, change: edits.toChange() } : verdict;
}

/** Of `rows` as many as fit into one commit, from the front and at least one: a verdict on each. */
export function decideSome<Row, T>(
  image: ClusterImage,
  rows: readonly Row[],
  edit: (edits: PartitionEdits, row: Row) => Verdict<T>,
): Decision<readonly Verdict<T>[]> {
  const edits = new PartitionEdits(image);
  const verdicts: Verdict<T>[] = [];
  for (const row of rows) {
    if (edits.isFull) break;
    verdicts.push(edit(edits, row));
  }
  return { ok: true, value: verdicts, change: edits.toChange() };
}

/** Deletes of all blocks of a topic: they go in the commit that deletes the topic. */
export function blockDeletions(image: ClusterImage, topic: TopicImage): Change {
  const revisions = image.blockRevisions.get(topic.id) ?? [];
  const keys = revisions.map((revision, block) => ({ key: blockKey(topic.id, block), revision }));
  return {
    conditions: keys,
    writes: keys.map(({ key }) => ({ key, value: null })),
    locks: [],
  };
}

/** Several changes as one: of keys that come in several, once. */
export function joined(changes: readonly Change[]): Change {
  const conditions = new Map<string, number>();
  for (const each of changes) {
    for (const { key, revision } of each.conditions) conditions.set(key, revision);
  }
  return {
    conditions: Array.from(conditions, ([key, revision]) => ({ key, revision })),
    writes: changes.flatMap(({ writes }) => writes),
    locks: changes.flatMap(({ locks }) => locks),
  };
}
