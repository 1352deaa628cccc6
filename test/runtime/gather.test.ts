import { describe, expect, test } from "bun:test";
import { Gather, SCRATCH_BYTES } from "../../src/runtime/gather.ts";

const filled = (sizeBytes: number, first: number) =>
  Uint8Array.from({ length: sizeBytes }, (_, index) => (first + index) & 0xff);

/** All bytes that a host sees which takes at most `takesBytes` of each call. */
function sentBy(chunks: readonly Uint8Array[], takesBytes: number): number[] {
  const sending = new Gather(chunks);
  const seen: number[] = [];
  while (!sending.done) {
    // What is promised to be enough: a larger one would hide a size that is too small.
    const bytes = sending.next(new Uint8Array(sending.scratchBytes));
    const taken = bytes.subarray(0, takesBytes);
    expect(taken.length).toBeGreaterThan(0);
    seen.push(...taken);
    sending.advance(taken.length);
  }
  return seen;
}

describe("Gather", () => {
  test("one chunk needs no scratch buffer, small ones together their size, many no more than a whole one", () => {
    expect(new Gather([filled(100_000, 0)]).scratchBytes).toBe(0);
    expect(new Gather([]).scratchBytes).toBe(0);
    expect(new Gather([filled(10, 0), filled(20, 0), filled(30, 0)]).scratchBytes).toBe(60);
    expect(new Gather([filled(10, 0), filled(200_000, 0)]).scratchBytes).toBe(SCRATCH_BYTES);
  });

  test("a scratch buffer of the size that was asked for is enough, however little the host takes", () => {
    const sizes = [3, 0, 70, 16_384, 5, 20_000, 900, 1];
    const chunks = sizes.map((sizeBytes, index) => filled(sizeBytes, index * 7));
    const whole = chunks.flatMap((chunk) => [...chunk]);
    for (const takesBytes of [1_000_000, 16_000, 777, 61]) {
      expect(sentBy(chunks, takesBytes)).toEqual(whole);
    }
  });
});
