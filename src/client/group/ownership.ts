// The partitions that this member has: where each stands, what of it is done with, and how they come and go.
// Invariant: of a partition that is to go nothing is given out any more; what was done with is committed and
// `onRevoked` has resolved before anybody may think that it is gone; offsets of one member are committed one
// request after another, so that none goes back.
// Kafka: SubscriptionState, ConsumerCoordinator, ConsumerMembershipManager.

import type { Timer } from "../../contracts/runtime.ts";
import { ClientError, isRetriable, refusal } from "../client_error.ts";
import type { ClientContext } from "../context.ts";
import { BatchOpener } from "../fetched.ts";
import type { FetchState, PartitionFetcher } from "../fetcher.ts";
import { backoffDelayMs, sleep, unlessAborted } from "../waiting.ts";
import type { AppGate } from "./app_gate.ts";
import type { GroupCoordinator } from "./coordinator.ts";
import { commitOffsets, committedOffsets, type MemberIdentity } from "./group_offsets.ts";
import type {
  CommittedOffset,
  GroupPlan,
  OffsetToCommit,
  RebalanceCallback,
} from "./group_options.ts";
import { keyOf, type TopicPartition } from "./partition_key.ts";

/** One partition that this member has. */
export interface Owned {
  readonly topic: string;
  readonly partition: number;
  readonly state: FetchState;
  /** Behind what was handed to the application; -1 while nobody knows. */
  given: number;
  /** Behind what the application is done with. */
  done: number;
  committed: number | null;
  /** Where an aborted transaction goes back to: behind what was committed, or where reading was told to begin; -1 as `given`. */
  base: number;
  /** How often the application has chosen another place. */
  seeks: number;
  /** Nothing more is given out of it. */
  isStopped: boolean;
}

export interface OwnershipOptions {
  readonly batchBytesMax: number;
  readonly untilEnd: boolean;
  readonly onAssigned: RebalanceCallback | undefined;
  readonly onRevoked: RebalanceCallback | undefined;
  readonly onLost: RebalanceCallback | undefined;
}

/** A transaction that commits what is handed out, as long as it is open. */
export interface OffsetsTransaction {
  /** Partitions are about to be another's: theirs are committed before. Never rejects. */
  release(offsets: readonly OffsetToCommit[]): Promise<void>;
  /** Of what was handed out something is another's by now, uncommitted. */
  lost(): void;
}

/** These mean that the committer is not, or not any more, who it says. */
const OUT: ReadonlySet<string> = new Set([
  "unknown_member_id",
  "illegal_generation",
  "fenced_instance_id",
  "fenced_member_epoch",
  "stale_member_epoch",
  "rebalance_in_progress",
  // The coordinator has lost all it knew: its topic was deleted.
  "group_id_not_found",
]);

/** These mean that there is nothing to commit to: it may come, but nobody waits for that. */
const GONE: ReadonlySet<string> = new Set(["unknown_topic_or_partition", "unknown_topic_id"]);

/** How long the last commit may take, and a callback when the consumer closes. */
const CLOSING_MS = 10_000;

export class Ownership {
  readonly #context: ClientContext;
  readonly #plan: GroupPlan;
  readonly #options: OwnershipOptions;
  readonly #coordinator: GroupCoordinator;
  readonly #gate: AppGate;
  readonly #fetcher: PartitionFetcher;
  readonly #owned = new Map<string, Owned>();
  readonly #closing: AbortSignal;
  /** Who commits; null outside of the group. */
  identity: () => MemberIdentity | null = () => null;
  /** Whether a callback is on the stack: who closes in it cannot wait for it. */
  isCalling = false;
  /** Null outside of a transaction. */
  transaction: OffsetsTransaction | null = null;
  /** Something that the application has in hand is another's by now. */
  #isLost = false;
  #commits: Promise<unknown> = Promise.resolve();
  /** Fires when closing has taken so long that no commit is waited for any more. */
  readonly #late = new AbortController();
  #lateTimer: Timer | null = null;

