// What a broker of a cluster is to a partition: leader, follower, or neither yet. The log knows no more of replication.
// Kafka: Partition, as far as UnifiedLog hears of it.

/** What a role sees of its log: PartitionLog has it. */
export interface SyncedLog {
  readonly partition: number;
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  readonly syncedEnd: number;
  readonly highWatermark: number;
  advanceHighWatermark(offset: number): void;
}

export interface PartitionRole {
  /** What is appended here as leader is marked with it; of a follower, that of its leader. */
  readonly leaderEpoch: number;
  readonly isLeader: boolean;
  /** More is durable here: `log.syncedEnd` has risen. Called in the turn of the commit, before whoever waits for that goes on. */
  onSynced(log: SyncedLog): void;
  /** More is appended here, in this turn: followers may have it at once. Left out where nobody waits for that. */
  onAppended?(): void;
}

/** Of every log of a cluster until its role is known, as after a start: nothing is committed by it, and nobody served. */
export const NO_ROLE_YET: PartitionRole = { leaderEpoch: -1, isLeader: false, onSynced: () => {} };
