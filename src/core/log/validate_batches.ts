// What a leader checks before a batch becomes part of a log: format, size, checksum, header,
// records, timestamps; and what it may change: LogAppendTime, the topic's codec, a wrong maximum.
// Invariant: a refused batch changed nothing. Kafka: LogValidator, UnifiedLog.analyzeAndValidateRecords.

import type { RecordError } from "../../contracts/broker.ts";
import type { KafkaErrorName } from "../../protocol/errors.ts";
import {
  attributesAt,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_PREFIX_BYTES,
  baseOffsetAt,
  baseSequenceAt,
  baseTimestampAt,
  CONTROL_BIT,
  lastOffsetDeltaAt,
  maxTimestampAt,
  patchCrc,
  patchLogAppendTime,
  patchMaxTimestamp,
  producerEpochAt,
  producerIdAt,
  recordCountAt,
  TRANSACTIONAL_BIT,
} from "../../record/batch_header.ts";
import { type Compression, CompressionError, codecNumber } from "../../record/compression.ts";
import { batchSizeAt, checkBatch, faultOfSize, RecordBatch } from "../../record/record_batch.ts";
import { openRecords, type RecordBlock } from "../../record/record_block.ts";
import { RecordCursor } from "../../record/record_reader.ts";
import { recordWalkFindings, walkRecords } from "../../record/record_walk.ts";
import type { TopicSettings } from "../settings/topic_settings.ts";

type Crc32c = (bytes: Uint8Array, seed: number) => number;

/** Record errors listed in one refusal, at most: a batch may hold a million. */
const RECORD_ERRORS_MAX = 100;
const CODEC_MASK = 0x07;

export interface Refusal {
  readonly code: KafkaErrorName;
  readonly message: string;
  readonly recordErrors?: readonly RecordError[];
}

/** What the log needs of a batch that passed. Fresh object: one an append, not one a record. */
export interface ValidBatch {
  /** The batch as it will be written: the producer's own bytes, or re-compressed ones. */
  readonly bytes: Uint8Array;
  readonly recordCount: number;
  readonly maxTimestampMs: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  /** −1 for a batch of a coordinator, whose sequence nobody looks at. */
  readonly baseSequence: number;
  readonly isTransactional: boolean;
  /** −1 unless the topic stamps on append. */
  readonly logAppendTimeMs: number;
}

export interface ValidationContext {
  readonly settings: TopicSettings;
  readonly compression: Compression;
  readonly crc32c: Crc32c | undefined;
  readonly wallMs: number;
  /** Most bytes that one compressed batch may become. */
  readonly decompressedBytesMax: number;
  /** Whether compressed batches are opened and their records checked, as Kafka does. */
  readonly opensCompressed: boolean;
  /** Whether somebody is there to say which transactional batches may come; otherwise all are refused. */
  readonly takesTransactions: boolean;
}

const findings = recordWalkFindings();

/** Size of the batch at `at`, or why there is none. */
export function batchSizeOrRefusal(
  bytes: Uint8Array,
  at: number,
  maxBytes: number,
): number | Refusal {
  // Too large is said first, and from the length field alone, as Kafka does.
  const sizeBytes = batchSizeAt(bytes, at, bytes.length);
  if (sizeBytes >= 0) {
    if (sizeBytes <= maxBytes) return sizeBytes;
    return tooLarge(sizeBytes, maxBytes);
  }
  const fault = faultOfSize(sizeBytes);
  switch (fault) {
    case "unsupported_for_message_format":
      return {
        code: "unsupported_for_message_format",
        message: "Message formats 0 and 1 are not served; send record batches (format 2)",
      };
    case "bad_magic":
      return { code: "corrupt_message", message: "The batch has an unknown magic number" };
    default:
      return {
        code: "invalid_record",
        message: `The batch is cut short or its length is wrong (${bytes.length - at} bytes there)`,
      };
  }
}

