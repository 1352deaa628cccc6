// A wait that ends at a time, or when somebody rings.
// Invariant: a ring is never missed: one that comes while nobody waits ends the next wait at once.

import type { Timer } from "../../contracts/runtime.ts";
import type { ClientRuntime } from "../waiting.ts";

export class Wake {
  readonly #runtime: ClientRuntime;
  readonly #label: string;
  #isRung = false;
  #end: (() => void) | null = null;

  constructor(runtime: ClientRuntime, label: string) {
    this.#runtime = runtime;
    this.#label = label;
  }

  /** Ends the wait, or the next one. */
  ring(): void {
    this.#isRung = true;
    this.#end?.();
  }

  /** Forgets a ring that nobody waited for. */
  reset(): void {
    this.#isRung = false;
  }

  /** Waits for a ring, at most `timeoutMs`. @returns whether it rang */
  async wait(timeoutMs: number): Promise<boolean> {
    if (!this.#isRung) {
      await new Promise<void>((resolve) => {
        let timer: Timer | null = null;
        this.#end = () => {
          timer?.cancel();
          resolve();
        };
        timer = this.#runtime.scheduler.after(timeoutMs, this.#label, resolve);
      });
      this.#end = null;
    }
    const wasRung = this.#isRung;
    this.#isRung = false;
    return wasRung;
  }
}
