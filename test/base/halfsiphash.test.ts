import { describe, expect, test } from "bun:test";
import { halfSipHash, hashHigh, hashLow, KeyHash } from "../../src/base/halfsiphash.ts";
import { SeededRandom } from "../../src/base/prng.ts";

/** Of the reference: key 00 01 … 07, input 00 01 02 … of 0, 1, 2, … bytes, 2 and 4 rounds. */
const VECTORS = [
  "218d1f59b9b83cc8",
  "be552412f8387315",
  "064f39ef7c50eb57",
  "ce0f1a45f7060679",
  "d5e78a175be52ea1",
  "cb9d7c3f2f3db580",
  "ce3e91358aa2bc25",
  "ff202728b07bc684",
  "edfee820bce4858c",
  "5b51cccc13888307",
  "95b0469f06a6f2ee",
  "ae26333994ddcd48",
];

function hex(low: number, high: number): string {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, low, true);
  view.setInt32(4, high, true);
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

describe("halfSipHash", () => {
  test("gives the vectors of the reference, wherever the input stands", () => {
    const input = Uint8Array.from({ length: 20 }, (_, i) => i - 3);
    for (const [length, expected] of VECTORS.entries()) {
      halfSipHash(input, 3, 3 + length, 0x03020100, 0x07060504, 2, 4);
      expect([length, hex(hashLow, hashHigh)]).toEqual([length, expected]);
    }
  });
});

describe("KeyHash", () => {
  test("is two of halfSipHash with one and three rounds, under the two halves of its key", () => {
    const random = SeededRandom.of("two of them");
    const key: number[] = [];
    const hash = new KeyHash(() => {
      key.push(random.uint32());
      return key.at(-1)!;
    });
    for (let length = 0; length <= 300; length++) {
      const start = random.below(4);
      const bytes = Uint8Array.from({ length: start + length + 3 }, () => random.below(256));
      hash.hash(bytes, start, start + length);
      halfSipHash(bytes, start, start + length, key[0]!, key[1]!, 1, 3);
      expect([length, hash.word0, hash.word1]).toEqual([length, hashLow, hashHigh]);
      halfSipHash(bytes, start, start + length, key[2]!, key[3]!, 1, 3);
      expect([length, hash.word2, hash.word3]).toEqual([length, hashLow, hashHigh]);
    }
  });

  test("depends on key, content and length, and on nothing around", () => {
    const random = SeededRandom.of("key hash");
    const hash = new KeyHash(() => random.uint32());
    const other = new KeyHash(() => random.uint32());
    const of = (by: KeyHash, bytes: Uint8Array, start = 0, end = bytes.length) => {
      by.hash(bytes, start, end);
      return [by.word0, by.word1, by.word2, by.word3].join();
    };
    const text = new TextEncoder().encode("group-1 topic 0");
    expect(of(hash, text, 6)).toBe(of(hash, text.slice(6)));
    expect(of(hash, text)).not.toBe(of(other, text));
    const seen = new Set<string>();
    for (let length = 0; length <= 40; length++) seen.add(of(hash, new Uint8Array(length)));
    for (let i = 0; i < 4000; i++) seen.add(of(hash, new TextEncoder().encode(`key ${i}`)));
    expect(seen.size).toBe(4041);
  });
});
