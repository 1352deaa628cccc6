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
  const body = encoder.encode(value);
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, body.length);
  return [length, body];
}

/** An integer as cbor-x has to see it: it writes numbers beyond 32 bits as floats. */
export function int(value: number): number | bigint {
  return value > 0xffff_ffff || value < -0x8000_0000 ? BigInt(value) : value;
}
