// The format of a metadata log: a header, frames of a snapshot, then one frame a group of commits.
// Invariant: a frame's CRC covers where it stands and in which generation, so bytes of another place,
// an older file or a value that looks like a frame never pass for one. A group is one frame: it is there
// whole or not at all.

import { assert } from "../../src/base/assert.ts";
import { ByteReader } from "../../src/base/byte_reader.ts";
import { ByteWriter } from "../../src/base/byte_writer.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import type { RevisionEntry, RevisionWrite } from "../../src/base/revision_table.ts";
import type { Step } from "../../src/metadata/committed_metadata.ts";

/** The newest format this code reads and writes. */
export const FORMAT_VERSION = 1;
/** "MRMETA", then the version as an int16. */
const FILE_MAGIC = [0x4d, 0x52, 0x4d, 0x45, 0x54, 0x41] as const;
export const HEADER_BYTES = 8;
/** "MRf1". */
const FRAME_MAGIC = 0x4d526631;
/** Magic, size of the payload, CRC-32C. */
const FRAME_HEADER_BYTES = 12;
/** Rows are put into snapshot frames of about this size. */
const SNAPSHOT_FRAME_BYTES = 256 * 1024;

const ROWS = 1;
const SNAPSHOT_END = 2;
const GROUP = 3;
const DELETES = 1;
const HAS_OWNER = 2;

const utf8 = new TextEncoder();

/** A row of a snapshot. */
export type LoggedRow = RevisionEntry & { readonly owner: string | null };

/** What a frame says. */
export type Frame =
  | { readonly kind: "rows"; readonly rows: readonly LoggedRow[] }
  | { readonly kind: "snapshot_end"; readonly revision: number }
  | { readonly kind: "group"; readonly steps: readonly Step[] };

export function encodeHeader(): Uint8Array {
  return Uint8Array.of(...FILE_MAGIC, FORMAT_VERSION >> 8, FORMAT_VERSION & 0xff);
}

/** The version a file says it has; null when it is no metadata log. */
export function versionOf(bytes: Uint8Array): number | null {
  if (bytes.length < HEADER_BYTES) return null;
  if (FILE_MAGIC.some((byte, i) => bytes[i] !== byte)) return null;
  return (bytes[6]! << 8) | bytes[7]!;
}

/** A whole new file up to the end of its snapshot. */
export function encodeSnapshot(
  rows: Iterable<LoggedRow>,
  revision: number,
  generation: number,
): Uint8Array[] {
  const parts = [encodeHeader()];
  let position = HEADER_BYTES;
  const add = (payload: Uint8Array): void => {
    const frame = encodeFrame(payload, generation, position);
    parts.push(frame);
    position += frame.byteLength;
  };
  let payload = new ByteWriter();
  for (const row of rows) {
    if (payload.sizeBytes === 0) payload.uint8(ROWS);
    payload.int64(row.revision);
    writeBytes(payload, utf8.encode(row.key));
    writeBytes(payload, row.value);
    payload.bool(row.owner !== null);
    if (row.owner !== null) writeBytes(payload, utf8.encode(row.owner));
    if (payload.sizeBytes < SNAPSHOT_FRAME_BYTES) continue;
    add(payload.toBytes());
    payload = new ByteWriter();
  }
  if (payload.sizeBytes > 0) add(payload.toBytes());
  const end = new ByteWriter();
  end.uint8(SNAPSHOT_END);
  end.int64(revision);
  add(end.toBytes());
  return parts;
}

/** The frame of one group of commits, to be written at `position`. */
export function encodeGroup(
  steps: readonly Step[],
  generation: number,
  position: number,
): Uint8Array {
  const payload = new ByteWriter();
  payload.uint8(GROUP);
  for (const { revision, writes } of steps) {
    payload.int64(revision);
    payload.uvarint(writes.length);
    for (const { key, value, owner } of writes) {
      payload.uint8((value === null ? DELETES : 0) | (owner === null ? 0 : HAS_OWNER));
      writeBytes(payload, utf8.encode(key));
      if (value !== null) writeBytes(payload, value);
      if (owner !== null) writeBytes(payload, utf8.encode(owner));
    }
  }
  return encodeFrame(payload.toBytes(), generation, position);
}

/** The frame at `position` and where it ends; null when there is no whole, valid one. */
export function frameAt(
  bytes: Uint8Array,
  position: number,
  generation: number,
): { readonly frame: Frame; readonly end: number } | null {
  if (bytes.length - position < FRAME_HEADER_BYTES) return null;
  const header = new ByteReader(bytes, position);
  if (header.uint32() !== FRAME_MAGIC) return null;
  const payloadBytes = header.uint32();
  const crc = header.uint32();
  const start = position + FRAME_HEADER_BYTES;
  const end = start + payloadBytes;
  if (payloadBytes === 0 || end > bytes.length) return null;
  if (crc32c(bytes, start, end, seedOf(generation, position)) !== crc) return null;
  return { frame: decodePayload(new ByteReader(bytes, start, end)), end };
}

/** Where the first whole, valid frame after `position` begins; -1 when there is none. */
export function nextFrameAfter(bytes: Uint8Array, position: number, generation: number): number {
  const first = FRAME_MAGIC >>> 24;
  for (let at = bytes.indexOf(first, position + 1); at !== -1; at = bytes.indexOf(first, at + 1)) {
    if (frameAt(bytes, at, generation) !== null) return at;
  }
  return -1;
}

function encodeFrame(payload: Uint8Array, generation: number, position: number): Uint8Array {
  const frame = new ByteWriter();
  frame.int32(FRAME_MAGIC);
  frame.int32(payload.byteLength);
  frame.int32(crc32c(payload, 0, payload.byteLength, seedOf(generation, position)));
  frame.bytes(payload);
  return frame.toBytes();
}

/** The CRC of the place, which every frame's CRC continues. */
function seedOf(generation: number, position: number): number {
  const place = new ByteWriter();
  place.int64(generation);
  place.int64(position);
  return crc32c(place.toBytes());
}

function decodePayload(reader: ByteReader): Frame {
  const kind = reader.uint8();
  if (kind === SNAPSHOT_END) return { kind: "snapshot_end", revision: reader.int64() };
  if (kind === ROWS) {
    const rows: LoggedRow[] = [];
    while (reader.remaining > 0) {
      const revision = reader.int64();
      const key = readText(reader);
      const value = readBytes(reader);
      rows.push({ key, value, revision, owner: reader.bool() ? readText(reader) : null });
    }
    return { kind: "rows", rows };
  }
  assert(kind === GROUP, "a frame of an unknown kind in a known format");
  const steps: Step[] = [];
  while (reader.remaining > 0) {
    const revision = reader.int64();
    const writes: RevisionWrite[] = [];
    for (let left = reader.uvarint(); left > 0; left--) {
      const flags = reader.uint8();
      const key = readText(reader);
      const value = (flags & DELETES) === 0 ? readBytes(reader) : null;
      writes.push({ key, value, owner: (flags & HAS_OWNER) === 0 ? null : readText(reader) });
    }
    steps.push({ revision, writes });
  }
  return { kind: "group", steps };
}

function writeBytes(writer: ByteWriter, bytes: Uint8Array): void {
  writer.uvarint(bytes.byteLength);
  writer.bytes(bytes);
}

/** A copy, so that no value keeps the whole file in memory. */
function readBytes(reader: ByteReader): Uint8Array {
  return reader.view(reader.uvarint()).slice();
}

function readText(reader: ByteReader): string {
  return reader.utf8(reader.uvarint());
}
