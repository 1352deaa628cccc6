// One partition that this broker copies from its leader: what is asked next, and what an answer does to the log.
// Invariant: what is taken in follows what is there, under epochs that the leader's log has too; where histories part, the
// log is cut before anything else is asked. Kafka: ReplicaFetcherThread, AbstractFetcherThread, OffsetTruncationState.

/** What a follower needs of its log: PartitionLog has it. */
export interface FollowerLog {
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  readonly syncedEnd: number;
  readonly highWatermark: number;
  readonly epochs: {
    readonly latest: number;
    endOf(epoch: number, logEndOffset: number): { epoch: number; endOffset: number } | null;
  };
  /** Appends whole batches as the leader sent them, all that are good. The bytes are the log's until the group has settled. */
  appendAsFollower(batches: Uint8Array, wallMs: number): FollowerAppend;
  advanceHighWatermark(offset: number): void;
  /** Everything from `offset` on is gone when it resolves. False: the disk failed. */
  cutTo(offset: number): Promise<boolean>;
  /** All is gone, and the next batch is at `offset`. False: the disk failed. */
  startAnewAt(offset: number): Promise<boolean>;
  /** The leader's log starts there; at most the high watermark. */
  followStart(offset: number): void;
}

export type FollowerAppend =
  | { readonly kind: "appended"; readonly group: SyncGroup; readonly endOffset: number }
  | { readonly kind: "corrupt" | "out_of_order"; readonly message?: string };

/** Something that is on its way to the disk. */
export interface SyncGroup {
  settled(): Promise<boolean>;
}

/** What is asked of the leader. */
export interface FollowerQuestion {
  readonly leaderEpoch: number;
  readonly fetchOffset: number;
  readonly lastFetchedEpoch: number;
  readonly logStartOffset: number;
  readonly syncedEnd: number;
  readonly highWatermark: number;
}

/** What the leader answered for one partition. Offsets are -1 where it did not say. */
export interface LeaderAnswer {
  /** Kafka's error by name, or null. */
  readonly error: string | null;
  readonly highWatermark: number;
  readonly logStartOffset: number;
  readonly divergingEpoch: { readonly epoch: number; readonly endOffset: number } | null;
  readonly records: Uint8Array;
}

/**
 * What came of an answer. "appended": it is on its way to the disk. "idle": nothing was new. "cut": the log was cut and more may be
 * asked at once. "again": to be asked again after a pause. "failed": the disk failed.
 */
export type Taken =
  | { readonly kind: "appended"; readonly group: SyncGroup; readonly sizeBytes: number }
  | { readonly kind: "idle" | "failed" }
  | {
      readonly kind: "cut";
      readonly from: number;
      readonly to: number;
      /** Some of it was committed once: an unclean election, or a lost disk at the leader. */
      readonly isBelowHighWatermark: boolean;
    }
  | { readonly kind: "again"; readonly reason: string };

export class PartitionFollower {
  readonly isLeader = false;
  readonly leaderId: number;
  readonly leaderEpoch: number;
  readonly log: FollowerLog;
  #isOver = false;

  constructor(log: FollowerLog, leaderId: number, leaderEpoch: number) {
    this.log = log;
    this.leaderId = leaderId;
    this.leaderEpoch = leaderEpoch;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  onSynced(): void {}

  question(): FollowerQuestion {
    const { log, leaderEpoch } = this;
    return {
      leaderEpoch,
      fetchOffset: log.logEndOffset,
      lastFetchedEpoch: log.epochs.latest,
      logStartOffset: log.logStartOffset,
      syncedEnd: log.syncedEnd,
      highWatermark: log.highWatermark,
    };
  }

  /** Takes in the answer to `asked`. What came after another leader was set, or the log has moved since, changes nothing. */
  async take(asked: FollowerQuestion, answer: LeaderAnswer, wallMs: number): Promise<Taken> {
    const { log } = this;
    if (this.#isOver) return { kind: "idle" };
    if (asked.fetchOffset !== log.logEndOffset) return { kind: "again", reason: "moved" };
    if (answer.error === "offset_out_of_range") return await this.#startAnew(answer);
    if (answer.error !== null) return { kind: "again", reason: answer.error };
    if (answer.divergingEpoch !== null) return await this.#cut(answer.divergingEpoch);
    let taken: Taken = { kind: "idle" };
    if (answer.records.length > 0) {
      const appended = log.appendAsFollower(answer.records, wallMs);
      if (appended.kind !== "appended") return { kind: "again", reason: appended.kind };
      taken = {
        kind: "appended",
        group: appended.group,
        sizeBytes: answer.records.length,
      };
    }
    const highWatermark = Math.min(answer.highWatermark, log.logEndOffset);
    if (highWatermark > log.highWatermark) log.advanceHighWatermark(highWatermark);
    const start = Math.min(answer.logStartOffset, log.highWatermark);
    if (start > log.logStartOffset) log.followStart(start);
    return taken;
  }

  /** Another leader is followed, or none: late answers change nothing. Idempotent. */
  end(): void {
    this.#isOver = true;
  }

  /** Cuts what the leader does not have: as far as both know the newest common epoch. */
  async #cut(diverging: { readonly epoch: number; readonly endOffset: number }): Promise<Taken> {
    const { log } = this;
    const from = log.logEndOffset;
    const ours = log.epochs.endOf(diverging.epoch, from);
    const common =
      ours === null ? diverging.endOffset : Math.min(ours.endOffset, diverging.endOffset);
    const to = Math.max(Math.min(common, from), log.logStartOffset);
    // With no record to cut there may be an epoch that began here and had none: it goes, or it would be asked about for ever.
    if (to >= from && log.epochs.latest <= diverging.epoch) {
      return { kind: "again", reason: "nothing_to_cut" };
    }
    const isBelowHighWatermark = to < log.highWatermark;
    if (!(await log.cutTo(to))) return { kind: "failed" };
    return { kind: "cut", from, to, isBelowHighWatermark };
  }

  /** What is here does not meet what the leader has: it begins where the leader's log does. */
  async #startAnew(answer: LeaderAnswer): Promise<Taken> {
    const { log } = this;
    const to = answer.logStartOffset;
    if (to < 0) return { kind: "again", reason: "offset_out_of_range" };
    const from = log.logEndOffset;
    // All that lies before the leader's start was dropped there too; anything else was committed, or never.
    const isBelowHighWatermark = to < log.highWatermark;
    if (!(await log.startAnewAt(to))) return { kind: "failed" };
    return { kind: "cut", from, to, isBelowHighWatermark };
  }
}
