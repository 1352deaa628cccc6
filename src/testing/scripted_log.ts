// A cluster as a model: topics, who leads what, and logs that keep batches and check sequences by Kafka's
// rules, for tests of clients against brokers that fail on command.
// Invariant: strict where Kafka is: the first sequence of a producer is 0, the next follows the last, and the
// last five batches are recognised when they come again.
// Kafka: ProducerStateManager, ProducerAppendInfo.checkSequence.

import { randomUuid } from "../base/uuid.ts";
import {
  baseSequenceAt,
  lastOffsetDeltaAt,
  patchBaseOffset,
  producerEpochAt,
  producerIdAt,
  sequenceAfter,
} from "../record/batch_header.ts";
import type { Compression } from "../record/compression.ts";
import { batchSizeAt, RecordBatch } from "../record/record_batch.ts";
import { type LogRecord, readRecords } from "../record/record_reader.ts";

/** What a partition's log answers to an append: where the batch begins, or Kafka's error number. */
export type Appended = { readonly errorCode: number; readonly baseOffset: number };

const OUT_OF_ORDER = 45;
const INVALID_EPOCH = 47;
const REMEMBERED_BATCHES = 5;

interface ProducerEntry {
  epoch: number;
  nextSequence: number;
  batches: { readonly baseSequence: number; readonly baseOffset: number }[];
}

/** The log of one partition. */
export class ScriptedLog {
  readonly batches: {
    readonly bytes: Uint8Array;
    readonly baseOffset: number;
    readonly endOffset: number;
  }[] = [];
  readonly #producers = new Map<number, ProducerEntry>();
  leader: number;
  leaderEpoch = 0;
  startOffset = 0;

  constructor(leader: number) {
    this.leader = leader;
  }

  get endOffset(): number {
    return this.batches.at(-1)?.endOffset ?? this.startOffset;
  }

  /** Checks sequences and keeps a copy. */
  append(records: Uint8Array): Appended {
    const bytes = records.slice();
    const sizeBytes = batchSizeAt(bytes, 0, bytes.length);
    if (sizeBytes !== bytes.length) return { errorCode: 2, baseOffset: -1 };
    const baseOffset = this.endOffset;
    const count = lastOffsetDeltaAt(bytes, 0) + 1;
    const refused = this.#checkSequence(bytes, count, baseOffset);
    if (refused !== null) return refused;
    patchBaseOffset(bytes, 0, baseOffset);
    this.batches.push({ bytes, baseOffset, endOffset: baseOffset + count });
    return { errorCode: 0, baseOffset };
  }

  /** Forgets every producer, as retention does. */
  forgetProducers(): void {
    this.#producers.clear();
  }

  /** Batches from the one that holds `offset`, at most `bytesMax` and at least one. */
  read(offset: number, bytesMax: number): Uint8Array[] {
    const found: Uint8Array[] = [];
    let sizeBytes = 0;
    for (const { bytes, endOffset } of this.batches) {
      if (endOffset <= offset) continue;
      if (found.length > 0 && sizeBytes + bytes.length > bytesMax) break;
      found.push(bytes);
      sizeBytes += bytes.length;
    }
    return found;
  }

  /** Every record, for asserting. */
  records(compression: Compression): LogRecord[] {
    return this.batches.flatMap(({ bytes }) => {
      const batch = new RecordBatch(bytes, 0, bytes.length);
      const { records, fault } = readRecords(batch, { compression, sizeBytesMax: 1 << 28 });
      if (fault !== null) throw new Error(`A damaged batch was appended: ${fault}`);
      return records;
    });
  }

  #checkSequence(bytes: Uint8Array, count: number, baseOffset: number): Appended | null {
    const producerId = producerIdAt(bytes, 0);
    if (producerId < 0) return null;
    const epoch = producerEpochAt(bytes, 0);
    const baseSequence = baseSequenceAt(bytes, 0);
    let entry = this.#producers.get(producerId);
    if (entry !== undefined && epoch < entry.epoch) {
      return { errorCode: INVALID_EPOCH, baseOffset: -1 };
    }
    if (entry === undefined || epoch > entry.epoch) {
      entry = { epoch, nextSequence: 0, batches: [] };
    }
    const known = entry.batches.find((batch) => batch.baseSequence === baseSequence);
    if (known !== undefined) return { errorCode: 0, baseOffset: known.baseOffset };
    if (baseSequence !== entry.nextSequence) return { errorCode: OUT_OF_ORDER, baseOffset: -1 };
    entry.nextSequence = sequenceAfter(baseSequence, count);
    entry.batches.push({ baseSequence, baseOffset });
    if (entry.batches.length > REMEMBERED_BATCHES) entry.batches.shift();
    this.#producers.set(producerId, entry);
    return null;
  }
}

/** A topic of the model. */
export interface ScriptedTopic {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: ScriptedLog[];
  readonly configs: Map<string, string>;
}

/** What the brokers of one cluster share. */
export class ScriptedCluster {
  readonly clusterId = "scripted-cluster-000000";
  readonly topics = new Map<string, ScriptedTopic>();
  readonly brokers: { readonly nodeId: number; readonly host: string; readonly port: number }[] =
    [];
  readonly #random: { uint32(): number };
  nextProducerId = 1000;
  #waiting: (() => void)[] = [];

  constructor(random: { uint32(): number }) {
    this.#random = random;
  }

  /** Partition i is led by broker 1 + i modulo the number of brokers, until it is told otherwise. */
  addTopic(
    name: string,
    partitions: number,
    configs: Readonly<Record<string, string>> = {},
  ): ScriptedTopic {
    const topic = {
      name,
      topicId: randomUuid(this.#random),
      partitions: Array.from({ length: partitions }, (_, index) => {
        return new ScriptedLog(this.brokers[index % this.brokers.length]?.nodeId ?? 1);
      }),
      configs: new Map(Object.entries(configs)),
    };
    this.topics.set(name, topic);
    return topic;
  }

  /** By name, or by id where the name is empty. */
  find(name: string | null, topicId: string): ScriptedTopic | undefined {
    if (name !== null && name !== "") return this.topics.get(name);
    return [...this.topics.values()].find((topic) => topic.topicId === topicId);
  }

  /** Resolves at the next append or move: what a fetch at the end of a log waits for. */
  changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** Something has changed. */
  notify(): void {
    for (const tell of this.#waiting.splice(0)) tell();
  }

  /** Another broker takes over. */
  moveLeader(topic: string, partition: number, leader: number): void {
    const log = this.topics.get(topic)!.partitions[partition]!;
    log.leader = leader;
    log.leaderEpoch++;
    this.notify();
  }
}
