// Offsets committed in transactions that are still open: by producer, until a marker says what becomes of them.
// Invariant: hard state, written by replay alone. A partition is pending for as long as any producer has an offset for it
// here; of an offset committed in a transaction and a plain one, the one written later stands, whichever is ended later.
// Kafka: OffsetMetadataManager.pendingTransactionalOffsets, OpenTransactions, replayEndTransactionMarker.

import type { OffsetCommitValue } from "../../../protocol/internal_records/offset_commit.ts";
import type { PendingOffsets } from "./offsets_pending.ts";
import { type CommittedOffset, OffsetTable } from "./offsets_table.ts";

type Producers = Set<number>;
type Partitions = Map<number, Producers>;

export class TransactionOffsets implements PendingOffsets {
  readonly #byProducer = new Map<number, OffsetTable>();
  /** Who has an offset pending, by group, topic and partition; none of these is empty. */
  readonly #open = new Map<string, Map<string, Partitions>>();

  /** Producers with offsets that are pending. */
  get producerCount(): number {
    return this.#byProducer.size;
  }

  /** By producer. For those who look at all of it. */
  tables(): ReadonlyMap<number, OffsetTable> {
    return this.#byProducer;
  }

  has(groupId: string, topic: string, partition: number): boolean {
    return this.#open.get(groupId)?.get(topic)?.has(partition) ?? false;
  }

  hasAny(groupId: string): boolean {
    return this.#open.has(groupId);
  }

  *of(groupId: string): Generator<{ readonly topic: string; readonly partition: number }, void> {
    for (const [topic, partitions] of this.#open.get(groupId) ?? []) {
      for (const partition of partitions.keys()) yield { topic, partition };
    }
  }

  /** What the producers have pending for one partition. */
  *at(groupId: string, topic: string, partition: number): Generator<CommittedOffset, void> {
    for (const producerId of this.#open.get(groupId)?.get(topic)?.get(partition) ?? []) {
      const offset = this.#byProducer.get(producerId)?.get(groupId, topic, partition);
      if (offset != null) yield offset;
    }
  }

  /** Takes what a record of a transaction says. @param recordOffset Where it lies in the log. */
  put(
    producerId: number,
    groupId: string,
    topic: string,
    partition: number,
    value: OffsetCommitValue,
    recordOffset: number,
  ): void {
    let table = this.#byProducer.get(producerId);
    if (table === undefined) {
      table = new OffsetTable();
      this.#byProducer.set(producerId, table);
    }
    table.put(groupId, topic, partition, value, recordOffset);
    const topics = childOf(this.#open, groupId, () => new Map<string, Partitions>());
    const partitions = childOf(topics, topic, () => new Map<number, Producers>());
    childOf(partitions, partition, () => new Set<number>()).add(producerId);
  }

  remove(groupId: string, topic: string, partition: number): void {
    const producers = this.#open.get(groupId)?.get(topic)?.get(partition);
    for (const producerId of producers ?? []) {
      this.#byProducer.get(producerId)?.remove(groupId, topic, partition);
    }
    this.#forget(groupId, topic, partition);
  }

  /**
   * The producer's transaction has ended. With nothing pending, that is nothing.
   *
   * @param committed Takes what is committed, unless it has something newer; null: the transaction was aborted.
   */
  end(producerId: number, committed: OffsetTable | null): void {
    const table = this.#byProducer.get(producerId);
    if (table === undefined) return;
    this.#byProducer.delete(producerId);
    for (const groupId of table.groupIds()) {
      for (const [topic, list] of table.of(groupId)) {
        for (const offset of list) {
          committed?.putNewer(groupId, topic, offset);
          this.#close(producerId, groupId, topic, offset.partition);
        }
      }
    }
  }

  #close(producerId: number, groupId: string, topic: string, partition: number): void {
    const producers = this.#open.get(groupId)?.get(topic)?.get(partition);
    producers?.delete(producerId);
    if (producers?.size === 0) this.#forget(groupId, topic, partition);
  }

  #forget(groupId: string, topic: string, partition: number): void {
    const topics = this.#open.get(groupId);
    const partitions = topics?.get(topic);
    if (topics === undefined || partitions === undefined) return;
    partitions.delete(partition);
    if (partitions.size > 0) return;
    topics.delete(topic);
    if (topics.size === 0) this.#open.delete(groupId);
  }
}

function childOf<Key, Child>(map: Map<Key, Child>, key: Key, make: () => Child): Child {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
