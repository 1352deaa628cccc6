import { describe, expect, test } from "bun:test";
import { gather, partsAfter, SMALL_CHUNK_BYTES } from "../../../plugins/storage-fs/gather.ts";

const sizes = (parts: readonly Uint8Array[]) => parts.map((part) => part.byteLength);
const chunksOf = (...of: number[]) =>
  of.map((sizeBytes, i) => new Uint8Array(sizeBytes).fill(i + 1));
const joined = (parts: readonly Uint8Array[]) => parts.flatMap((part) => [...part]);

describe("gather()", () => {
  test("copies runs of small chunks together and leaves large ones alone", () => {
    const chunks = chunksOf(10, 20, 9_000, 30, 0, 40, 50, SMALL_CHUNK_BYTES, 60);
    const parts = gather(chunks, new Uint8Array(65_536));
    expect(sizes(parts)).toEqual([30, 9_000, 30, 90, SMALL_CHUNK_BYTES, 60]);
    expect(parts[1]).toBe(chunks[2]!);
    expect(joined(parts)).toEqual(joined(chunks));
  });

  test("keeps the bytes and their order when staging is full, or too small for any", () => {
    for (const stagingBytes of [0, 5, 25, 100]) {
      const chunks = chunksOf(10, 20, 3, 4, 5, 9_000, 6, 0, 7, 80, 2, 1);
      expect(joined(gather(chunks, new Uint8Array(stagingBytes)))).toEqual(joined(chunks));
    }
  });

  test("of nothing is nothing", () => {
    expect(gather([], new Uint8Array(10))).toEqual([]);
    expect(gather(chunksOf(0, 0), new Uint8Array(10))).toEqual([]);
  });
});

describe("partsAfter()", () => {
  test("leaves out what was written, at any byte", () => {
    const parts = chunksOf(3, 1, 0, 5);
    for (let written = 0; written <= 9; written++) {
      expect(joined(partsAfter(parts, written))).toEqual(joined(parts).slice(written));
    }
  });
});
