// The shapes of what is asked and answered, checked by hand: what leaves here has the types it says.
// Invariant: only fields that are named here are looked at; others are ignored, so that they may come later.

import type { GatewayRecord } from "../../src/gateway/fetch_records.ts";
import type { StartPosition } from "../../src/gateway/offsets.ts";
import type { RecordInput } from "../../src/gateway/records.ts";
import type { KafkaError } from "../../src/protocol/errors.ts";
import type { RecordHeader } from "../../src/record/record_reader.ts";
import { int } from "./cbor.ts";

/** Partitions in one request. */
const PARTITIONS_MAX = 1000;
const PARTITION_HIGHEST = 0x7fffffff;
const MAX = Number.MAX_SAFE_INTEGER;

/** A request, or the map inside of one. */
export type Fields = Readonly<Record<string, unknown>>;

/** A request that is sound CBOR and makes no sense: answered as "invalid_request". */
export class BadRequest extends Error {
  override readonly name = "BadRequest";
}

export function isFields(value: unknown): value is Fields {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array)
  );
}

/** A text that must be there. @throws {BadRequest} */
export function textOf(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value === "string") return value;
  throw new BadRequest(`"${name}" must be a text`);
}

/** A text that may be left out, or null. @throws {BadRequest} */
export function optionalTextOf(fields: Fields, name: string): string | null {
  return fields[name] === undefined || fields[name] === null ? null : textOf(fields, name);
}

/** An integer within bounds, inclusive; `standard` when it is left out. @throws {BadRequest} */
export function intOf(
  fields: Fields,
  name: string,
  lowest: number,
  highest: number,
  standard?: number,
): number {
  const value = fields[name];
  if (value === undefined && standard !== undefined) return standard;
  if (isWithin(value, lowest, highest)) return value;
  throw new BadRequest(`"${name}" must be an integer from ${lowest} to ${highest}`);
}

/** @throws {BadRequest} */
export function flagOf(fields: Fields, name: string): boolean {
  const value = fields[name];
  if (value === undefined) return false;
  if (typeof value === "boolean") return value;
  throw new BadRequest(`"${name}" must be true or false`);
}

/** A map of texts; empty when it is left out. @throws {BadRequest} */
export function textsOf(fields: Fields, name: string): Readonly<Record<string, string>> {
  const value = fields[name];
  if (value === undefined) return {};
  if (isFields(value) && Object.values(value).every((each) => typeof each === "string")) {
    return value as Readonly<Record<string, string>>;
  }
  throw new BadRequest(`"${name}" must be a map of texts`);
}

/** The token's bytes, of a text or a byte string; null when there is none. @throws {BadRequest} */
export function tokenOf(fields: Fields): Uint8Array | null {
  const value = fields["token"];
  if (value === undefined || value === null) return null;
  if (typeof value === "string") return new TextEncoder().encode(value);
  // A copy: the authenticator may keep it, and the frame goes.
  if (value instanceof Uint8Array) return new Uint8Array(value);
  throw new BadRequest(`"token" must be a text or a byte string`);
}

/** Records as `[key, value, headers?, timestampMs?, partition?]`. @throws {BadRequest} naming the first that is wrong */
export function recordsOf(fields: Fields): readonly RecordInput[] {
  const value = fields["records"];
  if (!Array.isArray(value)) throw new BadRequest(`"records" must be an array`);
  const records: RecordInput[] = new Array(value.length);
  for (let i = 0; i < value.length; i++) {
    const each: unknown = value[i];
    if (!Array.isArray(each) || each.length < 2 || each.length > 5) {
      throw new BadRequest(`Record ${i} must be an array of 2 to 5`);
    }
    const [key, bytes, headers, timestampMs, partition] = each as unknown[];
    if (!isBytesOrNull(key)) throw new BadRequest(`The key of record ${i} must be bytes or null`);
    if (!isBytesOrNull(bytes)) {
      throw new BadRequest(`The value of record ${i} must be bytes or null`);
    }
    if (each.length === 2) {
      records[i] = { key, value: bytes };
      continue;
    }
    const isTimed = timestampMs !== undefined && timestampMs !== null;
    if (isTimed && !isWithin(timestampMs, -1, MAX)) {
      throw new BadRequest(`The time of record ${i} must be an integer from -1 on, or null`);
    }
    const isPlaced = partition !== undefined && partition !== null;
    if (isPlaced && !isWithin(partition, 0, PARTITION_HIGHEST)) {
      throw new BadRequest(`The partition of record ${i} must be an integer from 0 on, or null`);
    }
    records[i] = {
      key,
      value: bytes,
      headers: headersOf(headers, i),
      ...(isTimed ? { timestampMs } : {}),
      ...(isPlaced ? { partition } : {}),
    };
  }
  return records;
}

