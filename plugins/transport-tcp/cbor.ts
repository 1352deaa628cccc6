// CBOR (RFC 8949) in and out, by cbor-x: the only file that imports it.
// Invariant: only what `scanCbor` let pass is decoded; what is encoded has definite lengths, no tags and no
// floats. The build without eval and native code is taken: it runs on every host, the edge included.

import { Decoder, Encoder, type Options } from "cbor-x/index-no-eval";
import { type ScanFault, scanCbor } from "./cbor_scan.ts";

/** What a value costs in memory besides its bytes, roughly. */
const ITEM_WEIGHT_BYTES = 48;

// Records are cbor-x's own tags; int64AsNumber is missing in its types.
const decoder = new Decoder({
  useRecords: false,
  mapsAsObjects: true,
  int64AsNumber: true,
} as Options);
const encoder = new Encoder({
  useRecords: false,
  mapsAsObjects: true,
  variableMapSize: true,
  tagUint8Array: false,
});

/** Bytes that were looked over and can be decoded. */
export interface ScannedFrame {
  readonly bytes: Uint8Array;
  /** What the frame weighs in memory, decoded: its bytes, and its values. */
  readonly weightBytes: number;
}

/** Looks a frame over. Nothing is allocated for what it says. */
export function scanFrame(bytes: Uint8Array, itemsMax: number): ScannedFrame | ScanFault {
  const itemCount = scanCbor(bytes, itemsMax);
  if (typeof itemCount === "string") return itemCount;
  return { bytes, weightBytes: bytes.length + itemCount * ITEM_WEIGHT_BYTES };
}

/** The value of a frame; byte strings are views of it. */
export function decodeFrame(frame: ScannedFrame): unknown {
  return decoder.decode(frame.bytes);
}

/** A value with its length before it, as it goes on the wire. Integers beyond 32 bits must have gone through `int`. */
export function encodeFrame(value: object): readonly Uint8Array[] {
  const body = encodeBody(value);
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, body.length);
  return [length, body];
}

/** Frames that are about as large get a buffer of their own; cbor-x has twice as much free in any, so it grows none. */
const OWN_BUFFER_BYTES_MIN = 1024;

/**
 * cbor-x writes frame after frame into one buffer, and grows it fourfold: a large frame that waits to be sent would
 * keep several times what it needs, and growing to its size leaves as much again behind.
 */
function encodeBody(value: object): Uint8Array {
  const sizeBytes = sizeBytesMaxOf(value);
  if (sizeBytes < OWN_BUFFER_BYTES_MIN) return encoder.encode(value);
  useBuffer(sizeBytes + ENCODER_MARGIN_BYTES);
  try {
    return encoder.encode(value);
  } finally {
    useBuffer(SMALL_BUFFER_BYTES);
  }
}

/** What cbor-x wants free beyond what it writes. */
const ENCODER_MARGIN_BYTES = 4096;
const SMALL_BUFFER_BYTES = 8192;
/** The most that the head of an item takes. */
const HEAD_BYTES = 9;

/** cbor-x asks for Node's kind where the host has it. */
const { Buffer: NodeBuffer } = globalThis as {
  Buffer?: { allocUnsafeSlow(sizeBytes: number): Uint8Array };
};

function useBuffer(sizeBytes: number): void {
  const buffer = NodeBuffer?.allocUnsafeSlow(sizeBytes) ?? new Uint8Array(sizeBytes);
  (encoder as unknown as { useBuffer(buffer: Uint8Array): void }).useBuffer(buffer);
}

/** An upper bound, and close to it where byte strings are most of it. */
function sizeBytesMaxOf(value: unknown): number {
  if (typeof value === "string") return HEAD_BYTES + 3 * value.length;
  if (typeof value !== "object" || value === null) return HEAD_BYTES;
  if (value instanceof Uint8Array) return HEAD_BYTES + value.length;
  let bytes = HEAD_BYTES;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) bytes += sizeBytesMaxOf(value[i]);
  } else {
    for (const name in value) {
      bytes +=
        HEAD_BYTES + 3 * name.length + sizeBytesMaxOf((value as Record<string, unknown>)[name]);
    }
  }
  return bytes;
}

/** An integer as cbor-x has to see it: it writes numbers beyond 32 bits as floats. */
export function int(value: number): number | bigint {
  return value > 0xffff_ffff || value < -0x8000_0000 ? BigInt(value) : value;
}
