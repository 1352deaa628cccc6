// Memory is given back only when the program has little to do, and when there is enough of it to be worth a stop.

import { describe, expect, test } from "bun:test";
import { giveBackWhenQuiet } from "../../src/runtime/quiet_memory.ts";

const MB = 1024 * 1024;

interface Second {
  readonly cpuMs: number;
  readonly residentMb: number;
}

/** Lives these seconds; giving back leaves `leftMb`. @returns the seconds in which memory was given back */
function givenIn(seconds: readonly Second[], leftMb = 55): number[] {
  const given: number[] = [];
  let look = (): void => {};
  let at = 0;
  let usedMs = 0;
  let residentMb = 58;
  giveBackWhenQuiet({
    host: {
      usedCpuMs: () => usedMs,
      residentBytes: () => residentMb * MB,
      giveBack: () => {
        given.push(at);
        residentMb = leftMb;
      },
    },
    repeat: (wanted) => {
      look = wanted;
    },
  });
  for (const second of seconds) {
    at++;
    usedMs += second.cpuMs;
    residentMb = second.residentMb;
    look();
  }
  return given;
}

const during = (count: number, cpuMs: number, residentMb: number): Second[] =>
  Array.from({ length: count }, () => ({ cpuMs, residentMb }));
const STARTED = [...during(2, 80, 58), ...during(1, 5, 58)];

describe("giveBackWhenQuiet()", () => {
  test("waits after the start until the program is quiet, and gives back once", () => {
    expect(givenIn([...during(2, 80, 58), ...during(200, 0, 58)])).toEqual([3]);
  });

  test("takes light load in the first seconds for the start", () => {
    expect(givenIn([...during(10, 100, 90), ...during(5, 100, 60)])).toEqual([]);
  });

  test("gives back after a burst, under light load too, and never while it is busy", () => {
    expect(givenIn([...STARTED, ...during(5, 600, 110), ...during(5, 180, 110)])).toEqual([3, 10]);
    expect(givenIn([...STARTED, ...during(300, 260, 110)])).toEqual([3]);
    const breath = during(1, 100, 110);
    expect(givenIn([...STARTED, ...breath, ...during(5, 600, 110), ...breath])).toEqual([3]);
  });

  test("under light load only beyond the most that there has been, and after a minute", () => {
    const burst = (residentMb: number) => during(70, 180, residentMb);
    expect(givenIn([...STARTED, ...burst(110), ...burst(125)])).toEqual([3, 5]);
    expect(givenIn([...STARTED, ...burst(110), ...burst(140)])).toEqual([3, 5, 74]);
    expect(givenIn([...STARTED, ...during(10, 180, 110), ...during(100, 180, 140)])).toEqual([
      3, 5, 65,
    ]);
  });

  test("when quiet, beyond what was left the last time", () => {
    expect(givenIn([...STARTED, ...during(2, 5, 110), ...during(70, 5, 80)])).toEqual([3, 5, 65]);
    expect(givenIn([...STARTED, ...during(300, 5, 66)])).toEqual([3]);
  });

  test("leaves a large program alone: the stop would be felt", () => {
    expect(givenIn([...STARTED, ...during(100, 5, 257)])).toEqual([3]);
  });

  test("does nothing where the host offers nothing", () => {
    let asked = 0;
    giveBackWhenQuiet({ host: null, repeat: () => asked++ });
    expect(asked).toBe(0);
  });
});
