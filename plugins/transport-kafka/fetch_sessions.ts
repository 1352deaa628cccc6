// Fetch sessions (KIP-227): what a client fetches is remembered, so that it need not say it again, and
// partitions without news are left out of the answers.
// Invariant: at most `slots` sessions with at most `partitionsMax` partitions together; a client whose session is gone
// is told so and starts over with a full fetch. Kafka: FetchSession, FetchSessionCache, FetchManager.

import type { Clock, Random } from "../../src/contracts/runtime.ts";

/** A session that was not used for this long gives way to any other; a younger one only to a larger one. */
const EVICTABLE_AFTER_MS = 120_000;
const EPOCH_MAX = 0x7fffffff;

/** A partition as a client wants it, and what it was told last. */
export interface WantedPartition {
  /** Name up to v12, "" from v13 on. */
  readonly topic: string;
  /** Id from v13 on, else the zero uuid. */
  readonly topicId: string;
  readonly partition: number;
  fetchOffset: number;
  bytesMax: number;
  leaderEpoch: number;
  lastFetchedEpoch: number;
  /** Of a follower; -1 where it does not say, and for consumers. */
  logStartOffset: number;
  syncedEnd: number;
  highWatermark: number;
  /** -1 until told. */
  toldHighWatermark: number;
  toldLogStartOffset: number;
}

/** One client's session. */
export class FetchSession {
  readonly id: number;
  readonly usesTopicIds: boolean;
  readonly createdMs: number;
  lastUsedMs: number;
  /** What the next request of this session must carry. */
  epoch = 1;
  /** By topic and partition; the order is the order in which partitions are served. */
  readonly partitions = new Map<string, WantedPartition>();

  constructor(id: number, usesTopicIds: boolean, nowMs: number) {
    this.id = id;
    this.usesTopicIds = usesTopicIds;
    this.createdMs = nowMs;
    this.lastUsedMs = nowMs;
  }

  /** Moves a partition behind the others: who was served waits until the rest have been. */
  moveToEnd(wanted: WantedPartition): void {
    const key = keyOf(wanted.topic, wanted.topicId, wanted.partition);
    if (this.partitions.delete(key)) this.partitions.set(key, wanted);
  }
}

/** The bounded set of sessions of a transport. */
export class FetchSessions {
  readonly #slots: number;
  readonly #partitionsMax: number;
  readonly #clock: Clock;
  readonly #random: Random;
  /** Least recently used first. */
  readonly #sessions = new Map<number, FetchSession>();
  #partitionCount = 0;

  /**
   * @param options.slots `max.incremental.fetch.session.cache.slots`; 0 turns sessions off
   * @param options.partitionsMax over all sessions
   */
  constructor(options: {
    readonly slots: number;
    readonly partitionsMax: number;
    readonly clock: Clock;
    readonly random: Random;
  }) {
    this.#slots = options.slots;
    this.#partitionsMax = options.partitionsMax;
    this.#clock = options.clock;
    this.#random = options.random;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Partitions remembered over all sessions. */
  get partitionCount(): number {
    return this.#partitionCount;
  }

  find(id: number): FetchSession | undefined {
    return this.#sessions.get(id);
  }

  /** Marks a session as used now. */
  touch(session: FetchSession): void {
    session.lastUsedMs = this.#clock.monotonicMs();
    this.#sessions.delete(session.id);
    this.#sessions.set(session.id, session);
  }

  /** The epoch of the request that follows; it wraps to 1, as 0 opens a session. */
  advance(session: FetchSession): void {
    session.epoch = session.epoch === EPOCH_MAX ? 1 : session.epoch + 1;
  }

  /** A session for these partitions, or null when none may be kept: the client goes on with full fetches. */
  open(wanted: readonly WantedPartition[], usesTopicIds: boolean): FetchSession | null {
    if (wanted.length === 0 || wanted.length > this.#partitionsMax || this.#slots === 0)
      return null;
    if (this.#sessions.size >= this.#slots && !this.#evictFor(wanted.length)) return null;
    if (this.#partitionCount + wanted.length > this.#partitionsMax) return null;
    const session = new FetchSession(this.#freshId(), usesTopicIds, this.#clock.monotonicMs());
    for (const each of wanted) this.want(session, each);
    this.#sessions.set(session.id, session);
    return session;
  }

  close(id: number): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    this.#sessions.delete(id);
    this.#partitionCount -= session.partitions.size;
  }

  /** Adds a partition to a session, or changes what is asked of it. False when there is no room for it. */
  want(session: FetchSession, wanted: WantedPartition): boolean {
    const key = keyOf(wanted.topic, wanted.topicId, wanted.partition);
    const known = session.partitions.get(key);
    if (known !== undefined) {
      known.fetchOffset = wanted.fetchOffset;
      known.bytesMax = wanted.bytesMax;
      known.leaderEpoch = wanted.leaderEpoch;
      known.lastFetchedEpoch = wanted.lastFetchedEpoch;
      known.logStartOffset = wanted.logStartOffset;
      known.syncedEnd = wanted.syncedEnd;
      known.highWatermark = wanted.highWatermark;
      return true;
    }
    if (this.#partitionCount >= this.#partitionsMax) return false;
    session.partitions.set(key, wanted);
    this.#partitionCount++;
    return true;
  }

  forget(session: FetchSession, topic: string, topicId: string, partition: number): void {
    if (session.partitions.delete(keyOf(topic, topicId, partition))) this.#partitionCount--;
  }

  /** Frees a slot for a session of `size` partitions: one long unused, else the smallest old one below that size. */
  #evictFor(size: number): boolean {
    const nowMs = this.#clock.monotonicMs();
    let victim: FetchSession | null = null;
    for (const session of this.#sessions.values()) {
      if (nowMs - session.lastUsedMs > EVICTABLE_AFTER_MS) {
        victim = session;
        break;
      }
      if (nowMs - session.createdMs <= EVICTABLE_AFTER_MS) continue;
      const smallest: number = victim === null ? size : victim.partitions.size;
      if (session.partitions.size < smallest) victim = session;
    }
    if (victim === null) return false;
    this.close(victim.id);
    return true;
  }

  #freshId(): number {
    for (;;) {
      const id = this.#random.uint32() >>> 1;
      if (id !== 0 && !this.#sessions.has(id)) return id;
    }
  }
}

function keyOf(topic: string, topicId: string, partition: number): string {
  return `${partition}/${topic === "" ? topicId : topic}`;
}
