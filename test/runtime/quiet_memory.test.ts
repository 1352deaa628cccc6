// Memory is given back once, and only when the program has been quiet for a while.

import { describe, expect, test } from "bun:test";
import { giveBackOnceQuiet } from "../../src/runtime/quiet_memory.ts";

/** Looks at these CPU figures in turn, and then at a busy program. */
function looked(cpuMs: readonly number[]): { looks: number; givenAt: number[] } {
  const givenAt: number[] = [];
  let looks = 0;
  let look = (): void => {};
  let isEnded = false;
  giveBackOnceQuiet({
    usedCpuMs: () => cpuMs[looks] ?? 1_000 * looks,
    giveBack: () => givenAt.push(looks),
    repeat: (wanted) => {
      look = wanted;
      return () => {
        isEnded = true;
      };
    },
  });
  while (!isEnded) {
    looks++;
    look();
  }
  return { looks, givenAt };
}

describe("giveBackOnceQuiet()", () => {
  test("waits while the program is busy, gives back once, and looks no more", () => {
    expect(looked([0, 80, 160, 160, 160, 160])).toEqual({ looks: 3, givenAt: [3] });
  });

  test("gives up on a program that is never quiet", () => {
    expect(looked([0])).toEqual({ looks: 10, givenAt: [] });
  });

  test("does nothing where the host offers nothing", () => {
    let asked = 0;
    const usedCpuMs = () => asked++;
    giveBackOnceQuiet({ giveBack: null, usedCpuMs });
    expect(asked).toBe(0);
  });
});
