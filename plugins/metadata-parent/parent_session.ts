// A session with the parent: renewed three times in its time to live, until it ends or is lost.
// Invariant: `lost` is told by our own monotonic clock, counted from before the renewal was sent; a timer may be late, so
// that whoever looks is told by the clock.

import type { Session } from "../../src/contracts/metadata_store.ts";
import type { Runtime, Timer } from "../../src/contracts/runtime.ts";

const RENEWALS_IN_TTL = 3;

export interface ParentSessionOptions {
  readonly id: string;
  readonly ttlMs: number;
  /** When it was asked for, by the monotonic clock. */
  readonly sentMs: number;
  readonly runtime: Runtime;
  renew(): Promise<unknown>;
  end(): Promise<unknown>;
  /** Called once, when nothing can be written with it any more. */
  onGone(): void;
}

export class ParentSession implements Session {
  readonly id: string;
  readonly #options: ParentSessionOptions;
  readonly #lost = new AbortController();
  #heldUntilMs: number;
  #renewal: Timer;
  #expiry: Timer;
  #ending: Promise<void> | null = null;

  constructor(options: ParentSessionOptions) {
    this.#options = options;
    this.id = options.id;
    this.#heldUntilMs = options.sentMs + options.ttlMs;
    this.#renewal = this.#renewLater();
    this.#expiry = this.#expireLater();
  }

  get heldUntilMs(): number {
    return this.#lost.signal.aborted ? Number.NEGATIVE_INFINITY : this.#heldUntilMs;
  }

  get lost(): AbortSignal {
    if (this.#nowMs >= this.#heldUntilMs) this.lose("the parent was not reached in time");
    return this.#lost.signal;
  }

  end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  lose(reason: string): void {
    if (this.#lost.signal.aborted) return;
    this.#options.runtime.log.warn("metadata_session_lost", { session: this.id, reason });
    this.#gone();
  }

  async #end(): Promise<void> {
    this.#gone();
    await this.#options.end();
  }

  #gone(): void {
    if (this.#lost.signal.aborted) return;
    this.#renewal.cancel();
    this.#expiry.cancel();
    this.#lost.abort();
    this.#options.onGone();
  }

  get #nowMs(): number {
    return this.#options.runtime.clock.monotonicMs();
  }

  #expireLater(): Timer {
    const leftMs = Math.max(0, this.#heldUntilMs - this.#nowMs);
    return this.#options.runtime.scheduler.after(leftMs, "metadata_session_expiry", () => {
      if (!this.lost.aborted) this.#expiry = this.#expireLater();
    });
  }

  #renewLater(): Timer {
    const { runtime, ttlMs } = this.#options;
    const delayMs = ttlMs / RENEWALS_IN_TTL;
    return runtime.scheduler.after(delayMs, "metadata_session_renewal", () => {
      runtime.scheduler.spawn("metadata_session_renewal", () => this.#renew());
    });
  }

  /** Never rejects. */
  async #renew(): Promise<void> {
    if (this.lost.aborted) return;
    const sentMs = this.#nowMs;
    try {
      await this.#options.renew();
    } catch {
      this.lose("the parent has dropped it");
      return;
    }
    // An answer that comes too late does not bring back what was lost meanwhile.
    if (this.lost.aborted) return;
    this.#heldUntilMs = sentMs + this.#options.ttlMs;
    this.#renewal = this.#renewLater();
  }
}
