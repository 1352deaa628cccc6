// One partition that this broker leads: followers' progress, the high watermark, the in-sync set and its changes, and
// who waits for acks=all. Invariant: the high watermark is at most the synced end of every broker that is, or by a
// proposal under way may be, in sync; it never goes back in one leadership; and one proposal is under way at most.
// Kafka: Partition (leader half), DelayedProduce.

import { assert } from "../../base/assert.ts";
import type { Timer } from "../../contracts/runtime.ts";
import type { PartitionImage } from "../cluster/image.ts";
import { FollowerProgress, laggards, mayJoin, type Registration } from "./isr.ts";

/** Appends of one partition that wait for followers; further ones are refused as if they had timed out. */
export const WAITING_APPENDS_MAX = 65_536;

/** What a leader needs of its log: PartitionLog has it. */
export interface ReplicatedLog {
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  readonly syncedEnd: number;
  readonly highWatermark: number;
  /** Moves the high watermark up, and wakes who waits for it. */
  advanceHighWatermark(offset: number): void;
}

/** The in-sync set that a leader asks for. Cluster.alterIsr takes it. */
export interface IsrProposal {
  readonly isr: readonly number[];
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  /** Of those that are to come in: the registrations that fetched. */
  readonly expandedEpochs: ReadonlyMap<number, number>;
}

/** "settled": the store took it or refused it, and `image` is how the partition stands; "unknown": it may be taken yet. */
export type ProposalAnswer =
  | { readonly kind: "settled"; readonly image: PartitionImage | null }
  | { readonly kind: "unknown" };

export interface LeaderOptions {
  readonly log: ReplicatedLog;
  readonly brokerId: number;
  readonly nowMs: () => number;
  /** replica.lag.time.max.ms */
  readonly lagMsMax: () => number;
  /** min.insync.replicas of the topic. */
  readonly minInSync: () => number;
  readonly registration: Registration;
  /** Never rejects. */
  readonly propose: (proposal: IsrProposal) => Promise<ProposalAnswer>;
  readonly after: (delayMs: number, label: string, task: () => void) => Timer;
  /** Tells of changes for the log: "isr_shrinks", "isr_expands", with ids. */
  readonly tell?: (event: "isr_shrinks" | "isr_expands", brokerIds: readonly number[]) => void;
}

/** How the wait of an append ended. */
export type CommitWait = "committed" | "timed_out" | "not_leader" | "not_enough_replicas";

/** What a follower's fetch says of itself. */
export interface FollowerFetch {
  readonly brokerId: number;
  readonly brokerEpoch: number;
  readonly fetchOffset: number;
  readonly syncedEnd: number;
  readonly logStartOffset: number;
}

interface Waiting {
  readonly endOffset: number;
  readonly resolve: (end: CommitWait) => void;
  readonly timer: Timer;
}

/** After the store did not answer, the same is asked again in so many ms. */
const ASK_AGAIN_MS = 200;

export class PartitionLeader {
  readonly isLeader = true;
  /** First offset of this leadership. */
  readonly epochStartOffset: number;
  readonly #options: LeaderOptions;
  readonly #followers = new Map<number, FollowerProgress>();
  readonly #waiting = new Set<Waiting>();
  /** Called when more is appended here, the high watermark has moved, or the leadership is over. */
  readonly replicaWaiters = new Set<() => void>();
  #image: PartitionImage;
  /** Null: none is under way. */
  #proposal: IsrProposal | null = null;
  #retry: Timer | null = null;
  #isOver = false;

  /** @param image How the partition stands: this broker leads it. */
  constructor(options: LeaderOptions, image: PartitionImage) {
    assert(image.leader === options.brokerId, "a leader is who the image says leads");
    this.#options = options;
    this.#image = image;
    this.epochStartOffset = options.log.logEndOffset;
    this.#setFollowers();
    this.#advance();
  }

  get leaderEpoch(): number {
    return this.#image.leaderEpoch;
  }

  get image(): PartitionImage {
    return this.#image;
  }

  /** The in-sync set that the cluster has agreed on. */
  get isr(): readonly number[] {
    return this.#image.isr;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get isProposing(): boolean {
    return this.#proposal !== null;
  }

