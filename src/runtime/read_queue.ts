// The receiving half of a connection on hosts that push bytes at us (Bun.listen, node:net): it turns
// `data` events into reads, and holds the peer back while nobody reads.
// Invariant: bytes come out in order, each once; what waits here passes QUEUED_BYTES_MAX by at most
// one chunk of the host (256 to 512 KiB), as the host is told to pause there.

/** Waiting bytes at which the host is told to stop reading. */
export const QUEUED_BYTES_MAX = 64 * 1024;

/** What the bytes come from: a socket of the host. */
export interface ReadSource {
  pause(): unknown;
  resume(): unknown;
}

export class ReadQueue {
  readonly #source: ReadSource;
  readonly #chunks: Uint8Array[] = [];
  #head = 0;
  #queuedBytes = 0;
  #paused = false;
  #ended = false;
  #failure: Error | null = null;
  #resolve: ((chunk: Uint8Array | null) => void) | null = null;
  #reject: ((error: Error) => void) | null = null;

  constructor(source: ReadSource) {
    this.#source = source;
  }

  /** The next chunk, or null at the end. One read at a time. */
  read(): Promise<Uint8Array | null> {
    if (this.#head < this.#chunks.length) {
      const chunk = this.#chunks[this.#head++]!;
      this.#queuedBytes -= chunk.byteLength;
      if (this.#head === this.#chunks.length) {
        this.#chunks.length = 0;
        this.#head = 0;
        this.#flow();
      }
      return Promise.resolve(chunk);
    }
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#ended) return Promise.resolve(null);
    if (this.#resolve !== null) return Promise.reject(new Error("Cannot read: a read is pending"));
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Bytes from the host; they are ours from here on. */
  push(chunk: Uint8Array): void {
    if (this.#ended || chunk.byteLength === 0) return;
    const resolve = this.#resolve;
    if (resolve !== null) {
      this.#resolve = null;
      this.#reject = null;
      resolve(chunk);
      return;
    }
    this.#chunks.push(chunk);
    this.#queuedBytes += chunk.byteLength;
    if (!this.#paused && this.#queuedBytes >= QUEUED_BYTES_MAX) {
      this.#paused = true;
      this.#source.pause();
    }
  }

  /** The peer sends no more. What waits here can still be read. */
  end(): void {
    this.#ended = true;
    const resolve = this.#resolve;
    this.#resolve = null;
    this.#reject = null;
    resolve?.(null);
  }

  /** The connection broke. What waits here can still be read; after it, reads reject. */
  fail(error: Error): void {
    if (this.#ended || this.#failure !== null) return;
    this.#failure = error;
    const reject = this.#reject;
    this.#resolve = null;
    this.#reject = null;
    reject?.(error);
  }

  /** Drops what waits, ends the pending read with null, and lets the host read on (to discard). */
  close(): void {
    this.#chunks.length = 0;
    this.#head = 0;
    this.#queuedBytes = 0;
    this.#failure = null;
    this.end();
    this.#flow();
  }

  #flow(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#source.resume();
  }
}
