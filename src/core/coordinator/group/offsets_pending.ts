// Offsets of transactions that are still open, as far as the rest of the offsets must know of them: they are not read,
// and what they stand on is neither expired nor taken for gone.
// Kafka: OffsetMetadataManager.OpenTransactions, pendingTransactionalOffsets.

import type {
  OffsetCommitKey,
  OffsetCommitValue,
} from "../../../protocol/internal_records/offset_commit.ts";

export interface PendingOffsets {
  /** Whether an open transaction has committed this partition's offset. */
  has(groupId: string, topic: string, partition: number): boolean;
  hasAny(groupId: string): boolean;
  /** All that open transactions have committed for the group, each partition once. */
  of(groupId: string): Iterable<{ readonly topic: string; readonly partition: number }>;
  /** A tombstone takes what is pending with it. Part of the replay. */
  remove(groupId: string, topic: string, partition: number): void;
}

export interface PendingCommit {
  readonly key: OffsetCommitKey;
  readonly value: OffsetCommitValue;
  /** Where the record lies. */
  readonly recordOffset: number;
}

/** Hard state: what transactions have committed whose end has not come yet. Few are open at a time. */
export class OpenTransactions implements PendingOffsets {
  readonly #byProducer = new Map<number, Map<string, PendingCommit>>();

  /** Transactions that are open. */
  get size(): number {
    return this.#byProducer.size;
  }

  put(producerId: number, commit: PendingCommit): void {
    let commits = this.#byProducer.get(producerId);
    if (commits === undefined) {
      commits = new Map();
      this.#byProducer.set(producerId, commits);
    }
    const { group, topic, partition } = commit.key;
    commits.set(placeOf(group, topic, partition), commit);
  }

  /** The producer's transaction is over. @returns what it committed, each partition once */
  end(producerId: number): Iterable<PendingCommit> {
    const commits = this.#byProducer.get(producerId);
    this.#byProducer.delete(producerId);
    return commits?.values() ?? [];
  }

  clear(): void {
    this.#byProducer.clear();
  }

  has(groupId: string, topic: string, partition: number): boolean {
    const place = placeOf(groupId, topic, partition);
    for (const commits of this.#byProducer.values()) if (commits.has(place)) return true;
    return false;
  }

  hasAny(groupId: string): boolean {
    for (const _ of this.of(groupId)) return true;
    return false;
  }

  *of(groupId: string): Iterable<{ readonly topic: string; readonly partition: number }> {
    const seen = new Set<string>();
    for (const commits of this.#byProducer.values()) {
      for (const [place, { key }] of commits) {
        if (key.group !== groupId || seen.has(place)) continue;
        seen.add(place);
        yield key;
      }
    }
  }

  remove(groupId: string, topic: string, partition: number): void {
    if (this.size === 0) return;
    const place = placeOf(groupId, topic, partition);
    for (const commits of this.#byProducer.values()) commits.delete(place);
  }
}

/** A length keeps the names apart: any character may be in a group's. */
function placeOf(groupId: string, topic: string, partition: number): string {
  return `${groupId.length} ${groupId} ${topic} ${partition}`;
}
