// Bytes of a journal file: a file header, then entries back to back. An entry is a header of 48
// bytes and a payload; a batch entry's payload is one whole Kafka record batch, as it is served.
// Invariant: an entry is believed only when its header checksum and its payload's own are right, and it
// carries the file's number and salt: bytes of another file never pass, nor bytes that a client made up.

import { crc32c } from "../../base/crc32c.ts";

/** Bytes before the first entry of a file. */
export const FILE_HEADER_BYTES = 64;
/** Bytes before each payload. */
export const ENTRY_HEADER_BYTES = 48;
/**
 * The batch header: its first 21 bytes are outside the batch's own CRC, and recovery believes the
 * rest without reading the records. So the entry's checksum takes all of it in.
 */
export const BATCH_PREFIX_BYTES = 61;

const FILE_MAGIC_HIGH = 0x4d52_4a4c; // "MRJL"
/** What every Millrace reads. */
export const FORMAT_PLAIN = 1;
/** States in the file may speak of cleaned segments: one from before refuses it, and does not take what is missing for lost. */
export const FORMAT_CLEANED = 2;
/** Batches in the file, or states, are of transactions: one from before would serve what was aborted. */
export const FORMAT_TRANSACTIONS = 3;
/** The log is one replica of several: its end may be cut off, and leader epochs begin without a batch. */
export const FORMAT_REPLICATED = 4;
const ENTRY_MAGIC = 0x4d52_4a45; // "MRJE"

export const EntryKind = {
  /** A batch, appended at the end of its partition. */
  batch: 1,
  /** A batch whose offsets are older than the partition's end: moved from a file that is given up. */
  movedBatch: 2,
  /** The whole small state of a partition (see partition_state.ts); replaces every earlier one. */
  state: 3,
  /** A new log start offset. */
  start: 4,
  /** The partition's log ends at an offset again; entries before this one at or past it are dead. A state may follow. */
  truncate: 5,
  /** Nothing but its `syncedBefore`: says that what lies before it was synced. Written when idle and at close. */
  synced: 6,
  /** A leader epoch and the offset from which it holds, whether anything was written under it or not. */
  epoch: 7,
} as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

/** Set on the first batch of a segment. */
export const FLAG_SEGMENT_START = 1;
/** Set on a marker, which is a batch entry: how a transaction ended, under the entry's own checksum. */
export const FLAG_COMMIT = 2;
export const FLAG_ABORT = 4;
/** Set on a marker of the second protocol, whose epoch is one more than that of the batches it ends. */
export const FLAG_OWN_EPOCH = 8;

/** What an entry header says. Reused by readers: copy what is kept. */
export interface EntryHeader {
  kind: number;
  flags: number;
  payloadBytes: number;
  partition: number;
  /** Everything before this position of the file was synced when the entry was written. */
  syncedBefore: number;
}

/** @param salt Drawn anew for each file; every entry of the file repeats it. */
export function writeFileHeader(
  fileNumber: number,
  salt: number,
  createdMs: number,
  formatVersion: number,
): Uint8Array {
  const bytes = new Uint8Array(FILE_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, FILE_MAGIC_HIGH);
  view.setUint32(4, formatVersion);
  view.setUint32(8, fileNumber);
  view.setUint32(12, salt);
  view.setFloat64(16, createdMs);
  view.setUint32(60, crc32c(bytes, 0, 60));
  return bytes;
}

export type FileHeaderFault = "not_a_journal" | "newer_version" | "bad_checksum" | "wrong_number";

/** Null when the header is whole and belongs to file `fileNumber`. */
export function checkFileHeader(bytes: Uint8Array, fileNumber: number): FileHeaderFault | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < FILE_HEADER_BYTES || view.getUint32(0) !== FILE_MAGIC_HIGH) {
    return "not_a_journal";
  }
  if (view.getUint32(60) !== crc32c(bytes, 0, 60)) return "bad_checksum";
  if (view.getUint32(4) > FORMAT_REPLICATED) return "newer_version";
  return view.getUint32(8) === fileNumber ? null : "wrong_number";
}

