// Records and options as callers give them, and records as the wire has them.
// Kafka: org.apache.kafka.clients.producer.ProducerRecord, ProducerConfig.

import type { CompressionCodec } from "../record/compression.ts";
import type { RecordHeader } from "../record/record_reader.ts";
import type { PartitionerChoice } from "./partitioner.ts";

/** Bytes, or text that becomes UTF-8. */
export type Payload = Uint8Array | string | null;

/** A record to be sent. Bytes must not change until it is delivered. */
export interface ProducerRecord {
  readonly topic: string;
  /** Chosen by the partitioner when left out. */
  readonly partition?: number | undefined;
  readonly key?: Payload | undefined;
  /** Null is a tombstone on a compacted topic. */
  readonly value?: Payload | undefined;
  readonly headers?:
    | readonly { readonly key: string; readonly value: Payload }[]
    | Readonly<Record<string, Payload>>
    | undefined;
  /** Now when left out, in ms since the epoch. */
  readonly timestampMs?: number | undefined;
}

/** How a producer works. All may be left out. */
export interface ProducerOptions {
  /** Whose word counts as delivered: all in-sync replicas (default), the leader's, or nobody's. */
  readonly acks?: "all" | 1 | 0;
  /** Retries never double or reorder (KIP-98). Default true with acks "all", else false. */
  readonly idempotent?: boolean;
  /** Default "none". */
  readonly compression?: CompressionCodec | "none";
  readonly compressionLevel?: number;
  /** Default "topic". */
  readonly partitioner?: PartitionerChoice;
  /** A batch waits so long for more records; 0 (default) only as long as the caller's turn lasts. */
  readonly lingerMs?: number;
  /** Records of a batch before compression. Default 1,000,000; less where the topic allows less. */
  readonly batchBytesMax?: number;
  /** Batches of one request. Default 8 MiB. */
  readonly requestBytesMax?: number;
  /** What may wait and be under way. Default 64 MiB. */
  readonly bufferBytesMax?: number;
  /** A record waits so long for room, in ms, and is then refused with "buffer_full"; 0: at once. Default 60,000. */
  readonly bufferWaitMsMax?: number;
  /** Until a record is given up, in ms. Default 120,000. */
  readonly deliveryTimeoutMs?: number;
  /** Requests under way to one broker; with idempotence at most 5. Default 5. */
  readonly inFlightMax?: number;
  /** Whether the broker may create topics that are not there. Default true, if its settings allow it. */
  readonly mayCreateTopics?: boolean;
  /** How long a topic that was just made may take to be known everywhere, in ms. Default 3,000. */
  readonly unknownTopicWaitMs?: number;
}

/** What a producer has done so far. */
export interface ProducerStats {
  readonly records: number;
  readonly delivered: number;
  readonly failed: number;
  /** Keys, values and headers taken so far. */
  readonly bytes: number;
}

/** Room for lengths, deltas and header counts of a record, generously. */
export const RECORD_OVERHEAD_BYTES = 32;
const NO_HEADERS: readonly RecordHeader[] = [];
const encoder = new TextEncoder();

/** A payload as bytes; undefined is null. */
export function bytesOf(payload: Payload | undefined): Uint8Array | null {
  if (payload === undefined || payload === null) return null;
  return typeof payload === "string" ? encoder.encode(payload) : payload;
}

/** Headers as the wire has them. */
export function headersOf(headers: ProducerRecord["headers"]): readonly RecordHeader[] {
  if (headers === undefined) return NO_HEADERS;
  if (Array.isArray(headers)) {
    const list = headers as readonly { readonly key: string; readonly value: Payload }[];
    return list.map(({ key, value }) => ({ key, value: bytesOf(value) }));
  }
  return Object.entries(headers as Record<string, Payload>).map(([key, value]) => {
    return { key, value: bytesOf(value) };
  });
}

/** About what a record takes; text is counted by its characters. */
export function sizeOf({ key, value, headers = {} }: ProducerRecord): number {
  let sizeBytes = (key?.length ?? 0) + (value?.length ?? 0) + RECORD_OVERHEAD_BYTES;
  if (Array.isArray(headers)) {
    for (const each of headers) sizeBytes += each.key.length + (each.value?.length ?? 0);
    return sizeBytes;
  }
  for (const [name, held] of Object.entries(headers))
    sizeBytes += name.length + (held?.length ?? 0);
  return sizeBytes;
}

/** What a record holds that cannot be sent, for callers whose types nobody checked; null for a sound one. */
export function faultOf(record: ProducerRecord): string | null {
  if (typeof record !== "object" || record === null) {
    return `it must be an object with a topic: found ${record}`;
  }
  const { topic, key, value, headers, timestampMs } = record;
  if (typeof topic !== "string") return `topic must be text: found ${typeof topic}`;
  if (!isPayload(key)) return `key must be bytes, text or null: found ${typeof key}`;
  if (!isPayload(value)) return `value must be bytes, text or null: found ${typeof value}`;
  if (timestampMs !== undefined && !(Number.isSafeInteger(timestampMs) && timestampMs >= -1)) {
    return `timestampMs must be whole milliseconds since 1970: found ${timestampMs}`;
  }
  return headers === undefined ? null : headerFaultOf(headers);
}

function headerFaultOf(headers: NonNullable<ProducerRecord["headers"]>): string | null {
  const isMap = typeof headers === "object" && headers !== null;
  if (!isMap) return "headers must be a list of { key, value }, or an object of them";
  const pairs: readonly (readonly [unknown, unknown])[] = Array.isArray(headers)
    ? headers.map((each) => [each?.key, each?.value])
    : Object.entries(headers);
  for (const [key, value] of pairs) {
    if (typeof key !== "string") return `a header's key must be text: found ${typeof key}`;
    if (!isPayload(value))
      return `header ${key} must be bytes, text or null: found ${typeof value}`;
  }
  return null;
}

function isPayload(value: unknown): boolean {
  return (
    value === null ||
    value === undefined ||
    typeof value === "string" ||
    value instanceof Uint8Array
  );
}
