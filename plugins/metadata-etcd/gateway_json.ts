// What etcd's JSON gateway says and is told: bytes as base64, int64 as text, and fields left out where they are 0.
// Invariant: nothing is taken of an answer that is not of the kind it should be: GarbageAnswer otherwise.

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const CODES = new Uint8Array([...ALPHABET].map((letter) => letter.charCodeAt(0)));
const PAD = 61;
/** By character code; 255 for those outside the alphabet. */
const VALUES = new Uint8Array(128).fill(255);
for (let i = 0; i < 64; i++) VALUES[CODES[i]!] = i;

const utf8 = new TextEncoder();
const text = new TextDecoder();
const ascii = new TextDecoder();

/** An answer that etcd would not give. Caught where a call is made. */
export class GarbageAnswer extends Error {
  override readonly name = "GarbageAnswer";
}

export type Json = Readonly<Record<string, unknown>>;

export interface KeyValueRow {
  /** As etcd has it, with our prefix. */
  readonly key: string;
  readonly value: Uint8Array;
  readonly modRevision: number;
}

export function base64Of(bytes: Uint8Array): string {
  const out = new Uint8Array(Math.ceil(bytes.length / 3) * 4);
  let at = 0;
  let to = 0;
  for (; at + 2 < bytes.length; at += 3) {
    const word = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
    out[to++] = CODES[word >> 18]!;
    out[to++] = CODES[(word >> 12) & 63]!;
    out[to++] = CODES[(word >> 6) & 63]!;
    out[to++] = CODES[word & 63]!;
  }
  const left = bytes.length - at;
  if (left > 0) {
    const word = (bytes[at]! << 16) | (left === 2 ? bytes[at + 1]! << 8 : 0);
    out[to++] = CODES[word >> 18]!;
    out[to++] = CODES[(word >> 12) & 63]!;
    out[to++] = left === 2 ? CODES[(word >> 6) & 63]! : PAD;
    out[to++] = PAD;
  }
  return ascii.decode(out);
}

export function base64OfText(key: string): string {
  return base64Of(utf8.encode(key));
}

/** The first key after all that begin with `prefix`, in base64. UTF-8 has no byte 0xff, so its last one can be raised. */
export function rangeEndOf(prefix: string): string {
  const bytes = utf8.encode(prefix);
  bytes[bytes.length - 1]! += 1;
  return base64Of(bytes);
}

export function bytesOf(value: unknown): Uint8Array {
  if (value === undefined) return new Uint8Array(0);
  if (typeof value !== "string" || value.length % 4 !== 0) throw new GarbageAnswer("no base64");
  const padding = value.endsWith("==") ? 2 : value.endsWith("=") ? 1 : 0;
  const out = new Uint8Array((value.length / 4) * 3 - padding);
  let to = 0;
  for (let at = 0; at < value.length; at += 4) {
    const isLast = at + 4 === value.length;
    let word = 0;
    for (let i = 0; i < 4; i++) {
      const six = isLast && i >= 4 - padding ? 0 : (VALUES[value.charCodeAt(at + i)] ?? 255);
      if (six > 63) throw new GarbageAnswer("no base64");
      word = (word << 6) | six;
    }
    out[to++] = word >> 16;
    if (to < out.length) out[to++] = (word >> 8) & 255;
    if (to < out.length) out[to++] = word & 255;
  }
  return out;
}

/** Absent is 0, as protobuf leaves it out. */
export function int64Of(value: unknown): number {
  if (value === undefined) return 0;
  const number = typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : value;
  if (Number.isSafeInteger(number)) return number as number;
  throw new GarbageAnswer("no int64 in the safe range");
}

export function objectOf(value: unknown): Json {
  if (value === undefined) return {};
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw new GarbageAnswer("no object");
}

export function listOf(value: unknown): readonly unknown[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value;
  throw new GarbageAnswer("no list");
}

export function parsed(bytes: Uint8Array): Json {
  try {
    return objectOf(JSON.parse(text.decode(bytes)));
  } catch (error) {
    if (error instanceof GarbageAnswer) throw error;
    throw new GarbageAnswer("no JSON");
  }
}

export function rowOf(value: unknown): KeyValueRow {
  const { key, value: bytes, mod_revision } = objectOf(value);
  const row = {
    key: text.decode(bytesOf(key)),
    value: bytesOf(bytes),
    modRevision: int64Of(mod_revision),
  };
  if (row.key === "" || row.modRevision < 1) throw new GarbageAnswer("no key with a revision");
  return row;
}
