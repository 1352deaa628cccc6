// What a leader knows of its followers, and who of them is in sync. Invariant: the high watermark waits for everyone
// who is, or by a proposal under way may be, in the in-sync set; a follower comes in only when it has synced all
// below the high watermark under this leader. Pure: no clock, no log, no wait. Kafka: Replica, PartitionState.

/** Where a follower was at its newest fetch. Offsets are exclusive ends. */
export class FollowerProgress {
  readonly brokerId: number;
  /** Of the registration that fetched last; -1 before the first fetch. */
  brokerEpoch = -1;
  /** What it has appended; -1 before the first fetch. */
  logEndOffset = -1;
  /** What it has durable; -1 before the first fetch. */
  syncedEnd = -1;
  logStartOffset = -1;
  /** Monotonic ms at which it last had all that the leader had then. */
  caughtUpMs: number;
  #fetchMs = Number.NEGATIVE_INFINITY;
  #leaderEndAtFetch = -1;

  /** @param caughtUpMs When its being behind begins to count. */
  constructor(brokerId: number, caughtUpMs: number) {
    this.brokerId = brokerId;
    this.caughtUpMs = caughtUpMs;
  }

  /** Takes in a fetch from `fetchOffset`. False: it is of a registration that a newer one has followed. */
  fetched(
    brokerEpoch: number,
    fetchOffset: number,
    syncedEnd: number,
    logStartOffset: number,
    leaderEndOffset: number,
    nowMs: number,
  ): boolean {
    if (brokerEpoch < this.brokerEpoch) return false;
    // All that the leader had now, or all that it had when it was asked before: then it was caught up at that time.
    if (fetchOffset >= leaderEndOffset) this.caughtUpMs = Math.max(this.caughtUpMs, nowMs);
    else if (this.brokerEpoch === brokerEpoch && fetchOffset >= this.#leaderEndAtFetch) {
      this.caughtUpMs = Math.max(this.caughtUpMs, this.#fetchMs);
    }
    this.brokerEpoch = brokerEpoch;
    this.logEndOffset = fetchOffset;
    this.syncedEnd = Math.min(syncedEnd, fetchOffset);
    this.logStartOffset = logStartOffset;
    this.#fetchMs = nowMs;
    this.#leaderEndAtFetch = leaderEndOffset;
    return true;
  }

  /** Whether it has all, or had it no longer than `lagMsMax` ago. */
  isInSync(leaderEndOffset: number, nowMs: number, lagMsMax: number): boolean {
    return this.logEndOffset === leaderEndOffset || nowMs - this.caughtUpMs <= lagMsMax;
  }
}

/** What of a follower's broker decides whether it may come in: null where it is not registered. */
export type Registration = (
  brokerId: number,
) => { readonly epoch: number; readonly isStopping: boolean } | null;

/** Of the in-sync set, who has fallen behind, in the order of the set. */
export function laggards(
  isr: readonly number[],
  leaderId: number,
  followers: ReadonlyMap<number, FollowerProgress>,
  leaderEndOffset: number,
  nowMs: number,
  lagMsMax: number,
): number[] {
  return isr.filter((id) => {
    if (id === leaderId) return false;
    const follower = followers.get(id);
    return follower === undefined || !follower.isInSync(leaderEndOffset, nowMs, lagMsMax);
  });
}

/** Whether a follower outside of the in-sync set may come in. */
export function mayJoin(
  follower: FollowerProgress,
  registration: ReturnType<Registration>,
  highWatermark: number,
  epochStartOffset: number,
): boolean {
  return (
    registration !== null &&
    !registration.isStopping &&
    registration.epoch === follower.brokerEpoch &&
    follower.syncedEnd >= Math.max(highWatermark, epochStartOffset)
  );
}