  /** Whether acks=all is refused before the append. */
  get isUnderMinIsr(): boolean {
    const { replicas, isr } = this.#image;
    return isr.length < Math.min(this.#options.minInSync(), replicas.length);
  }

  /** Null for who does not replicate it. */
  follower(brokerId: number): FollowerProgress | null {
    return this.#followers.get(brokerId) ?? null;
  }

  /** The partition changed in the image and is still led by this broker in this epoch. */
  imageChanged(image: PartitionImage): void {
    assert(image.leaderEpoch === this.leaderEpoch, "another epoch is another leadership");
    if (image.partitionEpoch < this.#image.partitionEpoch) return;
    const proposal = this.#proposal;
    this.#image = image;
    // Whatever became of it: nothing that was proposed for an earlier epoch of the partition can be taken any more.
    if (proposal !== null && image.partitionEpoch > proposal.partitionEpoch) this.#endProposal();
    this.#setFollowers();
    this.#advance();
    if (this.isUnderMinIsr) this.#endWaits("not_enough_replicas");
  }

  /** The log has synced more. */
  onSynced(): void {
    this.#advance();
  }

  /** Followers are sent it without waiting for our sync: theirs goes beside it (ADR 44). */
  onAppended(): void {
    this.#wakeReplicas();
  }

  /** Takes in where a follower is. False: it does not replicate this partition, or is of an old registration. */
  followerFetched(fetch: FollowerFetch): boolean {
    const { log, nowMs, registration } = this.#options;
    const follower = this.#followers.get(fetch.brokerId);
    if (follower === undefined) return false;
    // Of a registration that the image has not shown yet nothing is known either way: it counts from then on.
    const registered = registration(fetch.brokerId);
    if (registered !== null && fetch.brokerEpoch >= 0 && fetch.brokerEpoch < registered.epoch) {
      return false;
    }
    const isTaken = follower.fetched(
      fetch.brokerEpoch,
      fetch.fetchOffset,
      fetch.syncedEnd,
      fetch.logStartOffset,
      log.logEndOffset,
      nowMs(),
    );
    if (!isTaken) return false;
    this.#expand(follower);
    this.#advance();
    return true;
  }

  /** Takes who has fallen behind out of the in-sync set; to be called every half of replica.lag.time.max.ms. */
  checkLag(): void {
    if (this.#proposal !== null || this.#isOver) return;
    const { log, brokerId, nowMs, lagMsMax } = this.#options;
    const { isr } = this.#image;
    const behind = laggards(isr, brokerId, this.#followers, log.logEndOffset, nowMs(), lagMsMax());
    if (behind.length === 0) return;
    this.#options.tell?.("isr_shrinks", behind);
    this.#propose(
      isr.filter((id) => !behind.includes(id)),
      new Map(),
    );
  }

  /**
   * Until everything before `endOffset` is committed. At most WAITING_APPENDS_MAX wait at once.
   *
   * @param timeoutMs After which it is "timed_out": the records stay, and may be committed yet.
   */
  committed(endOffset: number, timeoutMs: number): Promise<CommitWait> {
    if (this.#isOver) return Promise.resolve("not_leader");
    if (this.#options.log.highWatermark >= endOffset) return Promise.resolve(this.#verdict());
    if (this.#waiting.size >= WAITING_APPENDS_MAX) return Promise.resolve("timed_out");
    return new Promise((resolve) => {
      const timer = this.#options.after(timeoutMs, "append_wait", () => {
        this.#waiting.delete(waiting);
        resolve("timed_out");
      });
      const waiting: Waiting = { endOffset, resolve, timer };
      this.#waiting.add(waiting);
    });
  }

  /** The leadership is over, or the log is gone: who waits is told, and nothing moves any more. Idempotent. */
  end(): void {
    this.#isOver = true;
    this.#retry?.cancel();
    this.#endWaits("not_leader");
    this.#wakeReplicas();
  }

  /** What was committed under too small a set is told as Kafka tells it. */
  #verdict(): CommitWait {
    return this.isUnderMinIsr ? "not_enough_replicas" : "committed";
  }

  #setFollowers(): void {
    const { brokerId, nowMs } = this.#options;
    const { replicas } = this.#image;
    for (const id of this.#followers.keys()) {
      if (!replicas.includes(id)) this.#followers.delete(id);
    }
    for (const id of replicas) {
      if (id === brokerId || this.#followers.has(id)) continue;
      // Who is in sync is given its time from now on: before, nobody could fetch from us.
      this.#followers.set(id, new FollowerProgress(id, nowMs()));
    }
  }

  /** As far as everyone has it who is, may be, or is about to be in sync. */
  #advance(): void {
    if (this.#isOver || this.isUnderMinIsr) return;
    const { log, brokerId, nowMs, lagMsMax } = this.#options;
    const proposed = this.#proposal?.isr;
    let end = log.syncedEnd;
    for (const [id, follower] of this.#followers) {
      const isCounted =
        this.#image.isr.includes(id) ||
        proposed?.includes(id) === true ||
        this.#isAboutToJoin(follower, nowMs(), lagMsMax());
      if (isCounted) end = Math.min(end, follower.syncedEnd);
    }
    assert(this.#image.isr.includes(brokerId), "a leader is in sync with itself");
    if (end <= log.highWatermark) return;
    log.advanceHighWatermark(end);
    this.#wakeReplicas();
    const verdict = this.#verdict();
    for (const waiting of this.#waiting) {
      if (waiting.endOffset > end) continue;
      this.#waiting.delete(waiting);
      waiting.timer.cancel();
      waiting.resolve(verdict);
    }
  }

  /** Under load the high watermark would run ahead of who has caught up but for what came meanwhile: it is waited for. */
  #isAboutToJoin(follower: FollowerProgress, nowMs: number, lagMsMax: number): boolean {
    const { log, registration } = this.#options;
    if (follower.syncedEnd < log.highWatermark || follower.brokerEpoch < 0) return false;
    const registered = registration(follower.brokerId);
    return (
      registered !== null &&
      !registered.isStopping &&
      registered.epoch === follower.brokerEpoch &&
      follower.isInSync(log.logEndOffset, nowMs, lagMsMax)
    );
  }

  #expand(follower: FollowerProgress): void {
    if (this.#proposal !== null || this.#isOver) return;
    const { log, registration } = this.#options;
    const { isr } = this.#image;
    const { brokerId, brokerEpoch } = follower;
    if (isr.includes(brokerId)) return;
    if (!mayJoin(follower, registration(brokerId), log.highWatermark, this.epochStartOffset))
      return;
    this.#options.tell?.("isr_expands", [brokerId]);
    this.#propose([...isr, brokerId], new Map([[brokerId, brokerEpoch]]));
  }

  #propose(isr: readonly number[], expandedEpochs: ReadonlyMap<number, number>): void {
    const { leaderEpoch, partitionEpoch } = this.#image;
    this.#proposal = { isr, leaderEpoch, partitionEpoch, expandedEpochs };
    void this.#ask(this.#proposal);
  }

  async #ask(proposal: IsrProposal): Promise<void> {
    const answer = await this.#options.propose(proposal);
    if (this.#proposal !== proposal || this.#isOver) return;
    if (answer.kind === "settled") {
      const { image } = answer;
      if (image !== null && image.leaderEpoch === this.leaderEpoch) this.imageChanged(image);
      // Refused at the very epoch that it was made for: it will not be taken later.
      if (this.#proposal === proposal) this.#endProposal();
      this.#advance();
      return;
    }
    // It may have been taken. Asking again tells: it can be taken once only, at its partition epoch.
    this.#retry = this.#options.after(ASK_AGAIN_MS, "isr_proposal", () => void this.#ask(proposal));
  }

  #wakeReplicas(): void {
    for (const wake of [...this.replicaWaiters]) wake();
  }

  #endProposal(): void {
    this.#proposal = null;
    this.#retry?.cancel();
    this.#retry = null;
  }

  #endWaits(end: CommitWait): void {
    for (const waiting of this.#waiting) {
      waiting.timer.cancel();
      waiting.resolve(end);
    }
    this.#waiting.clear();
  }
}
