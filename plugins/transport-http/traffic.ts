// What is going on at a transport, counted: requests, event streams, bytes that arrive, bytes that wait to be read.
// Invariant: every count that went up comes down once, whichever way the request ends.

import type { Limits } from "./options.ts";

/** What one more fetch may still answer with when the memory for answers is used up. */
const SCARCE_BYTES = 64 * 1024;
/** A piece may be one large record, so small pieces alone bound nothing: beyond the double and this, none are made. */
const EXCESS_BYTES = 16 * 1024 * 1024;
/** Answers that are read and made at one time. */
const READINGS_MAX = 4;

export class Traffic {
  /** Fires when the transport stops: whatever is parked ends. */
  readonly stopSignal: AbortSignal;
  readonly #limits: Limits;
  readonly #stopping = new AbortController();
  /** What to do to answers that are still on their way when the grace is over. */
  readonly #cuts = new Set<() => void>();
  #requestCount = 0;
  #streamCount = 0;
  #arrivingBytes = 0;
  #replyBytes = 0;
  #onQuiet: (() => void) | null = null;
  #readingCount = 0;
  readonly #readers: (() => void)[] = [];
  #unsaidCount = 0;
  #saidAtMs = Number.NEGATIVE_INFINITY;

  constructor(limits: Limits) {
    this.#limits = limits;
    this.stopSignal = this.#stopping.signal;
  }

  get isStopping(): boolean {
    return this.stopSignal.aborted;
  }

  get requestCount(): number {
    return this.#requestCount;
  }

  get streamCount(): number {
    return this.#streamCount;
  }

  get arrivingBytes(): number {
    return this.#arrivingBytes;
  }

  get replyBytes(): number {
    return this.#replyBytes;
  }

  tryBegin(): boolean {
    if (this.#requestCount >= this.#limits.requestsMax) return false;
    this.#requestCount++;
    return true;
  }

  end(): void {
    this.#requestCount--;
    this.#wake();
  }

  tryOpenStream(): boolean {
    if (this.#streamCount >= this.#limits.streamsMax) return false;
    this.#streamCount++;
    return true;
  }

  closeStream(): void {
    this.#streamCount--;
    this.#wake();
  }

  /** Counts bytes of a body that has not come whole yet. */
  tryArrive(sizeBytes: number): boolean {
    if (this.#arrivingBytes + sizeBytes > this.#limits.arrivalBytesMax) return false;
    this.#arrivingBytes += sizeBytes;
    return true;
  }

  arrived(sizeBytes: number): void {
    this.#arrivingBytes -= sizeBytes;
  }

  /** Counts a refused token. @returns how many were not told of before it; null when this one is not to be, either */
  refusedLogin(nowMs: number, everyMs: number): number | null {
    if (nowMs - this.#saidAtMs < everyMs) {
      this.#unsaidCount++;
      return null;
    }
    const unsaidCount = this.#unsaidCount;
    this.#unsaidCount = 0;
    this.#saidAtMs = nowMs;
    return unsaidCount;
  }

  holdReply(sizeBytes: number): void {
    this.#replyBytes += sizeBytes;
  }

  giveReply(sizeBytes: number): void {
    this.#replyBytes -= sizeBytes;
  }

  /** True when so many bytes wait for their readers that nobody is given more. */
  get isReplyFull(): boolean {
    return this.#replyBytes >= 2 * this.#limits.replyBytesMax + EXCESS_BYTES;
  }

  /**
   * Resolves when records may be read: a few at a time, first come first served, since what they are made of weighs
   * several times as much as the answer. @returns ends that; call it once
   */
  async reading(): Promise<() => void> {
    if (this.#readingCount < READINGS_MAX) this.#readingCount++;
    else await new Promise<void>((begin) => this.#readers.push(begin));
    return () => {
      const next = this.#readers.shift();
      if (next === undefined) this.#readingCount--;
      else next();
    };
  }

  /** Most bytes of records for one more fetch, of the `bytesMax` it asks for. */
  fetchBytesMax(bytesMax: number): number {
    const { fetchBytesMax, replyBytesMax } = this.#limits;
    return Math.min(
      bytesMax,
      fetchBytesMax,
      Math.max(SCARCE_BYTES, replyBytesMax - this.#replyBytes),
    );
  }

  /** Has `cut` called if the transport gives up on its answers. @returns forgets it */
  onAbandoned(cut: () => void): () => void {
    this.#cuts.add(cut);
    return () => this.#cuts.delete(cut);
  }

  /** Ends what is parked. Resolves when nothing is going on any more. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    if (this.#requestCount + this.#streamCount === 0) return;
    await new Promise<void>((resolve) => {
      this.#onQuiet = resolve;
    });
  }

  /** Cuts the answers that nobody reads to their end. */
  abandon(): void {
    for (const cut of [...this.#cuts]) cut();
  }

  #wake(): void {
    if (this.#requestCount + this.#streamCount === 0) this.#onQuiet?.();
  }
}
