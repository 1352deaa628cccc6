// Fetches of transactional topics at both isolations, and what every answer is held against: earlier answers, what was
// acknowledged, and the ends of transactions. Invariant: an answer with an error changes nothing in the model.

import { errorByCode } from "../../../protocol/errors.ts";
import { Fetch } from "../../../protocol/messages/01_fetch.ts";
import { ListOffsets } from "../../../protocol/messages/02_list_offsets.ts";
import type { SimConnection } from "../sim_client.ts";
import { batchesOf, type FetchedBatch, type FetchedRecord, shownOf } from "./fetched_batches.ts";
import {
  FENCED,
  type Floor,
  type ModelPartition,
  nameOf,
  ORDER,
  type TransactionModel,
  WHOLE,
} from "./model.ts";

export const READ_UNCOMMITTED = 0;
export const READ_COMMITTED = 1;
export type Isolation = typeof READ_UNCOMMITTED | typeof READ_COMMITTED;

/** Checkers of reads. */
const ANSWERS = "transaction_reads";
const STABLE = "stable_offset_waits";

/** First version that tells of stable offsets. */
const STABLE_SINCE = 4;
const IDS_SINCE = 13;
const LOG_START_SINCE = 5;
const ISOLATION_SINCE = 2;
export const EARLIEST = -2;
export const LATEST = -1;

export interface Position {
  readonly partition: ModelPartition;
  readonly offset: number;
}

export interface FetchHow {
  readonly isolation: Isolation;
  readonly maxWaitMs: number;
  readonly bytesMax: number;
}

/** What one partition of a fetch brought. */
export interface Brought {
  readonly partition: ModelPartition;
  /** Null: fine. */
  readonly code: string | null;
  readonly fetchOffset: number;
  readonly batches: readonly FetchedBatch[];
  /** All of them at read_uncommitted. */
  readonly shown: readonly FetchedRecord[];
  /** Where to go on. */
  readonly nextOffset: number;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
}

/** One fetch, judged. @throws {ConnectionGone} */
export async function fetchFrom(
  connection: SimConnection,
  model: TransactionModel,
  positions: readonly Position[],
  { isolation, maxWaitMs, bytesMax }: FetchHow,
): Promise<Brought[]> {
  const version = connection.versionOf(Fetch, STABLE_SINCE);
  const sentUs = model.world.nowUs;
  const floors = new Map(positions.map(({ partition }) => [partition, partition.floor]));
  const topics = new Map<string, { topic: string; topicId: string; partitions: object[] }>();
  for (const { partition, offset } of positions) {
    const { shape, id } = partition.topic;
    let entry = topics.get(shape.name);
    if (entry === undefined) {
      entry = { topic: shape.name, topicId: id, partitions: [] };
      topics.set(shape.name, entry);
    }
    entry.partitions.push({
      partition: partition.index,
      fetchOffset: offset,
      partitionMaxBytes: bytesMax,
    });
  }
  const response = await connection.request(
    Fetch,
    version,
    {
      maxWaitMs,
      minBytes: 1,
      maxBytes: 0x7fffffff,
      isolationLevel: isolation,
      sessionId: 0,
      sessionEpoch: -1,
      topics: [...topics.values()] as never,
      forgottenTopicsData: [],
      replicaId: -1,
    },
    maxWaitMs,
  );
  return positions.map(({ partition, offset: fetchOffset }) => {
    const { topic, index } = partition;
    const answer = response.responses
      .find((each) =>
        version >= IDS_SINCE ? each.topicId === topic.id : each.topic === topic.shape.name,
      )
      ?.partitions.find((each) => each.partitionIndex === index);
    const none = { partition, fetchOffset, batches: [], shown: [], nextOffset: fetchOffset };
    const ends = { highWatermark: -1, lastStableOffset: -1 };
    if (answer === undefined) {
      model.fail(ANSWERS, `${partition.label} was left unanswered`);
      return { ...none, ...ends, code: "unanswered" };
    }
    if (answer.errorCode !== 0) {
      return { ...none, ...ends, code: errorByCode(answer.errorCode)!.code };
    }
    const { highWatermark, lastStableOffset } = answer;
    partition.readUs = Math.max(partition.readUs, sentUs);
    const logStartOffset = version >= LOG_START_SINCE ? answer.logStartOffset : -1;
    judgeEnds(model, partition, floors.get(partition)!, {
      highWatermark,
      lastStableOffset,
      logStartOffset,
    });
    const batches = batchesOf(partition, answer.records ?? new Uint8Array(0));
    if (typeof batches === "string") {
      model.fail("bytes_are_right", `${partition.label}, fetched at ${fetchOffset}: ${batches}`);
      return { ...none, ...ends, code: "damaged" };
    }
    const limit = isolation === READ_COMMITTED ? lastStableOffset : highWatermark;
    judgeBatches(model, partition, fetchOffset, limit, batches);
    const { shown, hidden } = shownOf(
      batches,
      isolation === READ_COMMITTED ? (answer.abortedTransactions ?? []) : [],
    );
    if (isolation === READ_COMMITTED) judgeShown(model, partition, shown, hidden);
    model.counts.read += shown.length;
    const last = batches.at(-1)?.lastOffset;
    return {
      partition,
      code: null,
      fetchOffset,
      batches,
      shown: shown.filter(({ offset }) => offset >= fetchOffset),
      nextOffset: last === undefined ? fetchOffset : Math.max(last + 1, fetchOffset),
      highWatermark,
      lastStableOffset,
    };
  });
}

