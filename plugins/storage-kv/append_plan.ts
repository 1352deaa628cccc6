// What an append writes. Bytes go into new chunks, but for a small one at the end, which is written again
// with the new bytes behind it: so an append never rewrites more than MERGED_BYTES_MAX, and a file of tiny
// appends is not a file of tiny chunks. Invariant: chunks lie back to back, none is empty.

import type { KeyValueBounds, KeyValueOperation } from "../../src/contracts/key_value.ts";
import { chunkKey } from "./segment_keys.ts";

/** Largest value: a read of a few bytes brings a whole one along. */
const CHUNK_BYTES_MAX = 64 * 1024;
/** Largest chunk that is written again. A page of SQLite is as large, and is written whole anyway. */
const MERGED_BYTES_MAX = 4 * 1024;

/** The end of a file. */
export interface FileEnd {
  readonly sizeBytes: number;
  /** The last chunk, if it is small and this process wrote it; its bytes are never changed. */
  readonly tail: Uint8Array | null;
}

type Put = Extract<KeyValueOperation, { kind: "put" }>;

export interface AppendPlan {
  readonly operations: readonly Put[];
  readonly end: FileEnd;
}

/** @param end The end of the file as it is, or as an earlier plan of the same commit leaves it. */
export function planAppend(
  id: number,
  end: FileEnd,
  chunks: readonly Uint8Array[],
  bounds: KeyValueBounds,
): AppendPlan {
  const total = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  if (total === 0) return { operations: [], end };
  const valueBytesMax = Math.min(CHUNK_BYTES_MAX, bounds.valueBytesMax);
  const sizeBytes = end.sizeBytes + total;
  const { tail } = end;
  if (tail !== null && tail.byteLength + total <= Math.min(MERGED_BYTES_MAX, valueBytesMax)) {
    const merged = gathered([tail, ...chunks], tail.byteLength + total);
    const key = chunkKey(id, end.sizeBytes - tail.byteLength);
    return { operations: [{ kind: "put", key, value: merged }], end: { sizeBytes, tail: merged } };
  }
  const operations: Put[] = [];
  let position = end.sizeBytes;
  for (const value of valuesOf(chunks, total, valueBytesMax)) {
    operations.push({ kind: "put", key: chunkKey(id, position), value });
    position += value.byteLength;
  }
  const last = operations[operations.length - 1]!.value;
  // The caller may reuse its bytes, and the tail is read and written again.
  return {
    operations,
    end: { sizeBytes, tail: last.byteLength < MERGED_BYTES_MAX ? last.slice() : null },
  };
}

/** Operations in groups that one commit takes each. */
export function grouped(
  operations: readonly KeyValueOperation[],
  bounds: KeyValueBounds,
): readonly (readonly KeyValueOperation[])[] {
  const groups: KeyValueOperation[][] = [];
  let sizeBytes = Number.POSITIVE_INFINITY;
  for (const operation of operations) {
    const added = bytesOf(operation);
    let group = groups[groups.length - 1];
    if (
      group === undefined ||
      group.length >= bounds.operationsMax ||
      sizeBytes + added > bounds.commitBytesMax
    ) {
      group = [];
      groups.push(group);
      sizeBytes = 0;
    }
    group.push(operation);
    sizeBytes += added;
  }
  return groups;
}

function bytesOf(operation: KeyValueOperation): number {
  if (operation.kind === "put") return operation.key.length + operation.value.byteLength;
  return operation.kind === "remove"
    ? operation.key.length
    : operation.from.length + operation.to.length;
}

/** The bytes of `chunks` in values of `sizeMax`, the last one shorter; not copied where one chunk holds a whole value. */
function* valuesOf(
  chunks: readonly Uint8Array[],
  total: number,
  sizeMax: number,
): Iterable<Uint8Array> {
  let index = 0;
  let at = 0;
  for (let left = total; left > 0; ) {
    const length = Math.min(left, sizeMax);
    while (at === chunks[index]!.byteLength) {
      index++;
      at = 0;
    }
    if (chunks[index]!.byteLength - at >= length) {
      yield chunks[index]!.subarray(at, at + length);
      at += length;
    } else {
      const value = new Uint8Array(length);
      for (let filled = 0; filled < length; ) {
        const chunk = chunks[index]!;
        const part = chunk.subarray(at, at + Math.min(chunk.byteLength - at, length - filled));
        value.set(part, filled);
        filled += part.byteLength;
        at += part.byteLength;
        if (filled < length) {
          index++;
          at = 0;
        }
      }
      yield value;
    }
    left -= length;
  }
}

function gathered(chunks: readonly Uint8Array[], total: number): Uint8Array {
  const whole = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}
