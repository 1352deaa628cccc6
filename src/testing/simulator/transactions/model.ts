// What must be true of transactions, from what clients asked and were told alone: each is committed or aborted, once and
// for everybody. Independent of the code under test: it knows the wire and nothing of the broker.
// Invariant: an end is written down when it is told or seen for the first time; whatever says otherwise fails the run.

import type { World } from "../world.ts";

/** Every transaction ends the same way for all who look. */
export const WHOLE = "transactions_are_whole";
/** What stands at an offset stands there for good, and records stand in the order of their producer. */
export const ORDER = "transactional_records_in_order";
/** A superseded instance of a transactional id writes nothing more. */
export const FENCED = "fenced_producers_are_silent";
/** Offsets of a transaction are there when it is committed, and at no other time. */
export const OFFSETS = "offsets_go_with_transactions";
/** What the coordinator says of a transaction. */
export const DESCRIBED = "transactions_are_described";

export type End = "committed" | "aborted";

/** A record as it was sent. */
export interface SentRecord {
  /** Records of a compacted topic replace those of the same key. */
  readonly key: number;
  readonly isTombstone: boolean;
  /** What a transform loop made it of: its group, and partition and offset of the input. */
  readonly source: string | null;
}

/** Who records name: one transaction, or a producer without any. */
export interface Author {
  readonly number: number;
  readonly transaction: ModelTransaction | null;
  readonly isIdempotent: boolean;
  /** In the order of their sequences, from 0. */
  readonly sent: Map<ModelPartition, SentRecord[]>;
  readonly ackedCounts: Map<ModelPartition, number>;
}

export interface TopicShape {
  readonly name: string;
  readonly partitionCount: number;
  readonly isCompacted: boolean;
  /** Its beginning may go, by retention or DeleteRecords. */
  readonly expires: boolean;
}

export class ModelTopic {
  readonly shape: TopicShape;
  /** What record values carry. */
  readonly number: number;
  readonly partitions: readonly ModelPartition[];
  /** Base64url. */
  id = "";
  /** Its deletion was asked for: it may be gone at any time, with whatever is open in it. */
  isDeletionAsked = false;

  constructor(shape: TopicShape, number: number) {
    this.shape = shape;
    this.number = number;
    this.partitions = Array.from(
      { length: shape.partitionCount },
      (_, index) => new ModelPartition(this, index),
    );
  }
}

/** What an answer may not fall behind. */
export interface Floor {
  readonly highWatermark: number;
  readonly lastStableOffset: number;
}

export class ModelPartition {
  readonly topic: ModelTopic;
  readonly index: number;
  /** Record keys by offset, as their producers were told. */
  readonly acked = new Map<number, number>();
  /** Record keys by offset, as some reader saw them. */
  readonly seen = new Map<number, number>();
  /** First offset of each transaction that was told one here and has not ended. */
  readonly open = new Map<ModelTransaction, number>();
  highWatermark = 0;
  lastStableOffset = 0;
  /** Largest offset that DeleteRecords was asked for. */
  deletionAskedFor = 0;
  /** When the newest fetch was sent that has been answered. */
  readUs = -1;
  /** The high watermark when loops had come to the end of it, and were told to stop. */
  endOfLoops = 0;

  constructor(topic: ModelTopic, index: number) {
    this.topic = topic;
    this.index = index;
  }

  get label(): string {
    return `${this.topic.shape.name}/${this.index}`;
  }

  get floor(): Floor {
    return { highWatermark: this.highWatermark, lastStableOffset: this.lastStableOffset };
  }

  /**
   * It was said to be stable up to there. A log start past an open transaction lifts the stable offset, and one that retention
   * moved may go back in a crash until it is synced: what may be its doing is no floor.
   *
   * @param logStartOffset Of the same answer; -1 when that did not say
   */
  stableUpTo(lastStableOffset: number, logStartOffset: number): void {
    const mayBeLifted = logStartOffset < 0 || lastStableOffset <= logStartOffset;
    if (this.topic.shape.expires && mayBeLifted) return;
    this.lastStableOffset = Math.max(this.lastStableOffset, lastStableOffset);
  }
}

/** An InitProducerId on its way. Without an answer it may take effect at any time. */
export interface Ask {
  readonly sentUs: number;
  doneUs: number;
}

export class ModelId {
  readonly name: string;
  readonly asks: Ask[] = [];
  /** Those that took a producer id and epoch, newest last, with when they were told. */
  readonly taken: { readonly ask: Ask; readonly toldUs: number }[] = [];
  readonly #identities = new Set<string>();

  constructor(name: string) {
    this.name = name;
  }

  ask(nowUs: number): Ask {
    const ask = { sentUs: nowUs, doneUs: Number.POSITIVE_INFINITY };
    this.asks.push(ask);
    return ask;
  }

  /** Whether another InitProducerId may have taken effect after that one. */
  mayBeSuperseded(by: Ask): boolean {
    return this.asks.some((other) => other !== by && other.doneUs > by.sentUs);
  }

