// One HTTP/1.1 connection to an etcd member: a request at a time, its answer in pieces as they come.
// Invariant: nothing is held that nobody asked for: the next bytes are read when the piece before was taken,
// so that a slow watcher holds etcd back. A connection at rest that hears anything, or ends, is not used again.

import { NetworkError } from "../../src/contracts/errors.ts";
import type { Connection } from "../../src/contracts/runtime.ts";

/** Of the head of an answer, and of the lines between chunks. */
const HEAD_BYTES_MAX = 16 * 1024;
const EMPTY = new Uint8Array(0);
const LF = 10;
const ascii = new TextDecoder();

export class HttpConnection {
  readonly #connection: Connection;
  #unread: Uint8Array = EMPTY;
  #reading: Promise<Uint8Array | null> | null = null;
  #isResting = false;
  #isStale = false;
  #canBeKept = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Sends a request whose body is whole. */
  async send(head: string, body: Uint8Array): Promise<void> {
    this.#canBeKept = false;
    await this.#connection.write([new TextEncoder().encode(head), body]);
  }

  /**
   * The status of the answer, and its body in pieces: to be taken to the end before the next request.
   * @throws {NetworkError} "reset" for an end before the end, or what is no HTTP
   */
  async receive(): Promise<{ status: number; body: AsyncGenerator<Uint8Array> }> {
    for (;;) {
      const statusLine = await this.#line();
      const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(statusLine)?.[1] ?? Number.NaN);
      if (Number.isNaN(status)) throw broken("the answer is no HTTP/1.1");
      const fields = await this.#fields();
      if (status >= 100 && status < 200) continue;
      const isKept = statusLine.startsWith("HTTP/1.1") && fields.get("connection") !== "close";
      return { status, body: this.#body(fields, isKept) };
    }
  }

  /** @returns Whether it can be used again: the answer was taken whole, and the peer keeps the connection. */
  rest(): boolean {
    if (!this.#canBeKept || this.#unread.length > 0) return false;
    this.#isResting = true;
    const noted = () => {
      if (this.#isResting) this.#isStale = true;
    };
    this.#reading = this.#connection.read();
    this.#reading.then(noted, noted);
    return true;
  }

  /** @returns Whether nothing was heard meanwhile. */
  wake(): boolean {
    this.#isResting = false;
    return !this.#isStale;
  }

  close(): void {
    this.#connection.close();
  }

  async *#body(fields: Map<string, string>, isKept: boolean): AsyncGenerator<Uint8Array> {
    if (fields.get("transfer-encoding")?.toLowerCase() === "chunked") {
      for (;;) {
        const size = /^([0-9a-fA-F]{1,8})(?:[ ;]|$)/.exec(await this.#line())?.[1];
        if (size === undefined) throw broken("a chunk has no size");
        const sizeBytes = Number.parseInt(size, 16);
        if (sizeBytes === 0) break;
        yield* this.#pieces(sizeBytes);
        if ((await this.#line()) !== "") throw broken("a chunk is longer than it says");
      }
      await this.#fields();
      this.#canBeKept = isKept;
      return;
    }
    const length = fields.get("content-length");
    if (length !== undefined) {
      if (!/^\d{1,15}$/.test(length)) throw broken("the answer's length is no number");
      yield* this.#pieces(Number(length));
      this.#canBeKept = isKept;
      return;
    }
    while (this.#unread.length > 0 || (await this.#fill())) {
      const piece = this.#unread;
      this.#unread = EMPTY;
      yield piece;
    }
  }

  async *#pieces(sizeBytes: number): AsyncGenerator<Uint8Array> {
    let leftBytes = sizeBytes;
    while (leftBytes > 0) {
      if (this.#unread.length === 0 && !(await this.#fill())) throw ended();
      const piece = this.#unread.subarray(0, leftBytes);
      this.#unread = this.#unread.subarray(piece.length);
      leftBytes -= piece.length;
      yield piece;
    }
  }

  /** Header or trailer fields, by lower-case name, up to the empty line. */
  async #fields(): Promise<Map<string, string>> {
    const fields = new Map<string, string>();
    for (let sizeBytes = 0; ; ) {
      const line = await this.#line();
      if (line === "") return fields;
      sizeBytes += line.length;
      if (sizeBytes > HEAD_BYTES_MAX) throw broken("the answer's head is too long");
      const colon = line.indexOf(":");
      if (colon < 1) throw broken("the answer's head is no HTTP");
      fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
  }

  async #line(): Promise<string> {
    for (let from = 0; ; ) {
      const end = this.#unread.indexOf(LF, from);
      if (end !== -1) {
        const line = ascii.decode(this.#unread.subarray(0, end));
        this.#unread = this.#unread.subarray(end + 1);
        return line.endsWith("\r") ? line.slice(0, -1) : line;
      }
      from = this.#unread.length;
      if (from > HEAD_BYTES_MAX) throw broken("a line of the answer is too long");
      if (!(await this.#fill())) throw ended();
    }
  }

  /** @returns Whether there was more. */
  async #fill(): Promise<boolean> {
    const reading = this.#reading ?? this.#connection.read();
    this.#reading = null;
    const chunk = await reading;
    if (chunk === null) return false;
    if (this.#unread.length === 0) this.#unread = chunk;
    else {
      const joined = new Uint8Array(this.#unread.length + chunk.length);
      joined.set(this.#unread);
      joined.set(chunk, this.#unread.length);
      this.#unread = joined;
    }
    return true;
  }
}

function broken(what: string): NetworkError {
  return new NetworkError("reset", `Cannot read an answer as ${what}`);
}

function ended(): NetworkError {
  return new NetworkError("reset", "The connection ended before the answer did");
}
