// When the cleaner runs, and that its code is loaded only once some compacted partition may be dirty enough.
// Invariant: it looks on its own, beside retention and the giving up of journal files, and never ends the broker.
// Kafka: LogCleaner.CleanerThread.

import type { Cleaner, CleanerOptions, CleanerSettings } from "../log/cleaner.ts";
import type { CleaningFigures } from "../log/cleaner_figures.ts";
import type { PartitionLog } from "../log/partition_log.ts";

/** What holds where nobody says otherwise: the defaults of log.cleaner.*. */
export const CLEANER_DEFAULTS: CleanerSettings & { readonly backoffMs: number } = {
  isEnabled: true,
  backoffMs: 15_000,
  keysBytesMax: 128 * 1024 * 1024,
  loadFactor: 0.9,
  bytesPerSecond: Number.POSITIVE_INFINITY,
};

/** In one segment of fewer bytes there is nothing to clean, unless records may only wait so long. */
const SMALL_BYTES = 256 * 1024;

export interface LazyCleanerOptions extends CleanerOptions {
  /** How long to wait when there was nothing to clean. */
  readonly backoffMs: () => number;
}

let code: typeof import("../log/cleaner.ts") | null = null;

/** Loads the code ahead: where a host's loader may not come between two turns (the simulator). */
export async function preloadCleaner(): Promise<void> {
  code ??= await import("../log/cleaner.ts");
}

export class LazyCleaner {
  readonly #options: LazyCleanerOptions;
  #cleaner: Cleaner | null = null;
  #running: Promise<number> | null = null;
  /** When there was last nothing to clean. */
  #idleSinceMs: number;
  #isClosed = false;

  constructor(options: LazyCleanerOptions) {
    this.#options = options;
    this.#idleSinceMs = options.runtime.clock.monotonicMs();
  }

  /** Called now and then: begins to clean where that is due, and does not wait for it. */
  look(): void {
    const { runtime, backoffMs } = this.#options;
    if (this.#running !== null || this.#isClosed) return;
    if (runtime.clock.monotonicMs() < this.#idleSinceMs + backoffMs()) return;
    runtime.scheduler.spawn("log_cleaner", async () => {
      await this.run();
    });
  }

  /** Cleans what is dirty enough, now. Returns how many logs were cleaned; never rejects. */
  run(): Promise<number> {
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Whether a log's turn comes in the run under way. */
  isToBeCleaned(log: PartitionLog): boolean {
    return this.#cleaner?.waiting.has(log) ?? false;
  }

  /** What is known of logs; loads the code, as a cleaning does. */
  async figuresOf(logs: Iterable<PartitionLog>): Promise<CleaningFigures[]> {
    if (code === null) await preloadCleaner();
    this.#cleaner ??= new code!.Cleaner(this.#options);
    return [...logs].map((log) => this.#cleaner!.figuresOf(log));
  }

  /** Resolves when the run under way, if any, has ended. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cleaner?.stop();
    await this.#running;
  }

  async #run(): Promise<number> {
    const { runtime } = this.#options;
    let cleaned = 0;
    try {
      if (this.#mayBeDue()) {
        if (code === null) await preloadCleaner();
        this.#cleaner ??= new code!.Cleaner(this.#options);
        if (this.#isClosed) return 0;
        cleaned = await this.#cleaner.run();
      }
    } catch (error) {
      runtime.log.error("log_cleaner_failed", { error: String(error) });
    }
    if (cleaned === 0) this.#idleSinceMs = runtime.clock.monotonicMs();
    return cleaned;
  }

  /** Without the code: the cleaner itself looks closer. */
  #mayBeDue(): boolean {
    const { logs, runtime, settings } = this.#options;
    if (!settings().isEnabled) return false;
    const wallMs = runtime.clock.wallMs();
    for (const { segments, sizeBytes, topic } of logs()) {
      if (segments.length > 1 || sizeBytes > SMALL_BYTES) return true;
      if (sizeBytes > 0 && topic.settings.maxCompactionLagMs < wallMs) return true;
    }
    return false;
  }
}
