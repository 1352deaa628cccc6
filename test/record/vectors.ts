// Loads the golden vectors of test/vectors/records: recorded from Apache Kafka 4.3.1's Java library.

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

/** The parsed content of `test/vectors/records/<name>.json.gz`. */
export function loadVectors<T>(name: string): readonly T[] {
  const file = new URL(`../vectors/records/${name}.json.gz`, import.meta.url);
  const text = new TextDecoder().decode(gunzipSync(readFileSync(file)));
  return (JSON.parse(text) as { vectors: T[] }).vectors;
}

/** Bytes in the vectors: hex, or a unit of hex repeated. */
export type VectorBytes = string | { readonly repeat: readonly [string, number] } | null;

/** Bytes of a hex string. */
export function fromHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(hex.substr(i * 2, 2), 16);
  return bytes;
}

/** Bytes of a value in the vectors. */
export function bytesOf(value: VectorBytes): Uint8Array | null {
  if (value === null) return null;
  if (typeof value === "string") return fromHex(value);
  return fromHex(value.repeat[0].repeat(value.repeat[1]));
}

/** Lowercase hex. */
export function toHex(bytes: Uint8Array): string {
  let hex = "";
  for (const byte of bytes) hex += byte.toString(16).padStart(2, "0");
  return hex;
}

export interface RecordVector {
  readonly offset: string;
  readonly timestamp: string;
  readonly key: VectorBytes;
  readonly value: VectorBytes;
  readonly headers?: readonly (readonly [string, string | null])[];
  readonly sequence?: number;
  readonly control?: {
    readonly version: number;
    readonly type: number;
    readonly coordinatorEpoch?: number;
  };
}

export interface BatchVector {
  readonly baseOffset: string;
  readonly lastOffset: string;
  readonly sizeInBytes: number;
  readonly compression: string;
  readonly timestampType: string;
  readonly crc: number;
  readonly attributes: number;
  readonly lastOffsetDelta: number;
  readonly partitionLeaderEpoch: number;
  readonly baseTimestamp: string;
  readonly maxTimestamp: string;
  readonly producerId: string;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly lastSequence: number;
  readonly transactional: boolean;
  readonly control: boolean;
  readonly count: number;
  readonly deleteHorizonMs?: string;
  readonly records: readonly RecordVector[];
}

export interface BatchesVector {
  readonly name: string;
  readonly encode: "exact" | "decode-only";
  readonly batches: readonly BatchVector[];
  readonly hex: string;
}

export interface DamagedVector {
  readonly name: string;
  readonly kafkaException: string;
  readonly recordsBeforeError: number;
  readonly hex: string;
}