const NO_HEADERS: readonly RecordHeader[] = [];

function headersOf(value: unknown, record: number): readonly RecordHeader[] {
  if (value === null || value === undefined) return NO_HEADERS;
  if (!Array.isArray(value)) {
    throw new BadRequest(`The headers of record ${record} must be an array or null`);
  }
  return value.map((each: unknown) => {
    if (Array.isArray(each) && each.length === 2) {
      const [key, bytes] = each as unknown[];
      if (typeof key === "string" && isBytesOrNull(bytes)) return { key, value: bytes };
    }
    throw new BadRequest(`A header of record ${record} must be [text, bytes or null]`);
  });
}

/** `[partition, offset]` each; at least one. @throws {BadRequest} */
export function positionsOf(
  fields: Fields,
): readonly { readonly partition: number; readonly offset: number }[] {
  return pairsOf(fields).map(([partition, offset]) => {
    if (isWithin(offset, 0, MAX)) return { partition, offset };
    throw new BadRequest(`The offset of partition ${partition} must be an integer from 0 on`);
  });
}

/** `[partition, start]` each; at least one. @throws {BadRequest} */
export function startsOf(
  fields: Fields,
): readonly { readonly partition: number; readonly at: StartPosition }[] {
  return pairsOf(fields).map(([partition, at]) => ({ partition, at: startOf(at) }));
}

/** "earliest", "latest", an offset, or `{ "timestampMs": … }`. @throws {BadRequest} */
export function startOf(value: unknown): StartPosition {
  if (value === "earliest" || value === "latest") return value;
  if (isWithin(value, 0, MAX)) return { offset: value };
  if (isFields(value) && isWithin(value["timestampMs"], 0, MAX)) {
    return { timestampMs: value["timestampMs"] };
  }
  throw new BadRequest(`A start must be "earliest", "latest", an offset or {"timestampMs": …}`);
}

/** Pairs of a partition, each once, and something. */
function pairsOf(fields: Fields): readonly (readonly [partition: number, unknown])[] {
  const value = fields["partitions"];
  if (!Array.isArray(value) || value.length === 0 || value.length > PARTITIONS_MAX) {
    throw new BadRequest(`"partitions" must be an array of 1 to ${PARTITIONS_MAX}`);
  }
  const seen = new Set<number>();
  return value.map((each: unknown) => {
    const [partition, other] = Array.isArray(each) && each.length === 2 ? each : [];
    if (!isWithin(partition, 0, PARTITION_HIGHEST)) {
      throw new BadRequest(
        `Each of "partitions" must be an array of 2 that begins with a partition`,
      );
    }
    if (seen.has(partition)) throw new BadRequest(`Partition ${partition} comes twice`);
    seen.add(partition);
    return [partition, other] as const;
  });
}

function isBytesOrNull(value: unknown): value is Uint8Array | null {
  return value === null || value instanceof Uint8Array;
}

function isWithin(value: unknown, lowest: number, highest: number): value is number {
  return (
    typeof value === "number" && Number.isSafeInteger(value) && value >= lowest && value <= highest
  );
}

/** A refusal as it is answered. */
export function errorShape(error: KafkaError): object {
  const { code, message, retriable } = error;
  return { code, message, retriable };
}

/** `[partition, offset, timestampMs, key, value, headers]`. */
export function recordShape(record: GatewayRecord): readonly unknown[] {
  const { partition, offset, timestampMs, key, value, headers } = record;
  const pairs = headers.length === 0 ? NO_HEADERS : headers.map((each) => [each.key, each.value]);
  return [partition, int(offset), int(timestampMs), key, value, pairs];
}
