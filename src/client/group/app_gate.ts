// One gate between the application, which has records in hand, and rebalances, which take partitions away.
// Invariant: no step of a rebalance runs while the application has something in hand, and nothing is handed out
// while one runs or waits.
// Kafka: none; there both are poll().

import type { ClientRuntime } from "../waiting.ts";

export class AppGate {
  readonly #runtime: ClientRuntime;
  /** When the application was given what it has in hand; null when it waits for us. */
  #busySinceMs: number | null = null;
  /** Steps that wait or run. */
  #steps = 0;
  readonly #waiting: (() => void)[] = [];
  readonly #opened: (() => void)[] = [];
  #last: Promise<void> = Promise.resolve();
  #isEnding = false;

  constructor(runtime: ClientRuntime) {
    this.#runtime = runtime;
  }

  /** Whether nothing may be handed out now. */
  get isShut(): boolean {
    return this.#steps > 0;
  }

  /** How long the application has had what it has in hand, in ms; 0 when it waits for us. */
  get busyMs(): number {
    const since = this.#busySinceMs;
    return since === null ? 0 : this.#runtime.clock.monotonicMs() - since;
  }

  /** Something is handed to the application. */
  hand(): void {
    this.#busySinceMs = this.#runtime.clock.monotonicMs();
  }

  /** The application is done with it. */
  takeBack(): void {
    this.#busySinceMs = null;
    if (this.#steps > 0) for (const go of this.#waiting.splice(0)) go();
  }

  /** Nobody waits for the application any more. */
  end(): void {
    this.#isEnding = true;
    for (const go of this.#waiting.splice(0)) go();
  }

  /** Resolves when no step waits or runs. */
  async opened(): Promise<void> {
    while (this.#steps > 0) await new Promise<void>((resolve) => this.#opened.push(resolve));
  }

  /** Runs `step` while the application has nothing in hand; steps run one after another. */
  step<T>(step: () => Promise<T>): Promise<T> {
    this.#steps++;
    const run = this.#last
      .then(() => this.#idle())
      .then(step)
      .finally(() => {
        this.#steps--;
        if (this.#steps === 0) for (const go of this.#opened.splice(0)) go();
      });
    this.#last = run.then(
      () => {},
      () => {},
    );
    return run;
  }

  #idle(): Promise<void> {
    if (this.#busySinceMs === null || this.#isEnding) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
