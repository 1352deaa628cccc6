// One sync at a time for one file or folder, shared by all who wait.
// Invariant: a sync covers the changes marked before it began, never those after; once a sync has
// failed, every later one fails too, because the kernel forgets a failed page and would then report
// success for bytes that are gone.

const DONE: Promise<void> = Promise.resolve();

/** Counts changes and runs syncs so that each change is followed by one. */
export class SyncGate {
  readonly #run: () => Promise<void>;
  /** From 1: what was there before us counts as a change, since nobody knows whether it was synced. */
  #changes = 1;
  #synced = 0;
  #running: Promise<void> | null = null;
  #runningCovers = 0;
  #next: Promise<void> | null = null;
  #failure: { readonly error: unknown } | null = null;

  /** @param run One sync; what it rejects with is what everybody gets from then on. */
  constructor(run: () => Promise<void>) {
    this.#run = run;
  }

  /** True when a sync has succeeded since the last change. */
  get isClean(): boolean {
    return this.#synced >= this.#changes;
  }

  /** Something has changed. */
  mark(): void {
    this.#changes++;
  }

  /** Takes a name or bytes as synced by other means, at birth only. */
  startClean(): void {
    this.#synced = this.#changes;
  }

  /** Resolves once a sync that began after the last change has succeeded. */
  sync(): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure.error);
    if (this.#synced >= this.#changes) return DONE;
    if (this.#running === null) return this.#start();
    if (this.#runningCovers >= this.#changes) return this.#running;
    this.#next ??= this.#running.then(() => {
      this.#next = null;
      return this.#start();
    });
    return this.#next;
  }

  /** Resolves, whatever came of it, when no sync runs or waits. */
  async settled(): Promise<void> {
    while (this.#running !== null) {
      try {
        await (this.#next ?? this.#running);
      } catch {
        // Whoever asked for the sync has the error.
        return;
      }
    }
  }

  #start(): Promise<void> {
    const covers = this.#changes;
    this.#runningCovers = covers;
    const running = this.#run().then(
      () => {
        this.#running = null;
        this.#synced = covers;
      },
      (error: unknown) => {
        this.#running = null;
        this.#failure = { error };
        throw error;
      },
    );
    this.#running = running;
    return running;
  }
}
