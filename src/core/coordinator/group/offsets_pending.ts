// Offsets of transactions that are still open, as far as the rest of the offsets must know of them: they are not read,
// and what they stand on is neither expired nor taken for gone.
// Kafka: OffsetMetadataManager.OpenTransactions, pendingTransactionalOffsets.

export interface PendingOffsets {
  /** Whether an open transaction has committed this partition's offset. */
  has(groupId: string, topic: string, partition: number): boolean;
  hasAny(groupId: string): boolean;
  /** All that open transactions have committed for the group, each partition once. */
  of(groupId: string): Iterable<{ readonly topic: string; readonly partition: number }>;
  /** A tombstone takes what is pending with it. Part of the replay. */
  remove(groupId: string, topic: string, partition: number): void;
}
