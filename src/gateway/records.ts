// Appends records rather than batches: picks partitions, builds a batch or more for each, and says of every
// record where it has come to lie.
// Invariant: of a topic that exists, everything up to `log.append` happens before the first await, so calls
// append in the order they were made; records of one partition are appended together or refused together.
// Kafka: KafkaProducer with its RecordAccumulator, for one call.

import { ok } from "../base/outcome.ts";
import type { AppendPartition, Broker, Caller } from "../contracts/broker.ts";
import type { Runtime } from "../contracts/runtime.ts";
import { errorByCode, type KafkaError, type Outcome, refuse } from "../protocol/errors.ts";
import type { Codec } from "../record/compression.ts";
import { RecordBatchBuilder } from "../record/record_builder.ts";
import type { RecordHeader } from "../record/record_reader.ts";
import { METADATA_VERSION, metadataRequest } from "./topics.ts";

const TIMEOUT_MS_DEFAULT = 30_000;
/** Where the broker has no `message.max.bytes`; Kafka's default. */
const BATCH_BYTES_DEFAULT = 1_048_588;
/** A record's own fields at their longest: length, attributes, deltas, lengths of key and value, header count. */
const RECORD_OVERHEAD_BYTES = 36;
const HEADER_OVERHEAD_BYTES = 10;
const NO_BYTES = new Uint8Array(0);
const NO_HEADERS: readonly RecordHeader[] = [];

/** A record that is to be appended. Its bytes are copied. */
export interface RecordInput {
  /** By the key, with the topic's partitioner, when left out. */
  readonly partition?: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers?: readonly RecordHeader[];
  /** Milliseconds since the Unix epoch, an integer from -1 (none) on; now when left out. */
  readonly timestampMs?: number;
}

/** Where a record has come to lie. */
export interface AppendedRecord {
  readonly partition: number;
  readonly offset: number;
  /** The record's, or the broker's where the topic stamps on append; -1 for none. */
  readonly timestampMs: number;
}

/** Records of one topic that are appended in one call. */
export interface AppendRecordsRequest {
  readonly topic: string;
  readonly records: readonly RecordInput[];
  /** As in Produce; -1 when left out. */
  readonly acks?: 0 | 1 | -1;
  /** 30 seconds when left out. */
  readonly timeoutMs?: number;
  /** What batches are compressed with; "none" when left out. */
  readonly compression?: Codec;
  /** The offset that the first record must get, or nothing is appended: of one partition only. */
  readonly expectedOffset?: number;
}

/** The records of one partition, by their place in the request. */
interface PartitionRecords {
  readonly partition: number;
  readonly places: number[];
}

/** The batches of one partition, and what it takes to make them smaller. */
interface BuiltBatches {
  readonly batches: Uint8Array;
  readonly isDivisible: boolean;
  /** Size of the largest, before compression. */
  readonly largestBytes: number;
}

/**
 * Appends the records: those with a key where it belongs, those without one all to the same partition.
 * A topic that is missing is made first where `auto.create.topics.enable` and the caller's rights allow it.
 *
 * @returns One outcome a record, in order; or why none was tried.
 */
export async function appendRecords(
  broker: Broker,
  runtime: Runtime,
  caller: Caller,
  request: AppendRecordsRequest,
): Promise<Outcome<readonly Outcome<AppendedRecord>[]>> {
  const { topic, records } = request;
  const wallMs = runtime.clock.wallMs();
  for (let place = 0; place < records.length; place++) {
    const { timestampMs } = records[place]!;
    if (timestampMs === undefined || (Number.isSafeInteger(timestampMs) && timestampMs >= -1)) {
      continue;
    }
    return refuse("invalid_timestamp", `Record ${place} has no possible time: ${timestampMs}`);
  }
  if (records.length === 0) return ok([]);
  if (broker.log.topicIdOf(topic) === null) {
    const missing = await makeTopic(broker, caller, topic);
    if (missing !== null) return { ok: false, error: missing };
  }
  const divided = divide(broker, caller, topic, records);
  if (!divided.ok) return divided;
  const { expectedOffset } = request;
  if (expectedOffset !== undefined && divided.value.length > 1) {
    return refuse(
      "invalid_request",
      `An expected offset is of one partition: these records go to ${divided.value.length}`,
    );
  }
  const outcomes: Outcome<AppendedRecord>[] = new Array(records.length);
  let waiting: readonly PartitionRecords[] = divided.value;
  let bytesMax = Number(broker.setting("message.max.bytes") ?? BATCH_BYTES_DEFAULT);
  while (waiting.length > 0) {
    const built = waiting.map((each) => build(records, each, request, runtime, wallMs, bytesMax));
    const partitions = waiting.map(({ partition }, i): AppendPartition => {
      const part = { topic, partition, batches: built[i]!.batches };
      return expectedOffset === undefined ? part : { ...part, expectedOffset };
    });
    const results = await broker.log.append(caller, {
      acks: request.acks ?? -1,
      timeoutMs: request.timeoutMs ?? TIMEOUT_MS_DEFAULT,
      transactionalId: null,
      partitions,
    });
    const tooLarge: PartitionRecords[] = [];
    let largestBytes = 0;
    for (let i = 0; i < waiting.length; i++) {
      const { partition, places } = waiting[i]!;
      const result = results[i]!;
      // The topic may take less than the broker's default: as Kafka's producer does, smaller ones are tried.
      if (!result.ok && result.error.code === "message_too_large" && built[i]!.isDivisible) {
        tooLarge.push(waiting[i]!);
        largestBytes = Math.max(largestBytes, built[i]!.largestBytes);
        continue;
      }
      let offset = result.ok ? result.value.baseOffset : -1;
      for (const place of places) {
        if (!result.ok) {
          outcomes[place] = result;
          continue;
        }
        const { logAppendTimeMs } = result.value;
        const timestampMs =
          logAppendTimeMs >= 0 ? logAppendTimeMs : (records[place]!.timestampMs ?? wallMs);
        outcomes[place] = ok({ partition, offset: offset++, timestampMs });
      }
    }
    waiting = tooLarge;
    bytesMax = Math.floor(largestBytes / 2);
  }
  // A right is of the topic, not of a record: without it nothing was tried.
  const [first] = outcomes;
  if (first?.ok === false && outcomes.every(isForbidden)) return first;
  return ok(outcomes);
}

