// Record values that say who wrote them, for which partition, and in which place of a producer's order,
// under a checksum of their own: bytes served wrong or in the wrong place give themselves away.
// Layout: magic u32, crc u32 of all that follows, topic u32, partition u32, producer u32, sequence u32, filler.

import { crc32c } from "../../base/crc32c.ts";

const MAGIC = 0x53_49_4d_31;
export const VALUE_BYTES_MIN = 24;

/** One record as its value names it. `sequence` counts a producer's records in the partition, from 0. */
export interface RecordIdentity {
  /** The number of the topic's incarnation. */
  readonly topic: number;
  readonly partition: number;
  readonly producer: number;
  readonly sequence: number;
}

export function recordValue(identity: RecordIdentity, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(sizeBytes, VALUE_BYTES_MIN));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC);
  view.setUint32(8, identity.topic);
  view.setUint32(12, identity.partition);
  view.setUint32(16, identity.producer);
  view.setUint32(20, identity.sequence);
  // Half runs and half noise, so that codecs have something to do.
  let word = Math.imul(identity.producer + 1, 0x9e3779b1) ^ identity.sequence;
  for (let at = VALUE_BYTES_MIN; at < bytes.length; at++) {
    if ((at & 15) === 0) word = Math.imul(word ^ (word >>> 13), 0x5bd1e995);
    bytes[at] = (at & 32) === 0 ? word : word >>> (at & 15);
  }
  view.setUint32(4, crc32c(bytes, 8, bytes.length));
  return bytes;
}

/** Null when the bytes are not such a value, whole. */
export function identityOf(value: Uint8Array): RecordIdentity | null {
  if (value.length < VALUE_BYTES_MIN) return null;
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  if (view.getUint32(0) !== MAGIC) return null;
  if (view.getUint32(4) !== crc32c(value, 8, value.length)) return null;
  return {
    topic: view.getUint32(8),
    partition: view.getUint32(12),
    producer: view.getUint32(16),
    sequence: view.getUint32(20),
  };
}

/** Producer and sequence as one number. */
export function recordKeyOf(identity: RecordIdentity): number {
  return identity.producer * 0x100000000 + identity.sequence;
}

export function inWords(recordKey: number): string {
  return `record ${recordKey % 0x100000000} of producer ${Math.floor(recordKey / 0x100000000)}`;
}