/** Checks the batch in `bytes[at, at + sizeBytes)`. */
export function validateBatch(
  bytes: Uint8Array,
  at: number,
  sizeBytes: number,
  context: ValidationContext,
): ValidBatch | Refusal {
  const { settings } = context;
  const fault = checkBatch(bytes, at, sizeBytes, context.crc32c);
  if (fault === "bad_crc") {
    return { code: "corrupt_message", message: "The batch does not match its CRC-32C" };
  }
  const count = recordCountAt(bytes, at);
  const lastOffsetDelta = lastOffsetDeltaAt(bytes, at);
  if (fault !== null || count <= 0 || lastOffsetDelta !== count - 1) {
    return invalid(
      `The header is inconsistent: ${count} records, last offset delta ${lastOffsetDelta}`,
    );
  }
  if (baseOffsetAt(bytes, at) !== 0) return invalid("The base offset of a new batch must be 0");
  const attributes = attributesAt(bytes, at);
  const isTransactional = (attributes & TRANSACTIONAL_BIT) !== 0;
  if (isTransactional && !context.takesTransactions) {
    return {
      code: "invalid_txn_state",
      message: "The batch is transactional, and no transaction is open for it",
    };
  }
  if ((attributes & CONTROL_BIT) !== 0) return invalid("Clients may not write control batches");
  const producerId = producerIdAt(bytes, at);
  if (isTransactional && producerId < 0) return invalid("A transactional batch needs a producer");
  const baseSequence = baseSequenceAt(bytes, at);
  if (producerId >= 0 && baseSequence < 0) {
    return invalid(`Sequence ${baseSequence} is not valid with producer id ${producerId}`);
  }
  const batch = new RecordBatch(bytes, at, sizeBytes);
  if (batch.codec === null) return invalid(`Codec ${attributes & CODEC_MASK} is unknown`);
  const codec = batch.codec;

  const wantsCodec = settings.compression === "producer" ? null : settings.compression;
  const isRecompressed =
    wantsCodec !== null && (wantsCodec === "uncompressed" ? "none" : wantsCodec) !== codec;
  const opens =
    codec === "none" || context.opensCompressed || isRecompressed || settings.cleanupCompact;
  let block: RecordBlock | null = null;
  if (opens) {
    const opened = openRecords(batch, {
      compression: context.compression,
      sizeBytesMax: context.decompressedBytesMax,
    });
    if (opened === "unsupported_codec") return unsupported(codec);
    if (typeof opened === "string") {
      return invalid(`The records (${codec}) cannot be opened: ${opened.replaceAll("_", " ")}`);
    }
    block = opened;
    const recordFault = walkRecords(block, true, findings);
    if (recordFault !== null) {
      return invalid(`The records do not add up: ${recordFault.replaceAll("_", " ")}`);
    }
    if (settings.cleanupCompact && findings.nullKeyCount > 0) {
      return {
        code: "invalid_record",
        message: "A compacted topic takes no record without a key",
        recordErrors: errorsWhere(block, (cursor) =>
          cursor.keyLength < 0 ? "Compacted topics take no record without a key" : null,
        ),
      };
    }
  }
  const isStamped = settings.messageTimestampType === "LogAppendTime";
  if (!isStamped) {
    const refusal = checkTimestamps(bytes, at, block, context);
    if (refusal !== null) return refusal;
  }

  let out = bytes.subarray(at, at + sizeBytes);
  if (isRecompressed && block !== null) {
    const recompressed = recompress(out, block, context);
    if (!(recompressed instanceof Uint8Array)) return recompressed;
    out = recompressed;
    if (out.length > settings.maxMessageBytes)
      return tooLarge(out.length, settings.maxMessageBytes);
  }
  let maxTimestampMs = maxTimestampAt(out, 0);
  if (isStamped) {
    maxTimestampMs = context.wallMs;
    patchLogAppendTime(out, 0, out.length, maxTimestampMs, context.crc32c);
  } else if (block !== null) {
    const found = baseTimestampAt(bytes, at) + findings.maxTimestampDelta;
    if (found !== maxTimestampMs) {
      patchMaxTimestamp(out, 0, out.length, found, context.crc32c);
      maxTimestampMs = found;
    }
  }
  return {
    bytes: out,
    recordCount: count,
    maxTimestampMs,
    producerId,
    producerEpoch: producerEpochAt(bytes, at),
    baseSequence,
    isTransactional,
    logAppendTimeMs: isStamped ? context.wallMs : -1,
  };
}

