// How far long work has come, on standard error, while somebody looks; and one line when it is done.
// Invariant: nothing is written where standard error is no terminal, apart from the last line.

import type { CliHost } from "./host.ts";
import { counted, sizeText } from "./table.ts";

const REFRESH_MS = 250;

export class Progress {
  readonly #host: CliHost;
  readonly #totalBytes: number | null;
  readonly #startMs = performance.now();
  #shownMs = performance.now();
  #isShown = false;
  records = 0;
  bytes = 0;

  /** @param totalBytes of the input, where known */
  constructor(host: CliHost, totalBytes: number | null) {
    this.#host = host;
    this.#totalBytes = totalBytes;
  }

  /** Call it every now and then, not for every record: it looks at the clock. */
  update(doneBytes = this.bytes): void {
    if (!this.#host.isErrorTerminal) return;
    const nowMs = performance.now();
    if (nowMs - this.#shownMs < REFRESH_MS) return;
    this.#shownMs = nowMs;
    this.#isShown = true;
    const share =
      this.#totalBytes === null || this.#totalBytes === 0
        ? ""
        : `  ${Math.min(100, Math.floor((100 * doneBytes) / this.#totalBytes))} %`;
    this.#host.tell(`\r\x1b[K${this.#text(nowMs)}${share}`);
  }

  /** Takes the running line away. */
  clear(): void {
    if (this.#isShown) this.#host.tell("\r\x1b[K");
    this.#isShown = false;
  }

  get seconds(): number {
    return (performance.now() - this.#startMs) / 1000;
  }

  /** "1,000 records, 100.0 kB, in 0.10 s (1.0 MB/s)". */
  summary(): string {
    return this.#text(performance.now());
  }

  #text(nowMs: number): string {
    const seconds = Math.max((nowMs - this.#startMs) / 1000, 0.001);
    const rate = `${sizeText(this.bytes / seconds)}/s`;
    return `${counted(this.records, "record")}, ${sizeText(this.bytes)} in ${seconds.toFixed(2)} s (${rate})`;
  }
}