/** One offset, judged; null where it was refused. @throws {ConnectionGone} */
export async function listOffsetOf(
  connection: SimConnection,
  model: TransactionModel,
  partition: ModelPartition,
  timestamp: number,
  isolation: Isolation,
): Promise<number | null> {
  const { floor, topic, index } = partition;
  const lowest = isolation === READ_COMMITTED ? ISOLATION_SINCE : ListOffsets.lowest;
  const version = connection.versionOf(ListOffsets, lowest);
  const response = await connection.request(ListOffsets, version, {
    replicaId: -1,
    isolationLevel: version >= ISOLATION_SINCE ? isolation : READ_UNCOMMITTED,
    topics: [{ name: topic.shape.name, partitions: [{ partitionIndex: index, timestamp }] }],
  });
  const answer = response.topics[0]?.partitions[0];
  if (answer === undefined || answer.errorCode !== 0) return null;
  const { offset } = answer;
  if (timestamp !== LATEST) return offset;
  if (isolation === READ_COMMITTED) {
    if (offset < floor.lastStableOffset) {
      const known = floor.lastStableOffset;
      model.fail(STABLE, `${partition.label}: latest stable offset ${offset} after ${known}`);
    }
    // Records may be deleted from under an open transaction.
    if (!topic.shape.expires) model.stableTold(partition, offset, -1);
    partition.stableUpTo(offset, -1);
  } else if (offset < floor.highWatermark) {
    model.fail(STABLE, `${partition.label}: latest offset ${offset} after ${floor.highWatermark}`);
  }
  partition.highWatermark = Math.max(partition.highWatermark, offset);
  return offset;
}

function judgeEnds(
  model: TransactionModel,
  partition: ModelPartition,
  floor: Floor,
  told: {
    readonly highWatermark: number;
    readonly lastStableOffset: number;
    readonly logStartOffset: number;
  },
): void {
  const { highWatermark, lastStableOffset, logStartOffset } = told;
  const { label } = partition;
  if (highWatermark < floor.highWatermark) {
    model.fail(STABLE, `${label}: high watermark ${highWatermark} after ${floor.highWatermark}`);
  }
  if (lastStableOffset > highWatermark) {
    model.fail(STABLE, `${label}: stable up to ${lastStableOffset} of ${highWatermark}`);
  }
  if (lastStableOffset < floor.lastStableOffset) {
    const known = floor.lastStableOffset;
    model.fail(STABLE, `${label}: stable up to ${lastStableOffset} after ${known}`);
  }
  const mayHaveMoved = partition.topic.shape.expires && logStartOffset < 0;
  if (!mayHaveMoved) model.stableTold(partition, lastStableOffset, logStartOffset);
  partition.highWatermark = Math.max(partition.highWatermark, highWatermark);
  partition.stableUpTo(lastStableOffset, logStartOffset);
}

