// Network over Deno's own sockets: two to three times its node:net. Reading is a pull by itself.
// Invariant: each read lands in a part of a slab that no other read uses, so chunks may be kept until recycled.
// A kept chunk keeps its slab, whose size follows what the connection sends: 1 to 256 KiB.

import type {
  ConnectAddress,
  Connection,
  ListenAddress,
  Listener,
  Network,
} from "../contracts/runtime.ts";
import type { DenoConn, DenoHost, DenoListener } from "./deno_host.ts";
import { Gather, SCRATCH_BYTES } from "./gather.ts";
import {
  closedError,
  connectError,
  connectTimeout,
  hostAddress,
  listenError,
  plainHost,
  resetError,
} from "./network_errors.ts";

/** A connection that waits has a slab lent to the host: thousands of idle ones are to be cheap. */
const READ_BYTES_MIN = 1024;
const READ_BYTES_MAX = 256 * 1024;
/** How long a connection that we closed may take to see the peer's end. */
const LINGER_MS = 2_000;
const ACCEPT_RETRY_MS = 50;
const BACKLOG = 4096;

/** Scratch buffers for gathered sends: one is lent to each send that gathers, while there are any. */
const scratches: Uint8Array[] = [];
const SCRATCHES_MAX = 16;
const NO_SCRATCH = new Uint8Array(0);

class DenoConnection implements Connection {
  readonly remote: { readonly host: string; readonly port: number };
  readonly tls = null;
  readonly #conn: DenoConn;
  #slab = new Uint8Array(0);
  #slabUsed = 0;
  #readBytes = READ_BYTES_MIN;
  #resolve: ((chunk: Uint8Array | null) => void) | null = null;
  #reject: ((error: Error) => void) | null = null;
  /** A host read is under way. */
  #reading = false;
  #writing = false;
  #ended = false;
  #closed = false;
  #hostClosed = false;
  #failure: Error | null = null;

  constructor(conn: DenoConn) {
    this.#conn = conn;
    const { hostname, port } = conn.remoteAddr;
    this.remote = { host: plainHost(hostname), port };
  }