  /** When somebody else was told that the id is theirs, and asked after that one was answered; Infinity: never. */
  supersededUs(ask: Ask): number {
    let firstUs = Number.POSITIVE_INFINITY;
    for (const { ask: other, toldUs } of this.taken) {
      if (other !== ask && other.sentUs > ask.doneUs) firstUs = Math.min(firstUs, toldUs);
    }
    return firstUs;
  }

  /** False when that producer id and epoch was told before, to whomever. */
  takes(producerId: number, producerEpoch: number): boolean {
    const key = `${producerId}/${producerEpoch}`;
    if (this.#identities.has(key)) return false;
    this.#identities.add(key);
    return true;
  }
}

export class ModelTransaction {
  readonly author: Author;
  readonly id: ModelId;
  /** By which its producer came to the id. */
  readonly ask: Ask;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly timeoutMs: number;
  readonly begunUs: number;
  /** Partitions that joined for certain. */
  readonly joined = new Set<ModelPartition>();
  isCommitAsked = false;
  isEndAsked = false;
  end: End | null = null;
  /** How the end is known. */
  why = "";
  readonly offsets: { readonly group: ModelGroup; readonly partition: number; offset: number }[] =
    [];
  areOffsetsAcked = false;

  constructor(
    number: number,
    from: {
      readonly id: ModelId;
      readonly ask: Ask;
      readonly producerId: number;
      readonly producerEpoch: number;
      readonly timeoutMs: number;
      readonly nowUs: number;
    },
  ) {
    this.author = {
      number,
      transaction: this,
      isIdempotent: true,
      sent: new Map(),
      ackedCounts: new Map(),
    };
    this.id = from.id;
    this.ask = from.ask;
    this.producerId = from.producerId;
    this.producerEpoch = from.producerEpoch;
    this.timeoutMs = from.timeoutMs;
    this.begunUs = from.nowUs;
  }

  get label(): string {
    const { author, id, producerId, producerEpoch } = this;
    return `transaction ${author.number} of ${id.name} (producer ${producerId}, epoch ${producerEpoch})`;
  }
}

export class ModelGroup {
  readonly groupId: string;
  readonly input: ModelTopic;
  /** Per partition: the least that is committed, by what was told or read. */
  readonly floors: number[];
  /** Per partition: every commit that was sent. */
  readonly commits: { readonly offset: number; readonly transaction: ModelTransaction }[][];

  constructor(groupId: string, input: ModelTopic) {
    this.groupId = groupId;
    this.input = input;
    this.floors = input.partitions.map(() => -1);
    this.commits = input.partitions.map(() => []);
  }
}

export interface ModelOptions {
  readonly world: World;
  /** The wall clock jumps: over a load a transaction may run out of time early. */
  readonly timesOutEarly: boolean;
  /** Transactional ids are forgotten during the run. */
  readonly idsExpire: boolean;
  /** Producer state in partitions is forgotten during the run. */
  readonly producersExpire: boolean;
}

export class TransactionModel {
  readonly options: ModelOptions;
  readonly topics: ModelTopic[] = [];
  readonly transactions: ModelTransaction[] = [];
  readonly ids = new Map<string, ModelId>();
  readonly groups: ModelGroup[] = [];
  readonly counts = { committed: 0, aborted: 0, acked: 0, read: 0, audited: 0 };
  readonly #authors = new Map<number, Author>();
  #numbers = 0;

  constructor(options: ModelOptions) {
    this.options = options;
  }

  get world(): World {
    return this.options.world;
  }

  /** @param isDoomed It will be deleted: written to, and neither read nor judged */
  addTopic(shape: TopicShape, number: number, isDoomed = false): ModelTopic {
    const topic = new ModelTopic(shape, number);
    if (!isDoomed) this.topics.push(topic);
    return topic;
  }

  addGroup(groupId: string, input: ModelTopic): ModelGroup {
    const group = new ModelGroup(groupId, input);
    this.groups.push(group);
    return group;
  }

  idOf(name: string): ModelId {
    let id = this.ids.get(name);
    if (id === undefined) {
      id = new ModelId(name);
      this.ids.set(name, id);
    }
    return id;
  }

  author(number: number): Author | undefined {
    return this.#authors.get(number);
  }

  addPlain(isIdempotent: boolean): Author {
    const author: Author = {
      number: ++this.#numbers,
      transaction: null,
      isIdempotent,
      sent: new Map(),
      ackedCounts: new Map(),
    };
    this.#authors.set(author.number, author);
    return author;
  }

