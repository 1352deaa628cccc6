// A follower takes in what its leader has: batches as they are, with the leader's offsets, epochs and timestamps, checked
// against their checksums; producers and transactions as recovery takes them.
// Invariant: the log stays without gaps. Where the leader cleaned batches away, an empty batch stands for their offsets.
// Kafka: UnifiedLog.appendAsFollower.

import {
  attributesAt,
  BATCH_HEADER_BYTES,
  baseOffsetAt,
  CONTROL_BIT,
  lastOffsetAt,
  leaderEpochAt,
  maxTimestampAt,
  producerEpochAt,
  producerIdAt,
  TRANSACTIONAL_BIT,
  writeBatchHeader,
} from "../../record/batch_header.ts";
import { CONTROL_ABORT, CONTROL_COMMIT, readControlBatch } from "../../record/control_record.ts";
import { batchSizeAt, checkBatch, RecordBatch } from "../../record/record_batch.ts";
import type { CommitGroup } from "./commit_group.ts";
import {
  FLAG_ABORT,
  FLAG_COMMIT,
  FLAG_OWN_EPOCH,
  FORMAT_PLAIN,
  FORMAT_TRANSACTIONS,
} from "./journal_format.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { EndMarker } from "./producer_state.ts";
import { noteRecords } from "./recover.ts";

type Crc32c = (bytes: Uint8Array, seed: number) => number;

/** Offsets that one empty batch stands for, at most: a delta has 31 bits. */
const FILLED_MAX = 0x7fff_ffff;

export type FollowerVerdict =
  | {
      readonly kind: "appended";
      /** Exclusive: where to go on. What follows a damaged batch was not taken. */
      readonly endOffset: number;
      /** Of the last batch; null where there was nothing. */
      readonly group: CommitGroup | null;
    }
  /** The first batch is damaged, or does not follow: nothing was appended. */
  | {
      readonly kind: "corrupt" | "out_of_order";
      /** Where the log ends, and what was to come there. */
      readonly expectedOffset: number;
      readonly foundOffset: number;
    };

/**
 * Appends whole batches that the leader sent for the log's end.
 *
 * @param bytes Not copied: must stay as they are until the group has settled. Batches of another leader epoch than their own
 *   log's are none of this function's business: what does not belong was cut off before.
 */
export function appendAsFollower(
  log: PartitionLog,
  bytes: Uint8Array,
  wallMs: number,
  crc32c: Crc32c | undefined,
): FollowerVerdict {
  let group: CommitGroup | null = null;
  for (let at = 0; at < bytes.length; ) {
    const expectedOffset = log.logEndOffset;
    const sizeBytes = batchSizeAt(bytes, at, bytes.length);
    if (sizeBytes < 0 || checkBatch(bytes, at, sizeBytes, crc32c) !== null) {
      if (group !== null) break;
      const foundOffset = bytes.length - at >= 8 ? baseOffsetAt(bytes, at) : -1;
      return { kind: "corrupt", expectedOffset, foundOffset };
    }
    const foundOffset = baseOffsetAt(bytes, at);
    if (foundOffset < expectedOffset && !beginsAnewAt(log, foundOffset, lastOffsetAt(bytes, at))) {
      if (group !== null) break;
      return { kind: "out_of_order", expectedOffset, foundOffset };
    }
    if (foundOffset > log.logEndOffset) fillTo(log, foundOffset, wallMs, crc32c);
    group = appendOne(log, bytes.subarray(at, at + sizeBytes), wallMs);
    at += sizeBytes;
  }
  return { kind: "appended", endOffset: log.logEndOffset, group };
}

/**
 * The leader has nothing left from the log's end up to `offset` (exclusive): empty batches stand for that. Null when there is
 * nothing to fill.
 */