function checkTimestamps(
  bytes: Uint8Array,
  at: number,
  block: RecordBlock | null,
  { settings, wallMs }: ValidationContext,
): Refusal | null {
  const latestMs = wallMs + settings.messageTimestampAfterMaxMs;
  const earliestMs = wallMs - settings.messageTimestampBeforeMaxMs;
  const baseMs = baseTimestampAt(bytes, at);
  const maxMs = block === null ? maxTimestampAt(bytes, at) : baseMs + findings.maxTimestampDelta;
  const minMs = block === null ? baseMs : baseMs + findings.minTimestampDelta;
  // Records without a timestamp (−1) are taken as they are.
  if (maxMs <= latestMs && (minMs >= earliestMs || minMs === -1)) return null;
  const range = `from ${earliestMs} to ${latestMs}`;
  const says = (timestampMs: number) =>
    timestampMs > latestMs || (timestampMs < earliestMs && timestampMs !== -1)
      ? `Timestamp ${timestampMs} is out of range (${range})`
      : null;
  return {
    code: "invalid_timestamp",
    message: `A record's timestamp is out of range (${range}), see message.timestamp.before.max.ms and after.max.ms`,
    recordErrors:
      block === null
        ? [{ batchIndex: 0, message: says(maxMs) ?? says(minMs) }]
        : errorsWhere(block, (cursor) => says(baseMs + cursor.timestampDelta)),
  };
}

function errorsWhere(
  block: RecordBlock,
  says: (cursor: RecordCursor) => string | null,
): readonly RecordError[] {
  const errors: RecordError[] = [];
  const cursor = new RecordCursor(block);
  for (let batchIndex = 0; cursor.next() && errors.length < RECORD_ERRORS_MAX; batchIndex++) {
    const message = says(cursor);
    if (message !== null) errors.push({ batchIndex, message });
  }
  return errors;
}

/** The same batch with its records in the topic's codec: header copied, records not decoded. */
function recompress(
  batch: Uint8Array,
  block: RecordBlock,
  context: ValidationContext,
): Uint8Array | Refusal {
  const { compression, compressionLevel } = context.settings;
  const plain = block.bytes.subarray(block.start, block.end);
  const isPlain = compression === "uncompressed" || compression === "producer";
  let records = plain;
  if (!isPlain) {
    try {
      records = context.compression.compress(compression, plain, compressionLevel ?? undefined);
    } catch (error) {
      if (error instanceof CompressionError && error.code === "unsupported") {
        return unsupported(compression);
      }
      throw error;
    }
  }
  const out = new Uint8Array(BATCH_HEADER_BYTES + records.length);
  out.set(batch.subarray(0, BATCH_HEADER_BYTES));
  out.set(records, BATCH_HEADER_BYTES);
  const view = new DataView(out.buffer);
  view.setInt32(8, out.length - BATCH_LENGTH_PREFIX_BYTES);
  const codec = isPlain ? 0 : codecNumber(compression);
  view.setInt16(21, (attributesAt(batch, 0) & ~CODEC_MASK) | codec);
  patchCrc(out, 0, out.length, context.crc32c);
  return out;
}

function tooLarge(sizeBytes: number, maxBytes: number): Refusal {
  return {
    code: "message_too_large",
    message: `The batch has ${sizeBytes} bytes, and max.message.bytes is ${maxBytes}`,
  };
}

/** Not a word about the batch: another broker of the same cluster may open it. */
function unsupported(codec: string): Refusal {
  return {
    code: "unsupported_compression_type",
    message: `This broker's host has no ${codec}; send it uncompressed, or with snappy or lz4`,
  };
}

function invalid(message: string): Refusal {
  return { code: "invalid_record", message };
}