/** Offsets, order, and who may have written it. @param limit Exclusive: nothing at or past it may be served */
function judgeBatches(
  model: TransactionModel,
  partition: ModelPartition,
  fetchOffset: number,
  limit: number,
  batches: readonly FetchedBatch[],
): void {
  const { label, topic } = partition;
  let next = fetchOffset;
  for (const [i, batch] of batches.entries()) {
    const { baseOffset, lastOffset, records } = batch;
    const isDue = i === 0 ? baseOffset <= next && lastOffset >= next : baseOffset === next;
    const isNext = topic.shape.isCompacted ? lastOffset >= next : isDue;
    if (!isNext) {
      model.fail(ORDER, `${label}: batch ${baseOffset}–${lastOffset} where ${next} was due`);
    }
    const count = lastOffset - baseOffset + 1;
    const isWhole = batch.marker !== null || records.length === count;
    if (!topic.shape.isCompacted && !isWhole) {
      model.fail(ORDER, `${label}: ${records.length} records in batch ${baseOffset}–${lastOffset}`);
    }
    if (lastOffset >= limit) {
      model.fail(STABLE, `${label}: offset ${lastOffset} was served, and ${limit} is the end`);
    }
    for (const record of records) judgeRecord(model, partition, batch, record);
    next = lastOffset + 1;
  }
}

function judgeRecord(
  model: TransactionModel,
  partition: ModelPartition,
  batch: FetchedBatch,
  { offset, author: number, recordKey }: FetchedRecord,
): void {
  const known = partition.acked.get(offset) ?? partition.seen.get(offset);
  if (known !== undefined && known !== recordKey) {
    model.fail(
      ORDER,
      `${partition.label} ${offset} was ${nameOf(known)} and is ${nameOf(recordKey)}`,
    );
  }
  partition.seen.set(offset, recordKey);
  const author = model.author(number);
  if (author === undefined) {
    model.fail(ORDER, `${partition.label} ${offset} is of author ${number}, whom nobody knows`);
    return;
  }
  const { transaction } = author;
  if (batch.isTransactional !== (transaction !== null)) {
    model.fail(WHOLE, `${partition.label} ${offset}: its batch says otherwise of a transaction`);
  }
  if (transaction === null) return;
  const { producerId, producerEpoch } = transaction;
  if (batch.producerId !== producerId || batch.producerEpoch !== producerEpoch) {
    model.fail(
      FENCED,
      `${partition.label} ${offset} of ${transaction.label} has producer ${batch.producerId}, epoch ${batch.producerEpoch}`,
    );
  }
}

function judgeShown(
  model: TransactionModel,
  partition: ModelPartition,
  shown: readonly FetchedRecord[],
  hidden: readonly FetchedRecord[],
): void {
  for (const [records, end, what] of [
    [shown, "committed", "shown"],
    [hidden, "aborted", "hidden"],
  ] as const) {
    for (const { author, offset } of records) {
      const transaction = model.author(author)?.transaction;
      if (transaction === null) {
        if (end === "aborted") {
          model.fail(WHOLE, `${partition.label} ${offset} is of no transaction, and was hidden`);
        }
        continue;
      }
      if (transaction === undefined) continue;
      model.decide(transaction, end, `${partition.label} ${offset} was ${what} to a reader`);
    }
  }
}
