// What the clients of a run were told, kept by partition, and handed on to the checkers as it happens.
// Invariant: histories are written by clients only, from what came over the wire; a checker that finds a
// contradiction fails the run at that very event.

import type { RecordIdentity } from "./record_values.ts";
import type { World } from "./world.ts";

/** A record as a client read it. */
export interface ReadRecord {
  readonly offset: number;
  readonly timestampMs: number;
  /** Producer and sequence, see recordKeyOf. */
  readonly key: number;
  readonly identity: RecordIdentity;
}

/** What was known of a partition when a request was sent: an answer may not fall behind it. */
export interface Floor {
  readonly highWatermark: number;
  readonly logStartOffset: number;
}

export interface PartitionRead {
  readonly fetchOffset: number;
  readonly records: readonly ReadRecord[];
  readonly highWatermark: number;
  /** -1 where the version does not tell. */
  readonly logStartOffset: number;
  readonly floor: Floor;
}

/** A batch that a producer sent, once or several times. */
export interface SentBatch {
  readonly producer: number;
  readonly isIdempotent: boolean;
  readonly firstSequence: number;
  readonly recordCount: number;
  /** How often it was sent so far. */
  attempts: number;
  /** The connection it was sent on last: order holds within one. */
  connection: number;
}

export interface Ack {
  readonly batch: SentBatch;
  readonly baseOffset: number;
}

/** A whole partition, read from start to end when nothing happens any more. */
export interface PartitionAudit {
  readonly logStartOffset: number;
  readonly highWatermark: number;
  readonly records: readonly ReadRecord[];
  /** Offsets that were answered with corrupt_message; only with bit flips. */
  readonly reported: ReadonlySet<number>;
}

export class PartitionHistory {
  readonly topic: TopicHistory;
  readonly partition: number;
  /** Record keys by offset, as some reader saw them. */
  readonly seen = new Map<number, number>();
  /** Record keys by offset, as acknowledged to their producers. */
  readonly acked = new Map<number, number>();
  /** First record key to batch, for every batch that was sent. */
  readonly sent = new Map<number, SentBatch>();
  /** Largest that anybody was told, also as the end of an acknowledged batch. */
  highWatermark = 0;
  /** Largest low watermark that DeleteRecords acknowledged. */
  deletedBefore = 0;
  /** Largest offset that DeleteRecords was asked for. */
  deletionAskedFor = 0;

  constructor(topic: TopicHistory, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  get floor(): Floor {
    return { highWatermark: this.highWatermark, logStartOffset: this.deletedBefore };
  }

  get label(): string {
    return `${this.topic.name}/${this.partition}`;
  }
}

export class TopicHistory {
  readonly name: string;
  /** What record values carry. */
  readonly number: number;
  /** Base64url; "" until somebody was told. */
  id = "";
  readonly expires: boolean;
  readonly isLossy: boolean;
  readonly isStamped: boolean;
  /** Its deletion was asked for, so that it may be gone at any time. */
  isDeletionAsked = false;
  /** Its deletion was acknowledged. */
  isDeleted = false;
  /** Lost what it may lose: nothing can be said of its content any more. */
  isTainted = false;
  partitionCount: number;
  readonly #partitions = new Map<number, PartitionHistory>();

  constructor(
    name: string,
    number: number,
    plan: {
      readonly partitionCount: number;
      readonly expires: boolean;
      readonly isLossy: boolean;
      readonly isStamped: boolean;
    },
  ) {
    this.name = name;
    this.number = number;
    this.partitionCount = plan.partitionCount;
    this.expires = plan.expires;
    this.isLossy = plan.isLossy;
    this.isStamped = plan.isStamped;
  }

  partition(index: number): PartitionHistory {
    let partition = this.#partitions.get(index);
    if (partition === undefined) {
      partition = new PartitionHistory(this, index);
      this.#partitions.set(index, partition);
    }
    return partition;
  }