/** The salt in a sound file header. */
export function saltOf(header: Uint8Array): number {
  return new DataView(header.buffer, header.byteOffset, header.byteLength).getUint32(12);
}

/** The format version in a sound file header. */
export function formatVersionOf(header: Uint8Array): number {
  return new DataView(header.buffer, header.byteOffset, header.byteLength).getUint32(4);
}

/**
 * Writes an entry header at `at`. For batch kinds the first BATCH_PREFIX_BYTES of `payload` are
 * covered by the header checksum, for the others the whole payload is.
 */
export function writeEntryHeader(
  target: Uint8Array,
  view: DataView,
  at: number,
  fileNumber: number,
  salt: number,
  kind: EntryKind,
  flags: number,
  topicId: Uint8Array,
  partition: number,
  syncedBefore: number,
  payload: Uint8Array,
): void {
  view.setUint32(at, ENTRY_MAGIC);
  view.setUint32(at + 8, fileNumber);
  view.setUint16(at + 12, (kind << 8) | flags);
  view.setUint16(at + 14, 0);
  view.setUint32(at + 16, payload.length);
  view.setUint32(at + 20, partition);
  target.set(topicId, at + 24);
  view.setUint32(at + 40, syncedBefore);
  view.setUint32(at + 44, salt);
  view.setUint32(at + 4, headerChecksum(target, at, kind, payload, 0));
}

function headerChecksum(
  bytes: Uint8Array,
  at: number,
  kind: number,
  payload: Uint8Array,
  payloadAt: number,
): number {
  const covered = isBatchKind(kind) ? BATCH_PREFIX_BYTES : payload.length - payloadAt;
  const seed = crc32c(bytes, at + 8, at + ENTRY_HEADER_BYTES);
  return crc32c(payload, payloadAt, payloadAt + covered, seed);
}

export function isBatchKind(kind: number): boolean {
  return kind === EntryKind.batch || kind === EntryKind.movedBatch;
}

/** Bytes after the header that its checksum needs: read this much before `isEntryHeaderValid`. */
export function coveredPayloadBytes(kind: number, payloadBytes: number): number {
  return isBatchKind(kind) ? Math.min(BATCH_PREFIX_BYTES, payloadBytes) : payloadBytes;
}

/**
 * Whether the bytes at `at` look like an entry of that file (magic, number and salt only).
 *
 * @param salt Null when the file's header is damaged: then any will do.
 */
export function isEntryMagic(
  view: DataView,
  at: number,
  fileNumber: number,
  salt: number | null,
): boolean {
  return (
    view.getUint32(at) === ENTRY_MAGIC &&
    view.getUint32(at + 8) === fileNumber &&
    (salt === null || view.getUint32(at + 44) === salt)
  );
}

export function readEntryHeader(view: DataView, at: number, into: EntryHeader): void {
  const kindAndFlags = view.getUint16(at + 12);
  into.kind = kindAndFlags >> 8;
  into.flags = kindAndFlags & 0xff;
  into.payloadBytes = view.getUint32(at + 16);
  into.partition = view.getUint32(at + 20);
  into.syncedBefore = view.getUint32(at + 40);
}

/** Checks the header checksum; `covered` holds at least coveredPayloadBytes() from `coveredAt` on. */
export function isEntryHeaderValid(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  header: EntryHeader,
): boolean {
  const covered = coveredPayloadBytes(header.kind, header.payloadBytes);
  const seed = crc32c(bytes, at + 8, at + ENTRY_HEADER_BYTES);
  const payloadAt = at + ENTRY_HEADER_BYTES;
  return view.getUint32(at + 4) === crc32c(bytes, payloadAt, payloadAt + covered, seed);
}

/** The topic id of an entry, as a view. */
export function topicIdAt(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.subarray(at + 24, at + 40);
}

const NAME = /^journal\/(\d{10})\.log$/;

export function journalFileName(fileNumber: number): string {
  return `journal/${String(fileNumber).padStart(10, "0")}.log`;
}

/** Null for a name that is not a journal file's. */
export function journalFileNumber(name: string): number | null {
  const found = NAME.exec(name);
  return found === null ? null : Number(found[1]);
}
