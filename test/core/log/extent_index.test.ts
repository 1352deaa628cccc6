// The index of a partition's batches in journal files, against a plain list.

import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../src/base/prng.ts";
import { ExtentIndex } from "../../../src/core/log/extent_index.ts";

type Entry = readonly [
  baseOffset: number,
  file: number,
  position: number,
  size: number,
  time: number,
];

function entriesOf(index: ExtentIndex): Entry[] {
  return Array.from({ length: index.count }, (_, i) => [
    index.baseOffset(i),
    index.fileNumber(i),
    index.position(i),
    index.sizeBytes(i),
    index.maxTimestampMs(i),
  ]);
}

describe("ExtentIndex", () => {
  test("is exact for the largest file numbers, positions and sizes", () => {
    const index = new ExtentIndex();
    const numbers = [1, 2 ** 21 - 1, 2 ** 21, 2 ** 21 + 1, 2 ** 31, 2 ** 32 - 1];
    const entries = numbers.map(
      (file, i): Entry => [2 ** 53 - 100 + i, file, 2 ** 32 - 1 - i, 2 ** 32 - 1 - i, 2 ** 53 - 1],
    );
    for (const entry of entries) index.push(...entry);
    expect(entriesOf(index)).toEqual(entries);
  });

  test("does as a list does, whatever is pushed, placed, dropped and cut", () => {
    for (let seed = 0; seed < 30; seed++) {
      const random = SeededRandom.of(seed);
      const index = new ExtentIndex();
      let list: Entry[] = [];
      let next = 0;
      const entry = (offset: number): Entry => [
        offset,
        random.uint32(),
        random.uint32(),
        random.uint32(),
        random.uint32(),
      ];
      for (let step = 0; step < 600; step++) {
        const draw = random.below(100);
        if (draw < 60) {
          const pushed = entry((next += 2 + random.below(5)));
          index.push(...pushed);
          list.push(pushed);
        } else if (draw < 75) {
          const placed = entry(random.below(next + 2));
          index.place(...placed);
          list = [...list.filter(([offset]) => offset !== placed[0]), placed].sort(
            (a, b) => a[0] - b[0],
          );
          next = Math.max(next, placed[0]);
        } else if (draw < 85) {
          const count = random.below(list.length + 1);
          const drop = random.below(5) === 0 ? count : Math.min(count, 6);
          index.dropFirst(drop);
          list = list.slice(drop);
        } else if (draw < 90) {
          const keep = list.length - Math.min(list.length, random.below(4));
          index.keepFirst(keep);
          list = list.slice(0, keep);
        } else {
          const offset = random.below(next + 3);
          expect(index.indexOf(offset)).toBe(list.findLastIndex((each) => each[0] <= offset));
          const first = random.below(list.length + 1);
          const last = first + random.below(list.length - first + 1);
          expect(entriesOf(index.copy(first, last))).toEqual(list.slice(first, last));
        }
      }
      expect(entriesOf(index)).toEqual(list);
    }
  });
});