  partitions(): IterableIterator<PartitionHistory> {
    return this.#partitions.values();
  }
}

/** One invariant. Each method is called when the thing happens; a contradiction calls `fail`. */
export interface Checker {
  readonly name: string;
  acked?(partition: PartitionHistory, ack: Ack, fail: Fail): void;
  read?(partition: PartitionHistory, read: PartitionRead, fail: Fail): void;
  recordsDeleted?(partition: PartitionHistory, lowWatermark: number, fail: Fail): void;
  offsetListed?(
    partition: PartitionHistory,
    which: "earliest" | "latest",
    offset: number,
    floor: Floor,
    fail: Fail,
  ): void;
  producerIdGiven?(producerId: number, epoch: number, fail: Fail): void;
  /** A call that a deleted topic answered without error although it was sent after the deletion was acknowledged. */
  deletedTopicServed?(topic: TopicHistory, what: string, fail: Fail): void;
  audited?(partition: PartitionHistory, audit: PartitionAudit, fail: Fail): void;
}
export type Fail = (message: string) => void;

export class History {
  readonly topics: TopicHistory[] = [];
  /** Bits of synced data were flipped: records may be reported as corrupt, and be missing. */
  hasFlippedBits = false;
  readonly #world: World;
  readonly #checkers: readonly Checker[];
  readonly #fails: readonly Fail[];
  /** For the report: how much was checked. */
  readonly counts = { acked: 0, read: 0, audited: 0 };

  constructor(world: World, checkers: readonly Checker[]) {
    this.#world = world;
    this.#checkers = checkers;
    this.#fails = checkers.map((checker) => (message) => world.fail(checker.name, message));
  }

  addTopic(
    name: string,
    plan: {
      readonly partitionCount: number;
      readonly expires: boolean;
      readonly isLossy: boolean;
      readonly isStamped: boolean;
    },
  ): TopicHistory {
    const topic = new TopicHistory(name, this.topics.length + 1, plan);
    this.topics.push(topic);
    return topic;
  }

  /** The power went, or the disk refused: lossy topics may have lost anything. */
  lossHappened(): void {
    for (const topic of this.topics) if (topic.isLossy) topic.isTainted = true;
  }

  acked(partition: PartitionHistory, ack: Ack): void {
    this.counts.acked += ack.batch.recordCount;
    this.#world.say(
      () =>
        `acked ${partition.label} ${ack.baseOffset}+${ack.batch.recordCount} (producer ${ack.batch.producer} from ${ack.batch.firstSequence})`,
    );
    if (!this.#isJudged(partition)) return;
    this.#each((checker, fail) => checker.acked?.(partition, ack, fail));
    const endOffset = ack.baseOffset + ack.batch.recordCount;
    partition.highWatermark = Math.max(partition.highWatermark, endOffset);
  }

  read(partition: PartitionHistory, read: PartitionRead): void {
    this.counts.read += read.records.length;
    if (!this.#isJudged(partition)) return;
    this.#each((checker, fail) => checker.read?.(partition, read, fail));
    partition.highWatermark = Math.max(partition.highWatermark, read.highWatermark);
  }

  recordsDeleted(partition: PartitionHistory, lowWatermark: number): void {
    this.#world.say(() => `deleted ${partition.label} before ${lowWatermark}`);
    if (!this.#isJudged(partition)) return;
    this.#each((checker, fail) => checker.recordsDeleted?.(partition, lowWatermark, fail));
    partition.deletedBefore = Math.max(partition.deletedBefore, lowWatermark);
  }

  offsetListed(
    partition: PartitionHistory,
    which: "earliest" | "latest",
    offset: number,
    floor: Floor,
  ): void {
    if (!this.#isJudged(partition)) return;
    this.#each((checker, fail) => checker.offsetListed?.(partition, which, offset, floor, fail));
    if (which === "latest") partition.highWatermark = Math.max(partition.highWatermark, offset);
  }

  producerIdGiven(producerId: number, epoch: number): void {
    this.#each((checker, fail) => checker.producerIdGiven?.(producerId, epoch, fail));
  }

  deletedTopicServed(topic: TopicHistory, what: string): void {
    this.#each((checker, fail) => checker.deletedTopicServed?.(topic, what, fail));
  }

  audited(partition: PartitionHistory, audit: PartitionAudit): void {
    this.counts.audited += audit.records.length;
    if (!this.#isJudged(partition)) return;
    this.#each((checker, fail) => checker.audited?.(partition, audit, fail));
  }

  /** Of a tainted topic, and where bits were flipped, only the bytes themselves are judged. */
  #isJudged(partition: PartitionHistory): boolean {
    return !partition.topic.isTainted && !this.hasFlippedBits;
  }

  #each(act: (checker: Checker, fail: Fail) => void): void {
    for (let i = 0; i < this.#checkers.length; i++) act(this.#checkers[i]!, this.#fails[i]!);
  }
}