  begin(from: {
    readonly id: ModelId;
    readonly ask: Ask;
    readonly producerId: number;
    readonly producerEpoch: number;
    readonly timeoutMs: number;
  }): ModelTransaction {
    const { nowUs } = this.world;
    const transaction = new ModelTransaction(++this.#numbers, { ...from, nowUs });
    this.transactions.push(transaction);
    this.#authors.set(transaction.author.number, transaction.author);
    return transaction;
  }

  /** A producer was told where its records are. */
  acked(
    author: Author,
    partition: ModelPartition,
    firstSequence: number,
    count: number,
    baseOffset: number,
  ): void {
    this.counts.acked += count;
    this.world.say(
      () =>
        `acked ${partition.label} ${baseOffset}+${count} (${author.number} from ${firstSequence})`,
    );
    for (let i = 0; i < count; i++) {
      const key = author.number * 0x100000000 + firstSequence + i;
      const known = partition.acked.get(baseOffset + i) ?? partition.seen.get(baseOffset + i);
      if (known !== undefined && known !== key) {
        this.fail(
          ORDER,
          `${partition.label} ${baseOffset + i} is ${nameOf(known)} and was acknowledged as ${nameOf(key)}`,
        );
      }
      partition.acked.set(baseOffset + i, key);
    }
    author.ackedCounts.set(partition, (author.ackedCounts.get(partition) ?? 0) + count);
    const { transaction } = author;
    if (transaction !== null && transaction.end === null && !partition.open.has(transaction)) {
      partition.open.set(transaction, baseOffset);
    }
    transaction?.joined.add(partition);
    partition.highWatermark = Math.max(partition.highWatermark, baseOffset + count);
  }

  /** The end of a transaction, told or seen. */
  decide(transaction: ModelTransaction, end: End, why: string): void {
    if (transaction.end !== null) {
      if (transaction.end !== end) {
        this.fail(WHOLE, `${transaction.label}: ${transaction.why}, and ${why}`);
      }
      return;
    }
    if (end === "committed" && !transaction.isCommitAsked) {
      this.fail(WHOLE, `${transaction.label}: nobody asked to commit it, and ${why}`);
    }
    this.counts[end]++;
    transaction.end = end;
    transaction.why = why;
    this.world.say(() => `${transaction.label} is ${end}: ${why}`);
    for (const topic of this.topics) {
      for (const partition of topic.partitions) partition.open.delete(transaction);
    }
    if (end === "aborted") return;
    for (const { group, partition, offset } of transaction.offsets) {
      group.floors[partition] = Math.max(group.floors[partition]!, offset);
    }
  }

  /** Nothing that anybody did, and no time, can have ended it by now. */
  isSurelyOpen(transaction: ModelTransaction): boolean {
    const { end, isEndAsked, id, ask, begunUs, timeoutMs } = transaction;
    if (end !== null || isEndAsked || this.options.timesOutEarly) return false;
    return this.world.nowUs < begunUs + timeoutMs * 1000 && !id.mayBeSuperseded(ask);
  }

  /** What a partition was said to be stable up to. */
  stableTold(partition: ModelPartition, lastStableOffset: number, logStartOffset: number): void {
    for (const [transaction, firstOffset] of partition.open) {
      if (lastStableOffset <= firstOffset || logStartOffset > firstOffset) continue;
      if (!this.isSurelyOpen(transaction)) continue;
      this.fail(
        "stable_offset_waits",
        `${partition.label} is stable up to ${lastStableOffset}, and ${transaction.label} is open from ${firstOffset}`,
      );
    }
  }

  /** Whether offsets of that partition are surely undecided. */
  isSurelyPending(group: ModelGroup, partition: number): boolean {
    return group.commits[partition]!.some(
      ({ transaction }) => transaction.areOffsetsAcked && this.isSurelyOpen(transaction),
    );
  }

  /** A group's offset was read. @param floor What it may not fall behind; -1 where pending offsets are not waited for */
  offsetRead(group: ModelGroup, partition: number, offset: number, floor: number): void {
    this.counts.read++;
    const where = `${group.groupId}: partition ${partition}`;
    this.world.say(() => `${where} is committed at ${offset}`);
    if (offset < floor) this.fail(OFFSETS, `${where} was at ${floor}, and is at ${offset}`);
    if (offset < 0) return;
    const all = group.commits[partition]!.filter((each) => each.offset === offset);
    const possible = all.filter(
      ({ transaction }) =>
        transaction.end === "committed" || (transaction.end === null && transaction.isCommitAsked),
    );
    if (possible.length === 0) {
      const whose = all.map(({ transaction }) => transaction.label).join(", ");
      this.fail(OFFSETS, `${where} is at ${offset}, which no transaction committed (${whose})`);
      return;
    }
    if (possible.length === 1) {
      const why = `offset ${offset} of ${where} was read`;
      this.decide(possible[0]!.transaction, "committed", why);
    }
    group.floors[partition] = Math.max(group.floors[partition]!, offset);
  }

  fail(checker: string, message: string): void {
    this.world.fail(checker, message);
  }
}

/** A record key in words. */
export function nameOf(recordKey: number): string {
  return `record ${recordKey % 0x100000000} of author ${Math.floor(recordKey / 0x100000000)}`;
}