  read(): Promise<Uint8Array | null> {
    if (this.#closed || this.#ended) return Promise.resolve(null);
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#reading) return Promise.reject(new Error("Cannot read: a read is pending"));
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#pull();
    });
  }

  /** The newest chunk's place in the slab serves the next read. */
  recycle(chunk: Uint8Array): void {
    const isNewest =
      chunk.buffer === this.#slab.buffer && chunk.byteOffset + chunk.byteLength === this.#slabUsed;
    if (isNewest && !this.#reading) this.#slabUsed = chunk.byteOffset;
  }

  async write(chunks: readonly Uint8Array[]): Promise<void> {
    if (this.#writing) throw new Error("Cannot write: a write is pending");
    if (this.#closed) throw closedError(this.remote.host, this.remote.port);
    if (this.#failure !== null) throw this.#failure;
    this.#writing = true;
    const sending = new Gather(chunks);
    const scratch = scratchFor(sending);
    try {
      while (!sending.done) sending.advance(await this.#conn.write(sending.next(scratch)));
    } catch (error) {
      if (this.#closed) throw closedError(this.remote.host, this.remote.port);
      throw this.#broken(error);
    } finally {
      if (scratch.byteLength === SCRATCH_BYTES && scratches.length < SCRATCHES_MAX) {
        scratches.push(scratch);
      }
      this.#writing = false;
      if (this.#closed) this.#finish();
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const resolve = this.#resolve;
    this.#resolve = null;
    this.#reject = null;
    resolve?.(null);
    if (this.#writing) this.#closeHost();
    else this.#finish();
  }

  /** Reads once into the slab and settles the pending read. */
  #pull(): void {
    // What is left of a slab serves further reads while it is a fair part of one. One from busier times goes.
    const isTooLarge = this.#slab.byteLength > this.#readBytes * 4;
    if (isTooLarge || this.#slab.byteLength - this.#slabUsed <= this.#readBytes >> 2) {
      this.#slab = new Uint8Array(this.#readBytes);
      this.#slabUsed = 0;
    }
    const target = this.#slab.subarray(this.#slabUsed, this.#slabUsed + this.#readBytes);
    this.#reading = true;
    this.#conn.read(target).then(
      (sizeBytes) => this.#filled(target, sizeBytes),
      (error: unknown) => {
        this.#reading = false;
        if (this.#closed) return;
        const reject = this.#reject;
        this.#resolve = null;
        this.#reject = null;
        reject?.(this.#broken(error));
      },
    );
  }

  #filled(target: Uint8Array, sizeBytes: number | null): void {
    this.#reading = false;
    if (sizeBytes === null) this.#ended = true;
    if (this.#closed) {
      // Lingering: what still comes in is dropped until the peer's end.
      if (sizeBytes === null) this.#closeHost();
      else if (!this.#hostClosed) this.#pull();
      return;
    }
    const resolve = this.#resolve!;
    this.#resolve = null;
    this.#reject = null;
    if (sizeBytes === null) {
      resolve(null);
      return;
    }
    this.#slabUsed += sizeBytes;
    if (sizeBytes === target.byteLength && sizeBytes >= this.#readBytes >> 1) {
      this.#readBytes = Math.min(READ_BYTES_MAX, this.#readBytes * 4);
    } else if (sizeBytes < this.#readBytes >> 2) {
      this.#readBytes = Math.max(READ_BYTES_MIN, this.#readBytes >> 1);
    }
    resolve(target.subarray(0, sizeBytes));
  }

  #broken(error: unknown): Error {
    this.#failure ??= resetError(this.remote.host, this.remote.port, error);
    return this.#failure;
  }

  /** Sends our end, then waits for the peer's: an immediate close could destroy the last bytes. */
  #finish(): void {
    if (this.#failure !== null || this.#ended) {
      this.#closeHost();
      return;
    }
    const timer = setTimeout(() => this.#closeHost(), LINGER_MS);
    Deno.unrefTimer(timer as unknown as number);
    this.#conn.closeWrite().then(
      () => {
        if (!this.#reading && !this.#hostClosed) this.#pull();
      },
      () => this.#closeHost(), // The peer is gone already: there is nobody to wait for.
    );
  }

  #closeHost(): void {
    if (this.#hostClosed) return;
    this.#hostClosed = true;
    this.#conn.close();
  }
}

/** Of its size when the kept ones are all lent: a thousand short sends at once are not to take 64 KiB each. */
function scratchFor(sending: Gather): Uint8Array {
  const { scratchBytes } = sending;
  if (scratchBytes === 0) return NO_SCRATCH;
  return scratches.pop() ?? new Uint8Array(scratchBytes);
}

declare const Deno: DenoHost;

export function denoNetwork(): Network {
  return {
    listen,
    connect,
    serveHttp: async (at, handle) => (await import("./deno_http.ts")).serveHttp(at, handle),
  };
}

async function listen(
  at: ListenAddress,
  accept: (connection: Connection) => void,
): Promise<Listener> {
  let server: DenoListener;
  try {
    server = Deno.listen({ hostname: hostAddress(at.host), port: at.port, tcpBacklog: BACKLOG });
  } catch (error) {
    throw listenError(at.host, at.port, error);
  }
  let stopped = false;
  const loop = acceptLoop(server, accept, () => stopped);
  return {
    host: at.host,
    port: server.addr.port,
    close: async () => {
      if (!stopped) {
        stopped = true;
        server.close();
      }
      await loop;
    },
  };
}

async function acceptLoop(
  server: DenoListener,
  accept: (connection: Connection) => void,
  isStopped: () => boolean,
): Promise<void> {
  while (!isStopped()) {
    let conn: DenoConn;
    try {
      conn = await server.accept();
    } catch {
      // Closed by us; or the peer left in between, or we are out of file handles for a moment.
      if (isStopped()) return;
      await new Promise((resolve) => setTimeout(resolve, ACCEPT_RETRY_MS));
      continue;
    }
    conn.setNoDelay(true);
    accept(new DenoConnection(conn));
  }
}

async function connect(to: ConnectAddress): Promise<Connection> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), to.timeoutMs);
  try {
    const conn = await Deno.connect({
      hostname: hostAddress(to.host),
      port: to.port,
      signal: abort.signal,
    });
    conn.setNoDelay(true);
    return new DenoConnection(conn);
  } catch (error) {
    if (abort.signal.aborted) throw connectTimeout(to.host, to.port, to.timeoutMs);
    throw connectError(to.host, to.port, error);
  } finally {
    clearTimeout(timer);
  }
}