  constructor(
    context: ClientContext,
    plan: GroupPlan,
    options: OwnershipOptions,
    parts: {
      readonly coordinator: GroupCoordinator;
      readonly gate: AppGate;
      readonly fetcher: PartitionFetcher;
      readonly closing: AbortSignal;
    },
  ) {
    this.#context = context;
    this.#plan = plan;
    this.#options = options;
    this.#coordinator = parts.coordinator;
    this.#gate = parts.gate;
    this.#fetcher = parts.fetcher;
    this.#closing = parts.closing;
    const closing = () => {
      const late = () => this.#late.abort();
      this.#lateTimer = context.runtime.scheduler.after(CLOSING_MS, "group_close", late);
    };
    this.#closing.addEventListener("abort", closing, { once: true });
  }

  get all(): readonly Owned[] {
    return [...this.#owned.values()];
  }

  find(topic: string, partition: number): Owned | undefined {
    return this.#owned.get(keyOf({ topic, partition }));
  }

  /** Whether it still is this member's. */
  has(owned: Owned): boolean {
    return this.#owned.get(keyOf(owned)) === owned;
  }

  /**
   * Takes partitions on: from what was committed, or where the plan says.
   *
   * @param isMeant asked before anything is taken on: what was true when the look-up began may not be any more
   */
  async assign(
    partitions: readonly TopicPartition[],
    isMeant: () => boolean = () => true,
  ): Promise<void> {
    const added = await this.#begin(partitions);
    await this.#gate.step(async () => {
      if (!isMeant() || this.#closing.aborted) return;
      for (const owned of added) this.#owned.set(keyOf(owned), owned);
      const places = partitions.map(({ topic, partition }) => ({ topic, partition }));
      await this.#call("onAssigned", this.#options.onAssigned, places);
      this.#fetcher.add(added.filter((owned) => this.has(owned)).map(({ state }) => state));
    });
  }

  /** Gives partitions up: nothing more is given out of them from now on; the rest when the application is idle. */
  async revoke(partitions: readonly TopicPartition[]): Promise<void> {
    this.#stop(partitions);
    await this.#gate.step(() => this.#release(partitions));
  }

  /** They are another's already. */
  async lose(): Promise<void> {
    const lost = this.drop();
    if (lost.length > 0) await this.#gate.step(() => this.#tellLost(lost));
  }

  /** Nothing more is given out; what is to become of the partitions will be said. */
  halt(): void {
    this.#stop(this.all);
  }

  /** Forgets all partitions at once; the application has not been told. */
  drop(): readonly TopicPartition[] {
    const lost = this.all.map(({ topic, partition }) => ({ topic, partition }));
    this.#isLost ||= this.all.some(isMoved);
    if (this.all.some(({ given, base }) => given !== base)) this.transaction?.lost();
    this.#stop(lost);
    this.#owned.clear();
    return lost;
  }

  /** Gives all up where they are, without waiting for the application: it has ended. */
  async releaseAll(): Promise<void> {
    const all = this.all.map(({ topic, partition }) => ({ topic, partition }));
    this.#stop(all);
    // What was in hand when the application ended is not done with: no callback may commit it unawares. A transaction was told to.
    if (this.transaction === null) {
      for (const owned of this.#owned.values()) owned.given = owned.done;
    }
    try {
      await this.#release(all);
    } finally {
      this.#lateTimer?.cancel();
    }
  }

  #stop(partitions: readonly TopicPartition[]): void {
    const states: FetchState[] = [];
    for (const each of partitions) {
      const owned = this.#owned.get(keyOf(each));
      if (owned === undefined || owned.isStopped) continue;
      advance(owned);
      owned.isStopped = true;
      states.push(owned.state);
    }
    this.#fetcher.remove(states);
  }

