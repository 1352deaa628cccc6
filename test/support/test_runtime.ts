// A Runtime for tests of the core: a clock and timers that the test turns, a seeded random source,
// log lines kept in a list, and no network.

import { SeededRandom } from "../../src/base/prng.ts";
import type { LogFields, Logger, Runtime, Timer } from "../../src/contracts/runtime.ts";
import { hostCompression } from "../../src/runtime/compression.ts";

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly event: string;
  readonly fields: LogFields;
}

export class TestRuntime {
  wallMs = 1_700_000_000_000;
  monotonicMs = 1_000;
  readonly lines: LogLine[] = [];
  readonly failures: unknown[] = [];
  #timers = new Set<{ dueMs: number; task: () => void }>();
  readonly runtime: Runtime;

  constructor(options: { readonly crc32c?: Runtime["crc32c"] } = {}) {
    const logger = (base: LogFields): Logger => {
      const say =
        (level: LogLine["level"]) =>
        (event: string, fields: LogFields = {}) => {
          this.lines.push({ level, event, fields: { ...base, ...fields } });
        };
      return {
        debug: say("debug"),
        info: say("info"),
        warn: say("warn"),
        error: say("error"),
        child: (fields) => logger({ ...base, ...fields }),
      };
    };
    this.runtime = {
      clock: { wallMs: () => this.wallMs, monotonicMs: () => this.monotonicMs },
      scheduler: {
        after: (delayMs, _label, task): Timer => {
          const timer = { dueMs: this.monotonicMs + Math.max(delayMs, 0), task };
          this.#timers.add(timer);
          return { cancel: () => void this.#timers.delete(timer) };
        },
        spawn: (_label, task) => {
          task().catch((error) => this.failures.push(error));
        },
        yieldNow: () => new Promise((resolve) => setImmediate(resolve)),
      },
      random: SeededRandom.of(1),
      network: {
        listen: () => Promise.reject(new Error("no network in this test")),
        connect: () => Promise.reject(new Error("no network in this test")),
      },
      crypto: {
        digest: () => new Uint8Array(32),
        hmac: () => new Uint8Array(32),
        pbkdf2: () => new Uint8Array(32),
        timingSafeEqual: () => false,
      },
      compression: hostCompression,
      ...(options.crc32c === undefined ? {} : { crc32c: options.crc32c }),
      log: logger({}),
    };
  }

  /** Turns both clocks, calls what has become due in order, and lets its promises run. */
  async advance(byMs: number): Promise<void> {
    const endMs = this.monotonicMs + byMs;
    for (;;) {
      const due = [...this.#timers]
        .filter((timer) => timer.dueMs <= endMs)
        .sort((a, b) => a.dueMs - b.dueMs)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.wallMs += Math.max(due.dueMs - this.monotonicMs, 0);
      this.monotonicMs = Math.max(this.monotonicMs, due.dueMs);
      due.task();
      await settle();
    }
    this.wallMs += endMs - this.monotonicMs;
    this.monotonicMs = endMs;
    await settle();
  }

  events(event: string): LogLine[] {
    return this.lines.filter((line) => line.event === event);
  }
}

/** Lets everything that only waits for promises and in-memory storage come to rest. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}
