// Timers and background tasks of the host.
// Invariant: every spawned task is owned: `stop` waits for it, and a rejection reaches `onFailure`
// with the task's label. A timer never fires early, by the clock of this room.

import type { Clock, Scheduler, Timer } from "../contracts/runtime.ts";

/** The longest delay that setTimeout takes; it fires at once beyond it. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

export class HostScheduler implements Scheduler {
  readonly #clock: Clock;
  readonly #onFailure: (label: string, error: unknown) => void;
  readonly #later: (task: () => void) => void;
  readonly #tasks = new Map<Promise<void>, string>();

  /** @param later Calls its task in a later turn of the event loop; edges have no setImmediate. */
  constructor(
    clock: Clock,
    onFailure: (label: string, error: unknown) => void,
    later: (task: () => void) => void = setImmediate,
  ) {
    this.#clock = clock;
    this.#onFailure = onFailure;
    this.#later = later;
  }

  after(delayMs: number, label: string, task: () => void): Timer {
    const dueMs = this.#clock.monotonicMs() + delayMs;
    let cancelled = false;
    const fire = () => {
      if (cancelled) return;
      const restMs = dueMs - this.#clock.monotonicMs();
      if (restMs > 0) {
        handle = setTimeout(fire, Math.min(Math.ceil(restMs), TIMEOUT_MS_MAX));
        return;
      }
      cancelled = true;
      try {
        task();
      } catch (error) {
        this.#onFailure(label, error);
      }
    };
    let handle = setTimeout(fire, Math.min(Math.max(0, Math.ceil(delayMs)), TIMEOUT_MS_MAX));
    return {
      cancel() {
        cancelled = true;
        clearTimeout(handle);
      },
    };
  }

  spawn(label: string, task: () => Promise<void>): void {
    const run = async () => {
      try {
        await task();
      } catch (error) {
        this.#onFailure(label, error);
      }
    };
    const running = run();
    this.#tasks.set(running, label);
    void running.then(() => this.#tasks.delete(running));
  }

  yieldNow(): Promise<void> {
    // Called as nobody's method: workerd's own refuses any other `this`.
    const later = this.#later;
    return new Promise((resolve) => later(resolve));
  }

  /** Waits for the tasks that still run, at most `graceMs`. Returns the labels of those left over. */
  async stop(graceMs: number): Promise<string[]> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const out = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs);
    });
    // Tasks may spawn tasks while they end.
    const idle = (async () => {
      while (this.#tasks.size > 0) await Promise.all(this.#tasks.keys());
    })();
    await Promise.race([idle, out]);
    clearTimeout(timer);
    return [...this.#tasks.values()];
  }
}