  async #release(partitions: readonly TopicPartition[]): Promise<void> {
    // What was lost in the meantime has been told of as lost.
    const left = partitions.filter((each) => this.#owned.has(keyOf(each)));
    if (left.length === 0) return;
    const held = left.map((each) => this.#owned.get(keyOf(each))!);
    if (this.identity() === null) {
      if (held.some(({ given, base }) => given !== base)) this.transaction?.lost();
      for (const each of left) this.#owned.delete(keyOf(each));
      await this.#tellLost(left.map(({ topic, partition }) => ({ topic, partition })));
      return;
    }
    if (this.#plan.autoCommitMs !== null) {
      const mostMs = this.#closing.aborted ? CLOSING_MS : this.#plan.maxPollIntervalMs / 2;
      await this.commitDone(left, Math.min(this.#context.timeoutMs, mostMs));
    }
    await this.transaction?.release(offsetsIn(held));
    const places = left.map(({ topic, partition }) => ({ topic, partition }));
    try {
      await this.#call("onRevoked", this.#options.onRevoked, places);
    } finally {
      for (const each of left) this.#owned.delete(keyOf(each));
    }
  }

  async #tellLost(lost: readonly TopicPartition[]): Promise<void> {
    this.#isLost = false;
    await this.#call("onLost", this.#options.onLost ?? this.#options.onRevoked, lost);
  }

  /** Waits for what a callback of the application does; once the consumer closes, not for ever. */
  async #call(
    name: string,
    callback: RebalanceCallback | undefined,
    places: readonly TopicPartition[],
  ): Promise<void> {
    if (callback === undefined) return;
    let running: void | Promise<void>;
    this.isCalling = true;
    try {
      running = callback(places);
    } finally {
      this.isCalling = false;
    }
    const enough = new AbortController();
    let timer: Timer | null = null;
    const closing = () => {
      timer = this.#context.runtime.scheduler.after(CLOSING_MS, "group_callback", () =>
        enough.abort(),
      );
    };
    if (this.#closing.aborted) closing();
    else this.#closing.addEventListener("abort", closing, { once: true });
    try {
      await unlessAborted(Promise.resolve(running), enough.signal);
    } catch (error) {
      if (!enough.signal.aborted) throw error;
      const text = `${name} has not ended ${CLOSING_MS / 1000} s after the consumer was closed, and is waited for no longer`;
      throw new ClientError("request_timed_out", text, { retriable: false });
    } finally {
      this.#closing.removeEventListener("abort", closing);
      (timer as Timer | null)?.cancel();
    }
  }

  /** Commits what the application is done with, if it moved; refusals that only mean "not now" are let pass. */
  async commitDone(
    partitions: readonly TopicPartition[] = this.all,
    timeoutMs = this.#context.timeoutMs,
  ): Promise<void> {
    const offsets: OffsetToCommit[] = [];
    for (const place of partitions) {
      const owned = this.#owned.get(keyOf(place));
      if (owned === undefined) continue;
      advance(owned);
      if (owned.done < 0 || owned.done === owned.committed) continue;
      offsets.push({ topic: owned.topic, partition: owned.partition, offset: owned.done });
    }
    try {
      await this.commit(offsets, timeoutMs);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      const isPassing = OUT.has(error.code) || GONE.has(error.code) || error.retriable;
      if (!isPassing && error.code !== "aborted" && error.code !== "closed") throw error;
    }
  }

  /** Commits what has been handed out, what is in hand now included. */
  async commitGiven(): Promise<void> {
    if (this.#isLost) throw this.#notMember();
    for (const owned of this.#owned.values()) advance(owned);
    return this.commitChosen(offsetsIn(this.all));
  }

  /** Commits what the application says it is done with; automatic commits go on from there, and not back. */
  commitChosen(offsets: readonly OffsetToCommit[]): Promise<void> {
    for (const { topic, partition, offset } of offsets) {
      const owned = this.find(topic, partition);
      if (owned !== undefined) owned.done = offset;
    }
    return this.commit(offsets);
  }

  /** Commits offsets behind those that are under way. @throws {ClientError} the first refusal */
  commit(offsets: readonly OffsetToCommit[], timeoutMs = this.#context.timeoutMs): Promise<void> {
    const run = this.#commits.then(() => this.#commit(offsets, timeoutMs));
    this.#commits = run.catch(() => {});
    return run;
  }

  async #commit(offsets: readonly OffsetToCommit[], timeoutMs: number): Promise<void> {
    if (offsets.length === 0) return;
    const { runtime, metadata, backoff } = this.#context;
    const deadlineMs = runtime.clock.monotonicMs() + timeoutMs;
    for (let attempt = 1; ; attempt++) {
      const who = this.identity();
      if (who === null) throw this.#notMember();
      const leftMs = Math.max(deadlineMs - runtime.clock.monotonicMs(), 1);
      const bounds = {
        timeoutMs: leftMs,
        requestTimeoutMs: Math.min(leftMs, this.#context.requestTimeoutMs),
        signal: this.#late.signal,
      };
      const ids = this.#topicIds(offsets);
      const outcomes = await commitOffsets(this.#coordinator, metadata, who, offsets, bounds, ids);
      let failed: ClientError | null = null;
      for (const [at, outcome] of outcomes.entries()) {
        const { topic, partition, offset } = offsets[at]!;
        const owned = this.find(topic, partition);
        if (outcome.ok) {
          if (owned !== undefined) keep(owned, offset);
        } else failed ??= refusal(outcome.error, `Cannot commit ${topic}-${partition}`);
      }
      if (failed === null) return;
      // A heartbeat brings the next epoch; the offsets are as good under it.
      const isBehind = failed.code === "stale_member_epoch" && this.identity() !== null;
      const delayMs = backoffDelayMs(runtime, backoff, attempt);
      const isLate = runtime.clock.monotonicMs() + delayMs > deadlineMs;
      const isFinal = failed.code === "rebalance_in_progress" || GONE.has(failed.code) || isLate;
      if ((!failed.retriable && !isBehind) || isFinal) throw failed;
      await sleep(runtime, delayMs, "group_commit", this.#late.signal);
    }
  }

  /**
   * What has been handed out and is not committed, what is in hand now included, for a transaction to commit.
   *
   * @throws {ClientError} "unknown_member_id": some of it is another's by now
   */
  inHand(): HandedOut {
    if (this.#isLost) throw this.#notMember();
    for (const owned of this.#owned.values()) advance(owned);
    const moved = this.all.filter(isMoved);
    const offsets = moved.map(handedOutOf);
    return {
      offsets,
      committed: () => {
        for (const [at, owned] of moved.entries()) {
          keep(owned, offsets[at]!.offset);
          if (owned.done < owned.committed!) owned.done = owned.committed!;
        }
      },
    };
  }

  /** Whether each partition that this member has now is its own all the time from now on. */
  check(): () => boolean {
    const held = this.all;
    return () => !this.#isLost && held.every((owned) => this.has(owned));
  }

  /** Goes back behind what was committed, or to where reading was told to begin. */
  rewind(): void {
    for (const owned of this.all) {
      if (!owned.isStopped && owned.base >= 0 && owned.given !== owned.base) {
        this.seek(owned, owned.base);
      }
    }
  }

  /** As `rewind`, where it is open whether `sent` were committed: asks the group. @throws {ClientError} it did not say */
  async rewindUnless(sent: HandedOut): Promise<void> {
    const found = await this.committed(this.all);
    const isSame = sent.offsets.every(({ topic, partition, offset }) => {
      const own = found.find((each) => each.topic === topic && each.partition === partition);
      return own === undefined || own.offset === offset;
    });
    if (isSame) sent.committed();
    this.rewind();
  }

  /** The topics that were read: one that was made anew since must not get the offsets of the one before. */
  #topicIds(offsets: readonly OffsetToCommit[]): ReadonlyMap<string, string> {
    const ids = new Map<string, string>();
    for (const { topic, partition } of offsets) {
      const id = this.find(topic, partition)?.state.topicId ?? null;
      if (id === null || (ids.has(topic) && id === this.#context.metadata.known(topic)?.topicId))
        continue;
      ids.set(topic, id);
    }
    return ids;
  }

  /** What was read of a partition was of a topic that is no more: `state` begins in the one of today. */
  beginAnew(state: FetchState): void {
    const owned = this.find(state.topic, state.partition);
    if (owned === undefined || owned.state !== state) return;
    owned.given = state.position;
    owned.done = state.position;
    owned.committed = null;
    owned.base = state.position;
    owned.seeks++;
  }

  #notMember(): ClientError {
    const text = `Cannot commit: this consumer is not a member of group "${this.#plan.group}" now. What is not committed comes again, to whoever has the partition`;
    return new ClientError("unknown_member_id", text);
  }

  /** What the group has committed of `partitions`; of all that this member has when left out. */
  committed(partitions: readonly TopicPartition[] = this.all): Promise<readonly CommittedOffset[]> {
    return committedOffsets(this.#coordinator, this.identity(), partitions);
  }

  /** Goes on at another offset. */
  seek(owned: Owned, offset: number): void {
    owned.given = offset;
    owned.done = offset;
    owned.base = offset;
    owned.seeks++;
    this.#fetcher.seek(owned.state, offset);
  }

  /** Where each begins; tried again until it is known. */
  async #begin(partitions: readonly TopicPartition[]): Promise<readonly Owned[]> {
    if (partitions.length === 0) return [];
    const signal = this.#closing;
    // The identity may change while it is asked for, and the old one be refused: whoever called tries again.
    const committed = await committedOffsets(this.#coordinator, this.identity(), partitions, {
      signal,
    });
    const starts = committed.map(({ offset }) => offset ?? -1);
    const missing = partitions.filter((_, at) => starts[at]! < 0);
    const { autoOffsetReset, isolation, group } = this.#plan;
    if (missing.length > 0 && autoOffsetReset === "error") {
      const [{ topic, partition }] = missing as [TopicPartition];
      const text = `Group "${group}" has no committed offset of ${topic}-${partition}, and autoOffsetReset is "error": let it be "earliest" or "latest", or commit one (\`millrace group reset\`)`;
      throw new ClientError("offset_out_of_range", text);
    }
    const ends = this.#options.untilEnd ? await this.#lookUp(partitions, "latest") : [];
    const found = await this.#lookUp(missing, autoOffsetReset === "latest" ? "latest" : "earliest");
    let next = 0;
    return partitions.map(({ topic, partition }, at) => {
      const { isUnknown, offset } =
        starts[at]! >= 0 ? { isUnknown: false, offset: starts[at]! } : startOf(found[next++]!);
      const opener = new BatchOpener({ topic, partition }, this.#context.runtime, {
        sizeBytesMax: this.#options.batchBytesMax,
        isCommittedOnly: isolation === "read_committed",
      });
      const state: FetchState = {
        topic,
        partition,
        position: offset,
        end: this.#options.untilEnd ? Math.max(ends[at] ?? 0, 0) : Number.POSITIVE_INFINITY,
        opener,
        bufferedBytes: 0,
        failures: 0,
        retryAtMs: 0,
        isPaused: false,
        topicId: null,
        seeks: 0,
      };
      const place = isUnknown ? -1 : offset;
      const known = committed[at]!.offset;
      return {
        topic,
        partition,
        state,
        given: place,
        done: place,
        committed: known,
        base: place,
        seeks: 0,
        isStopped: false,
      };
    });
  }

  /** -1 where the topic has gone. */
  async #lookUp(
    partitions: readonly TopicPartition[],
    at: "earliest" | "latest",
  ): Promise<readonly number[]> {
    const queries = partitions.map(({ topic, partition }) => ({ topic, partition, at }));
    const { isolation } = this.#plan;
    const outcomes = await this.#context.admin.offsets(queries, { isolation });
    return outcomes.map((outcome, index) => {
      if (outcome.ok) return outcome.value.offset;
      if (outcome.error.code === "unknown_topic_or_partition") return -1;
      const { topic, partition } = partitions[index]!;
      throw refusal(outcome.error, `Cannot look up an offset of ${topic}-${partition}`);
    });
  }
}

/**
 * Over what lies between the last record and the next fetch: control records and compacted ones are for nobody. And back, when
 * what was read is not there any more.
 */
function advance(owned: Owned): void {
  const { state, given, done } = owned;
  // What was fetched and not given out yet would be passed over.
  if (owned.isStopped || state.bufferedBytes > 0 || done !== given || done < 0) return;
  owned.given = state.position;
  owned.done = state.position;
}

/** What a transaction commits for a member. */
export interface HandedOut {
  readonly offsets: readonly OffsetToCommit[];
  /** It was committed. */
  committed(): void;
}

function keep(owned: Owned, offset: number): void {
  owned.committed = offset;
  owned.base = offset;
}

/** Whether something was handed out that is not committed. */
function isMoved({ given, committed }: Owned): boolean {
  return given >= 0 && given !== committed;
}

function handedOutOf({ topic, partition, given }: Owned): OffsetToCommit {
  return { topic, partition, offset: given };
}

/** What is to be committed of these. */
function offsetsIn(held: readonly Owned[]): OffsetToCommit[] {
  return held.filter(isMoved).map(handedOutOf);
}

/** Of a topic that has gone: should it come again, at its beginning. */
function startOf(found: number): { readonly isUnknown: boolean; readonly offset: number } {
  return found < 0 ? { isUnknown: true, offset: 0 } : { isUnknown: false, offset: found };
}

/** Whether an error says that the membership, and not the call, is at fault. */
export function isOut(error: unknown): boolean {
  return error instanceof ClientError && OUT.has(error.code);
}

/** Whether trying the same again later may do. */
export function mayPass(error: unknown): boolean {
  return isOut(error) || isRetriable(error);
}
