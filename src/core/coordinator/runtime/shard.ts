// A coordinator's state machine: one partition of an internal topic, and all that it says about its groups
// (or transactional ids). Decide, replay, append, answer (ADR 35).
// Invariants: hard state (what the log holds) is changed by replay() alone, for our own records as soon as they
// are decided, and for the log's at load. Soft state (who waits, sessions, timers) may change in a decision, and
// is gone when the shard is dropped. No undo: when an append fails the shard is dropped and loaded again.
// Kafka: CoordinatorShard, CoordinatorResult.

/** The time of a decision. Wall time only for what is stored or shown; sessions and delays go by the monotonic one. */
export interface Now {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

/** Stands for a caller who waits. Whoever decides answers it now, or keeps it and answers it in a later decision. */
export interface Reply<Response> {
  /** True once answered, or once the caller cannot be answered any more. */
  readonly isDone: boolean;
  /** Never there: fixes the type. */
  readonly response?: Response;
}

/** An answer, given once all that its decision could see is committed. */
export interface Answer {
  readonly reply: Reply<unknown>;
  readonly response: unknown;
}

/** Pairs a reply with what it is to be told. Answering one twice is a defect. */
export function answer<Response>(reply: Reply<Response>, response: Response): Answer {
  return { reply, response };
}

/** What follows from a request or a timer: records, appended as one batch or not at all, and answers. */
export interface Decision<Record> {
  readonly records: readonly Record[];
  readonly answers: readonly Answer[];
  /** Every part of the records is right by itself: they may go into several batches. For removals of any number. */
  readonly mayBeSplit?: true;
  /** Bytes that a batch has to have left beside all of the records: for a later decision about the same, which says more. */
  readonly spareBytes?: number;
  /**
   * The records are larger than a batch may be, or hold what no record can, so that none was written: what follows
   * instead. Without it, every reply of the decision is refused with unknown_server_error, as Kafka does. Only once: its
   * own records must fit.
   */
  readonly tooLarge?: (now: Now) => Decision<Record>;
  /** Goes on by itself, unless the shard is dropped before. */
  readonly follow?: FollowUp<Record>;
}

/**
 * A decision that comes by itself after another one: "appended", in the same turn, when all that the other could see lies in the
 * log, whoever may still wait for the disk; "committed", once that is committed.
 */
export interface FollowUp<Record> {
  readonly after: "appended" | "committed";
  readonly decide: (now: Now) => Decision<Record>;
}

/** Nothing follows. */
export const NO_DECISION: Decision<never> = { records: [], answers: [] };

/** Timers of one shard, by key: they fire as decisions of their own, and are gone with the shard. */
export interface ShardTimers<Record> {
  /** Replaces the timer of that key. `delayMs` counts on the monotonic clock. */
  set(key: string, delayMs: number, decide: (now: Now) => Decision<Record>): void;
  /**
   * Lets the timer of that key fire this long from now instead, if it is there and is not to fire earlier than before: as
   * `set` does, without a decision made anew. @returns false, and nothing is done, otherwise
   */
  putOff(key: string, delayMs: number): boolean;
  /** Idempotent. */
  cancel(key: string): void;
  has(key: string): boolean;
}

/** Whose transaction something belongs to. */
export interface Producer {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** The end of a producer's transaction, as its marker says. With the second protocol the epoch is one more than its batches'. */
export interface TransactionEnd extends Producer {
  readonly isCommit: boolean;
}

/** One replicated state machine. Its requests are methods of its own that return decisions. */
export interface Shard<Record> {
  /**
   * The only writer of hard state. Called in log order; a null value is a tombstone.
   *
   * @param producer Of a record that stands only once its transaction is committed; null: it stands at once.
   */
  replay(record: Record, offset: number, producer: Producer | null): void;
  /**
   * What the producer has left pending stands from here on, or is gone; nothing where it has none. Part of the replay.
   * Absent: no record of this shard is ever part of a transaction.
   */
  replayEnd?(end: TransactionEnd): void;
  /** Everything has been replayed, and decisions begin: sets the timers that the state asks for. */
  loaded(now: Now): Decision<Record>;
  /** The shard is dropped: soft state that lies outside it is given back. Replies are refused by the host. */
  dropped(): void;
}

/** Bytes of records and back. */
export interface RecordSerde<Record> {
  encode(record: Record): { readonly key: Uint8Array; readonly value: Uint8Array | null };
  /**
   * Null: of a type that this broker does not know; it is skipped. What it returns owns its bytes.
   *
   * @throws {DecodeError} when damaged, or of a version that this broker does not know
   */
  decode(key: Uint8Array, value: Uint8Array | null): Record | null;
}

/** A decision for one caller: reads and changes as said above, and answers `reply` now or later. */
export type Decide<S, Record, Response> = (
  shard: S,
  now: Now,
  reply: Reply<Response>,
) => Decision<Record>;
