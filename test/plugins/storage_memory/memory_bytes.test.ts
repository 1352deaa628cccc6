import { describe, expect, test } from "bun:test";
import { MemoryBytes } from "../../../plugins/storage-memory/memory_bytes.ts";
import { SeededRandom } from "../../../src/base/prng.ts";

describe("MemoryBytes", () => {
  test("is like one array under random appends, cuts and reads", () => {
    for (let seed = 0; seed < 20; seed++) {
      const random = SeededRandom.of(seed);
      const bytes = new MemoryBytes();
      let model = new Uint8Array(0);
      for (let step = 0; step < 60; step++) {
        if (random.below(4) === 0) {
          const sizeBytes = random.below(model.length + 1);
          bytes.cut(sizeBytes);
          model = model.slice(0, sizeBytes);
        } else {
          const chunk = random.fill(new Uint8Array(random.below([10, 600, 70_000][seed % 3]!)));
          bytes.append(chunk);
          const longer = new Uint8Array(model.length + chunk.length);
          longer.set(model);
          longer.set(chunk, model.length);
          model = longer;
        }
        expect(bytes.sizeBytes).toBe(model.length);
        const position = random.below(model.length + 10);
        const target = new Uint8Array(random.below(100_000));
        const count = bytes.read(target, position);
        const expected = model.subarray(position, position + target.length);
        expect(count).toBe(expected.length);
        expect(Buffer.compare(target.subarray(0, count), expected)).toBe(0);
      }
    }
  });
});
