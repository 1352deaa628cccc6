// Records in JSON, both ways: what a fetch shows can be posted again, byte for byte.
// Invariant: bytes are a string where they are UTF-8, {"base64": …} where they are not, and null where there are none;
// {"json": …} is taken, and never given.

import type { GatewayRecord } from "../../src/gateway/fetch_records.ts";
import type { RecordInput } from "../../src/gateway/records.ts";
import type { RecordHeader } from "../../src/record/record_reader.ts";
import { badRequest } from "./problem.ts";

const encoder = new TextEncoder();
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes as JSON shows them. */
export type BytesInJson = string | { readonly base64: string } | null;

/** A record as JSON shows it. */
export interface RecordInJson {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: BytesInJson;
  readonly value: BytesInJson;
  readonly headers: readonly { readonly key: string; readonly value: BytesInJson }[];
}

export function recordToJson(record: GatewayRecord): RecordInJson {
  const { partition, offset, timestampMs: timestamp, key, value, headers } = record;
  return {
    partition,
    offset,
    timestamp,
    key: bytesToJson(key),
    value: bytesToJson(value),
    headers: headers.map((header) => ({ key: header.key, value: bytesToJson(header.value) })),
  };
}

function bytesToJson(bytes: Uint8Array | null): BytesInJson {
  if (bytes === null) return null;
  try {
    return utf8.decode(bytes);
  } catch {
    return { base64: toBase64(bytes) };
  }
}

/** The record that `json` describes; `offset` is let pass, so that fetched records can be posted. @throws {Refusal} 400 */
export function recordFromJson(json: unknown, path: string): RecordInput {
  const fields = objectFrom(json, path, [
    "key",
    "value",
    "headers",
    "partition",
    "timestamp",
    "offset",
  ]);
  const { key, value, headers, partition, timestamp } = fields;
  if (value === undefined) {
    throw badRequest(`${path}.value is missing: null stands for no value`, { at: `${path}.value` });
  }
  return {
    key: key === undefined ? null : bytesFromJson(key, `${path}.key`),
    value: bytesFromJson(value, `${path}.value`),
    ...(headers === undefined ? {} : { headers: headersFromJson(headers, `${path}.headers`) }),
    ...(partition === undefined
      ? {}
      : { partition: wholeFrom(partition, `${path}.partition`, 0, 0x7fffffff) }),
    ...(timestamp === undefined
      ? {}
      : {
          timestampMs: wholeFrom(timestamp, `${path}.timestamp`, -1, Number.MAX_SAFE_INTEGER),
        }),
  };
}

function headersFromJson(json: unknown, path: string): RecordHeader[] {
  if (!Array.isArray(json)) throw wrong(path, 'an array of {"key", "value"}');
  return json.map((each, index) => {
    const at = `${path}[${index}]`;
    const { key, value } = objectFrom(each, at, ["key", "value"]);
    if (typeof key !== "string" || !key.isWellFormed()) throw wrong(`${at}.key`, "a string");
    if (value === undefined) throw wrong(`${at}.value`, "given, if only as null");
    return { key, value: bytesFromJson(value, `${at}.value`) };
  });
}

function bytesFromJson(json: unknown, path: string): Uint8Array | null {
  if (json === null) return null;
  if (typeof json === "string") {
    if (json.isWellFormed()) return encoder.encode(json);
    throw wrong(path, "text without lone surrogates");
  }
  if (typeof json === "object" && !Array.isArray(json)) {
    const { base64, json: inner } = json as { base64?: unknown; json?: unknown };
    if (Object.keys(json).length === 1) {
      if (inner !== undefined) return encoder.encode(JSON.stringify(inner));
      if (typeof base64 === "string") {
        const bytes = fromBase64(base64);
        if (bytes === null) throw wrong(`${path}.base64`, "base64 with its padding");
        return bytes;
      }
    }
  }
  throw wrong(path, 'a string, null, {"base64": "…"} or {"json": …}');
}

/** An object with these members and no others. @throws {Refusal} 400 */
export function objectFrom(
  json: unknown,
  path: string,
  members: readonly string[],
): Readonly<Record<string, unknown>> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw wrong(path, "an object");
  }
  const stranger = Object.keys(json).find((name) => !members.includes(name));
  if (stranger === undefined) return json as Readonly<Record<string, unknown>>;
  throw badRequest(
    `${path} has a member ${JSON.stringify(stranger)}, and may have: ${members.join(", ")}`,
    { at: path },
  );
}

/** A whole number within bounds, both inclusive. @throws {Refusal} 400 */
export function wholeFrom(json: unknown, path: string, lowest: number, highest: number): number {
  if (Number.isInteger(json) && (json as number) >= lowest && (json as number) <= highest) {
    return json as number;
  }
  throw wrong(path, `a whole number from ${lowest} to ${highest}`);
}

export function wrong(path: string, what: string): Error {
  return badRequest(`${path} must be ${what}`, { at: path });
}

interface Base64Bytes {
  toBase64?(): string;
}

export function toBase64(bytes: Uint8Array): string {
  const native = (bytes as Base64Bytes).toBase64?.();
  if (native !== undefined) return native;
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(text);
}

/** Null when it is not base64. */
export function fromBase64(text: string): Uint8Array | null {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null;
  try {
    const whole = atob(text);
    const bytes = new Uint8Array(whole.length);
    for (let at = 0; at < whole.length; at++) bytes[at] = whole.charCodeAt(at);
    return bytes;
  } catch {
    return null; // Bits left over behind the last byte.
  }
}
