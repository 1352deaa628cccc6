// One member of etcd: its connections, how it did lately, and the streams that run over it.
// Invariant: an exchange always settles, within its time, as an answer or as lost; and a lost one says whether
// the member may have got it. An endpoint that fails breaks its streams off: they go on at another one.

import { NetworkError } from "../../src/contracts/errors.ts";
import type { ConnectAddress, Runtime } from "../../src/contracts/runtime.ts";
import { HttpConnection } from "./http_connection.ts";

/** Kept open for the next request, of one endpoint. */
const IDLE_CONNECTIONS_MAX = 8;
/** Of one answer, and of one message of a watch. */
export const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
const BACKOFF_MIN_MS = 25;
const BACKOFF_MAX_MS = 500;

export type Exchange =
  | { readonly kind: "answered"; readonly status: number; readonly body: Uint8Array }
  /** `wasSent`: it may have been carried out, or be yet. */
  | { readonly kind: "lost"; readonly wasSent: boolean; readonly why: string }
  | { readonly kind: "too_long" };

/** An answer that does not end by itself. */
export interface Stream {
  readonly endpoint: Endpoint;
  readonly status: number;
  readonly pieces: AsyncGenerator<Uint8Array>;
  /** Ends `pieces`, with an error or without. Idempotent. */
  close(): void;
}

export interface EndpointAddress extends Omit<ConnectAddress, "timeoutMs"> {
  readonly name: string;
}

export class Endpoint {
  readonly name: string;
  readonly #address: EndpointAddress;
  readonly #runtime: Runtime;
  readonly #idle: HttpConnection[] = [];
  readonly #open = new Set<HttpConnection>();
  /** By what each is broken off with. */
  readonly #streams = new Set<Stream>();
  #failures = 0;
  #retryAtMs = Number.NEGATIVE_INFINITY;
  #answeredMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(address: EndpointAddress, runtime: Runtime) {
    this.name = address.name;
    this.#address = address;
    this.#runtime = runtime;
  }

  /** Before that it is left alone, if there is another. */
  get retryAtMs(): number {
    return this.#retryAtMs;
  }

  get answeredMs(): number {
    return this.#answeredMs;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#retryAtMs = Number.NEGATIVE_INFINITY;
    this.#answeredMs = this.#runtime.clock.monotonicMs();
  }

  failed(): void {
    const stepMs = Math.min(BACKOFF_MIN_MS * 2 ** Math.min(this.#failures++, 16), BACKOFF_MAX_MS);
    const jitter = 0.5 + this.#runtime.random.uint32() / 2 ** 32;
    this.#retryAtMs = this.#runtime.clock.monotonicMs() + stepMs * jitter;
    for (const stream of this.#streams) stream.close();
    for (const connection of this.#idle.splice(0)) this.#drop(connection);
  }

  async exchange(
    path: string,
    token: string | null,
    body: Uint8Array,
    timeoutMs: number,
  ): Promise<Exchange> {
    const startMs = this.#runtime.clock.monotonicMs();
    let connection: HttpConnection | null = null;
    let wasSent = false;
    let isLate = false;
    const timer = this.#runtime.scheduler.after(timeoutMs, "etcd answer", () => {
      isLate = true;
      connection?.close();
    });
    try {
      connection = this.#takeIdle() ?? (await this.#connect(timeoutMs));
      if (isLate || this.#isClosed) throw new NetworkError("timeout", "It came too late");
      wasSent = true;
      await connection.send(this.#head(path, token, body), body);
      const { status, body: pieces } = await connection.receive();
      const whole = await gathered(pieces);
      if (whole === null) {
        this.#drop(connection);
        return { kind: "too_long" };
      }
      this.#keep(connection);
      return { kind: "answered", status, body: whole };
    } catch (error) {
      if (connection !== null) this.#drop(connection);
      const passedMs = Math.round(this.#runtime.clock.monotonicMs() - startMs);
      const why = isLate ? `no answer within ${passedMs} ms` : textOf(error);
      return { kind: "lost", wasSent, why: `${this.name}: ${why}` };
    } finally {
      timer.cancel();
    }
  }

  /** @returns Null when no answer has begun in time. */
  async stream(
    path: string,
    token: string | null,
    body: Uint8Array,
    timeoutMs: number,
  ): Promise<Stream | null> {
    let connection: HttpConnection | null = null;
    const timer = this.#runtime.scheduler.after(timeoutMs, "etcd stream", () =>
      connection?.close(),
    );
    try {
      const opened = (connection = await this.#connect(timeoutMs));
      const head = this.#head(path, token, body, "Grpc-Metadata-hasleader: true\r\n");
      await opened.send(head, body);
      const { status, body: pieces } = await opened.receive();
      const stream: Stream = {
        endpoint: this,
        status,
        pieces,
        close: () => {
          this.#streams.delete(stream);
          this.#drop(opened);
        },
      };
      if (this.#isClosed) {
        stream.close();
        return null;
      }
      this.#streams.add(stream);
      return stream;
    } catch {
      // Whatever it was, there is no stream: the caller tries another endpoint, and tells when none is left.
      if (connection !== null) this.#drop(connection);
      return null;
    } finally {
      timer.cancel();
    }
  }

  /** Breaks off whatever is under way. */
  close(): void {
    this.#isClosed = true;
    this.#idle.length = 0;
    for (const connection of this.#open) connection.close();
    this.#open.clear();
    this.#streams.clear();
  }

  #head(path: string, token: string | null, body: Uint8Array, more = ""): string {
    const { host, port } = this.#address;
    const authority = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    const login = token === null ? "" : `Authorization: ${token}\r\n`;
    return `POST ${path} HTTP/1.1\r\nHost: ${authority}\r\nContent-Type: application/json\r\n${login}${more}Content-Length: ${body.length}\r\n\r\n`;
  }

  async #connect(timeoutMs: number): Promise<HttpConnection> {
    const { host, port, tls } = this.#address;
    const to = { host, port, timeoutMs: Math.max(1, timeoutMs), ...(tls && { tls }) };
    const connection = new HttpConnection(await this.#runtime.network.connect(to));
    if (this.#isClosed) {
      connection.close();
      throw new NetworkError("closed", "The store is closed");
    }
    this.#open.add(connection);
    return connection;
  }

  #takeIdle(): HttpConnection | null {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (idle.wake()) return idle;
      this.#drop(idle);
    }
    return null;
  }

  #keep(connection: HttpConnection): void {
    const isWanted = !this.#isClosed && this.#idle.length < IDLE_CONNECTIONS_MAX;
    if (isWanted && connection.rest()) this.#idle.push(connection);
    else this.#drop(connection);
  }

  #drop(connection: HttpConnection): void {
    this.#open.delete(connection);
    connection.close();
  }
}

/** @returns Null when it is longer than an answer may be. */
async function gathered(pieces: AsyncGenerator<Uint8Array>): Promise<Uint8Array | null> {
  const taken: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of pieces) {
    sizeBytes += piece.length;
    if (sizeBytes > ANSWER_BYTES_MAX) return null;
    taken.push(piece);
  }
  const whole = new Uint8Array(sizeBytes);
  let at = 0;
  for (const piece of taken) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
