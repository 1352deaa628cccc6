// The keys and values of the metadata store:
//   meta/revision   the last revision, in digits
//   meta/e/KEY      one entry: its revision, the session it goes with, its value
// Invariant: the revision and all entries of a commit are written together.

import type { RevisionEntry } from "../../src/base/revision_table.ts";
import { damaged, textOf } from "./fenced_store.ts";

export const PREFIX = "meta/";
export const REVISION_KEY = `${PREFIX}revision`;
export const ENTRIES = `${PREFIX}e/`;
/** Of a key-value store's key. */
const KEY_CHARACTERS_MAX = 512;
/** Revision (8 bytes) and length of the session's id (2). */
const HEADER_BYTES = 10;
const TWO_32 = 2 ** 32;

const utf8 = new TextEncoder();

/** Any string as ASCII without control characters; null when it is too long then. */
export function entryKey(key: string): string | null {
  let escaped = ENTRIES;
  for (const byte of utf8.encode(key)) {
    const isPlain = byte > 0x20 && byte < 0x7e && byte !== 0x25;
    escaped += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, "0")}`;
  }
  return escaped.length > KEY_CHARACTERS_MAX ? null : escaped;
}

export function encodeRow(revision: number, owner: string | null, value: Uint8Array): Uint8Array {
  const ownerBytes = utf8.encode(owner ?? "");
  const row = new Uint8Array(HEADER_BYTES + ownerBytes.byteLength + value.byteLength);
  const view = new DataView(row.buffer);
  view.setUint32(0, Math.floor(revision / TWO_32));
  view.setUint32(4, revision % TWO_32);
  view.setUint16(8, ownerBytes.byteLength);
  row.set(ownerBytes, HEADER_BYTES);
  row.set(value, HEADER_BYTES + ownerBytes.byteLength);
  return row;
}

/** @throws {StorageError} "corrupt" */
export function decodeRow(
  key: string,
  row: Uint8Array,
): RevisionEntry & { readonly owner: string | null } {
  const view = new DataView(row.buffer, row.byteOffset, row.byteLength);
  const start = row.byteLength < HEADER_BYTES ? -1 : HEADER_BYTES + view.getUint16(8);
  if (start === -1 || start > row.byteLength) throw damagedAt(key);
  const revision = view.getUint32(0) * TWO_32 + view.getUint32(4);
  const owner = textOf(row.subarray(HEADER_BYTES, start));
  return {
    key: plainKey(key),
    revision,
    owner: owner === "" ? null : owner,
    value: row.slice(start),
  };
}

/** @throws {StorageError} "corrupt" */
export function decodeRevision(value: Uint8Array | null): number {
  if (value === null) return 0;
  const text = textOf(value);
  if (!/^\d{1,15}$/.test(text)) throw damagedAt(REVISION_KEY);
  return Number(text);
}

export function encodeRevision(revision: number): Uint8Array {
  return utf8.encode(String(revision));
}

function plainKey(key: string): string {
  const escaped = key.slice(ENTRIES.length);
  if (!escaped.includes("%")) return escaped;
  try {
    return decodeURIComponent(escaped);
  } catch {
    // Not what entryKey makes.
    throw damagedAt(key);
  }
}

function damagedAt(key: string): Error {
  return damaged("the metadata", `"${key}" is damaged`);
}