function isForbidden(outcome: Outcome<unknown>): boolean {
  return !outcome.ok && outcome.error.code === "topic_authorization_failed";
}

/** Makes a missing topic, as metadata requests of Kafka's clients do. @returns why there is none */
async function makeTopic(
  broker: Broker,
  caller: Caller,
  topic: string,
): Promise<KafkaError | null> {
  const mayMake = broker.setting("auto.create.topics.enable") === "true";
  if (mayMake) {
    // Who may make topics and not write to them is refused before one is made. Nothing is appended either way.
    const [nothing] = await broker.log.append(caller, {
      acks: -1,
      timeoutMs: TIMEOUT_MS_DEFAULT,
      transactionalId: null,
      partitions: [{ topic, partition: 0, batches: NO_BYTES }],
    });
    if (nothing?.ok === false && isForbidden(nothing)) return nothing.error;
  }
  const response = await broker.topics.metadata(
    caller,
    metadataRequest([topic], mayMake),
    METADATA_VERSION,
  );
  return errorByCode(response.topics[0]!.errorCode);
}

/** The records by partition, partitions in the order they first come up. */
function divide(
  broker: Broker,
  caller: Caller,
  topic: string,
  records: readonly RecordInput[],
): Outcome<readonly PartitionRecords[]> {
  const byPartition = new Map<number, PartitionRecords>();
  let sticky = -1;
  for (let place = 0; place < records.length; place++) {
    const { key, partition: given } = records[place]!;
    let partition = given ?? (key === null ? sticky : -1);
    if (given === undefined && partition < 0) {
      const chosen = broker.log.partitionFor(caller, topic, key);
      if (!chosen.ok) return chosen;
      partition = chosen.value;
      if (key === null) sticky = partition;
    }
    const found = byPartition.get(partition);
    if (found === undefined) byPartition.set(partition, { partition, places: [place] });
    else found.places.push(place);
  }
  return ok([...byPartition.values()]);
}

function build(
  records: readonly RecordInput[],
  { places }: PartitionRecords,
  request: AppendRecordsRequest,
  runtime: Runtime,
  wallMs: number,
  bytesMax: number,
): BuiltBatches {
  const { compression, crc32c } = runtime;
  const { compression: codec = "none" } = request;
  let leftBytes = 0;
  for (const place of places) leftBytes += sizeBytesMaxOf(records[place]!);
  const batches: Uint8Array[] = [];
  let builder: RecordBatchBuilder | null = null;
  let isDivisible = false;
  let largestBytes = 0;
  for (const place of places) {
    const record = records[place]!;
    const recordBytes = sizeBytesMaxOf(record);
    if (builder !== null && builder.sizeBytes + recordBytes > bytesMax) {
      batches.push(builder.build());
      builder = null;
    }
    builder ??= new RecordBatchBuilder({
      codec,
      compression,
      ...(crc32c === undefined ? {} : { crc32c }),
      sizeBytesHint: Math.min(leftBytes + 61, Math.max(bytesMax, recordBytes)),
    });
    const { key, value, headers = NO_HEADERS, timestampMs = wallMs } = record;
    builder.append(timestampMs, key, value, headers);
    leftBytes -= recordBytes;
    if (builder.count > 1) isDivisible = true;
    largestBytes = Math.max(largestBytes, builder.sizeBytes);
  }
  batches.push(builder!.build());
  return { batches: joined(batches), isDivisible, largestBytes };
}

/** No less than the record takes in a batch. */
function sizeBytesMaxOf({ key, value, headers }: RecordInput): number {
  let sizeBytes = RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  if (headers === undefined) return sizeBytes;
  for (const header of headers) {
    sizeBytes += HEADER_OVERHEAD_BYTES + header.key.length * 3 + (header.value?.length ?? 0);
  }
  return sizeBytes;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  let sizeBytes = 0;
  for (const part of parts) sizeBytes += part.length;
  const bytes = new Uint8Array(sizeBytes);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
