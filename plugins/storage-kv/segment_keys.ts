// The keys of segments. A name points to a number, and the bytes lie under the number, so that a file gets
// another name, or none, by one small write:
//   log/f/NAME            {"id":7}, or {"id":7,"sizeBytes":900}: what lies behind 900 does not count
//   log/c/ID/POSITION     the bytes from that position on, up to the next such key
//   log/g/ID              nobody points to ID any more: its bytes are being removed
// Invariant: positions and numbers have a fixed width, so that keys sort as they count.

import type { KeyValueRange } from "../../src/contracts/key_value.ts";
import { damaged, LAST, textOf } from "./fenced_store.ts";

export const PREFIX = "log/";
const NAMES = `${PREFIX}f/`;
const GARBAGE = `${PREFIX}g/`;
const ID_DIGITS = 10;
const POSITION_DIGITS = 13;

/** What a name points to. */
export interface FileEntry {
  readonly id: number;
  /** Null: all bytes there are count. */
  readonly sizeBytes: number | null;
}

export function nameKey(name: string): string {
  return NAMES + name;
}

export function nameOf(key: string): string {
  return key.slice(NAMES.length);
}

/** Names that start with `prefix`, after `after`. */
export function namesFrom(prefix: string, after: string | null, limit: number): KeyValueRange {
  // No name holds a "!", which sorts before all that names hold.
  const from = after === null ? NAMES + prefix : `${NAMES}${after}!`;
  return { from, to: NAMES + prefix + LAST, limit };
}

export function garbageKey(id: number): string {
  return GARBAGE + digits(id, ID_DIGITS);
}

export function garbageFrom(after: string | null, limit: number): KeyValueRange {
  return { from: after === null ? GARBAGE : `${after}!`, to: GARBAGE + LAST, limit };
}

export function idOfGarbage(key: string): number {
  return Number(key.slice(GARBAGE.length));
}

export function chunkKey(id: number, position: number): string {
  return `${chunksOf(id)}${digits(position, POSITION_DIGITS)}`;
}

/** Behind every chunk of the file. */
export function chunksEnd(id: number): string {
  return chunksOf(id) + LAST;
}

export function positionOf(key: string): number {
  return Number(key.slice(-POSITION_DIGITS));
}

export function encodeEntry({ id, sizeBytes }: FileEntry): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(sizeBytes === null ? { id } : { id, sizeBytes }));
}

/** @throws {StorageError} "corrupt" */
export function decodeEntry(value: Uint8Array, name: string): FileEntry {
  try {
    const { id, sizeBytes = null } = JSON.parse(textOf(value)) as Partial<FileEntry>;
    const isSize = sizeBytes === null || (Number.isSafeInteger(sizeBytes) && sizeBytes >= 0);
    if (Number.isSafeInteger(id) && (id as number) >= 0 && isSize)
      return { id: id as number, sizeBytes };
  } catch {
    // Not JSON: damaged as below.
  }
  throw damaged(`segment "${name}"`, "its entry is damaged");
}

function chunksOf(id: number): string {
  return `${PREFIX}c/${digits(id, ID_DIGITS)}/`;
}

function digits(value: number, width: number): string {
  return String(value).padStart(width, "0");
}