export function fillTo(
  log: PartitionLog,
  offset: number,
  wallMs: number,
  crc32c: Crc32c | undefined,
): CommitGroup | null {
  let group: CommitGroup | null = null;
  while (log.logEndOffset < offset) {
    const baseOffset = log.logEndOffset;
    const endOffset = Math.min(offset, baseOffset + FILLED_MAX);
    const leaderEpoch = Math.max(log.epochs.latest, 0);
    const bytes = new Uint8Array(BATCH_HEADER_BYTES);
    const header = {
      baseOffset,
      leaderEpoch,
      attributes: 0,
      lastOffsetDelta: endOffset - baseOffset - 1,
      baseTimestampMs: -1,
      maxTimestampMs: -1,
      producerId: -1,
      producerEpoch: -1,
      baseSequence: -1,
      recordCount: 0,
    };
    writeBatchHeader(bytes, header, crc32c);
    group = log.place(bytes, endOffset, -1, 0, FORMAT_PLAIN, wallMs, leaderEpoch);
  }
  return group;
}

/** The leader's log may start within a batch, which is sent whole: a log that holds nothing begins with that one. */
function beginsAnewAt(log: PartitionLog, baseOffset: number, lastOffset: number): boolean {
  const { logEndOffset, logStartOffset } = log;
  if (logStartOffset !== logEndOffset || lastOffset < logEndOffset) return false;
  if ((log.extents?.count ?? 0) > 0 || log.segments.some(({ sizeBytes }) => sizeBytes > 0)) {
    return false;
  }
  log.restartAt(baseOffset);
  return true;
}

function appendOne(log: PartitionLog, bytes: Uint8Array, wallMs: number): CommitGroup {
  const endOffset = lastOffsetAt(bytes, 0) + 1;
  const maxTimestampMs = maxTimestampAt(bytes, 0);
  const leaderEpoch = leaderEpochAt(bytes, 0);
  const format =
    (attributesAt(bytes, 0) & TRANSACTIONAL_BIT) !== 0 ? FORMAT_TRANSACTIONS : FORMAT_PLAIN;
  const marker = markerIn(log, bytes);
  const flags = marker === null ? 0 : flagsOf(marker);
  const group = log.place(bytes, endOffset, maxTimestampMs, flags, format, wallMs, leaderEpoch);
  note(log, bytes, marker, wallMs);
  return group;
}

/** Takes in what a batch says of its producer. */
export function noteProducer(log: PartitionLog, bytes: Uint8Array, wallMs: number): void {
  note(log, bytes, markerIn(log, bytes), wallMs);
}

function note(
  log: PartitionLog,
  bytes: Uint8Array,
  marker: EndMarker | null,
  wallMs: number,
): void {
  if (marker !== null) {
    log.applyMarker(marker, baseOffsetAt(bytes, 0), maxTimestampAt(bytes, 0), wallMs);
  } else if (producerIdAt(bytes, 0) >= 0 && (attributesAt(bytes, 0) & CONTROL_BIT) === 0) {
    noteRecords(log, bytes, 0, wallMs);
  }
}

function flagsOf({ isCommit, transactionVersion }: EndMarker): number {
  return (isCommit ? FLAG_COMMIT : FLAG_ABORT) | (transactionVersion >= 2 ? FLAG_OWN_EPOCH : 0);
}

/** Null for records, and for control records that end nothing. */
function markerIn(log: PartitionLog, bytes: Uint8Array): EndMarker | null {
  if ((attributesAt(bytes, 0) & CONTROL_BIT) === 0) return null;
  const said = readControlBatch(new RecordBatch(bytes, 0, bytes.length));
  if (said === null || (said.type !== CONTROL_COMMIT && said.type !== CONTROL_ABORT)) return null;
  const producerId = producerIdAt(bytes, 0);
  const producerEpoch = producerEpochAt(bytes, 0);
  const open = log.producers?.get(producerId);
  return {
    producerId,
    producerEpoch,
    coordinatorEpoch: said.coordinatorEpoch ?? -1,
    isCommit: said.type === CONTROL_COMMIT,
    // A newer epoch than that of the batches is of the second protocol, or of a coordinator that fenced the producer.
    transactionVersion: open !== undefined && producerEpoch > open.epoch ? 2 : 0,
  };
}
