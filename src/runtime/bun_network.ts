// Network over Bun's own sockets: no node:net to load (8 ms of start-up), and a send is one system
// call from the caller's memory.
// Invariant: a write resolves when the kernel has every byte; what it has not taken stays in the
// caller's chunks until the socket drains.

import type {
  ConnectAddress,
  Connection,
  ListenAddress,
  Listener,
  Network,
} from "../contracts/runtime.ts";
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
import { ReadQueue } from "./read_queue.ts";

/** How long a connection that we closed may take to send its last bytes and see the peer's end. */
const LINGER_MS = 2_000;

type HostSocket = Bun.Socket<BunConnection>;

/** One buffer for all connections: `Bun.Socket.write` copies or sends before it returns. */
let scratch: Uint8Array | null = null;
const DONE = Promise.resolve();
/** A smaller chunk is left to the collector. */
const RECYCLED_BYTES_MIN = 8 * 1024;

class BunConnection implements Connection {
  readonly remote: { readonly host: string; readonly port: number };
  readonly tls = null;
  readonly #socket: HostSocket;
  readonly #reads: ReadQueue;
  #sending: Gather | null = null;
  #resolve: (() => void) | null = null;
  #reject: ((error: Error) => void) | null = null;
  #isPeerDone = false;
  #closed = false;
  #failure: Error | null = null;
  #linger: ReturnType<typeof setTimeout> | null = null;

  constructor(socket: HostSocket) {
    this.#socket = socket;
    this.remote = { host: plainHost(socket.remoteAddress), port: socket.remotePort };
    this.#reads = new ReadQueue(socket);
  }

  read(): Promise<Uint8Array | null> {
    return this.#reads.read();
  }

  /** Bun makes a buffer for every receive; freed at once, the next one gets the same warm memory. */
  recycle(chunk: Uint8Array): void {
    // Asking a small one for its buffer would move it out of the collector's own memory first.
    if (chunk.byteLength < RECYCLED_BYTES_MIN) return;
    const { buffer } = chunk;
    if (buffer.byteLength === chunk.byteLength) (buffer as ArrayBuffer).transfer(0);
  }

  write(chunks: readonly Uint8Array[]): Promise<void> {
    if (this.#sending !== null)
      return Promise.reject(new Error("Cannot write: a write is pending"));
    if (this.#closed) return Promise.reject(closedError(this.remote.host, this.remote.port));
    if (this.#failure !== null) return Promise.reject(this.#failure);
    this.#sending = new Gather(chunks);
    this.drained();
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#sending === null) return DONE;
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reads.close();
    this.#settle(closedError(this.remote.host, this.remote.port));
    if (this.#failure !== null) return;
    if (this.#isPeerDone) {
      this.#socket.end();
      return;
    }
    // Our end goes out behind the last bytes; closing at once (which `end` does, too) would make the
    // kernel send a reset, and destroy what is under way, if the peer is still sending.
    this.#socket.shutdown();
    this.#socket.unref();
    this.#linger = setTimeout(() => this.#socket.terminate(), LINGER_MS);
    this.#linger.unref();
  }

  /** Sends on until the kernel takes no more. */
  drained(): void {
    const sending = this.#sending;
    if (sending === null) return;
    scratch ??= new Uint8Array(SCRATCH_BYTES);
    while (!sending.done) {
      const bytes = sending.next(scratch);
      const sentBytes = this.#socket.write(bytes);
      if (sentBytes < 0) {
        this.broken(null);
        return;
      }
      sending.advance(sentBytes);
      if (sentBytes < bytes.byteLength) return;
    }
    this.#settle(null);
  }

  received(chunk: Uint8Array): void {
    this.#reads.push(chunk);
  }

  /** The peer sends no more; we may. */
  ended(): void {
    this.#isPeerDone = true;
    this.#reads.end();
    if (this.#closed) this.#socket.end();
  }

  /** The socket is gone. */
  broken(error: Error | null): void {
    if (this.#linger !== null) clearTimeout(this.#linger);
    if (this.#failure !== null || this.#closed) return;
    this.#failure = resetError(this.remote.host, this.remote.port, error);
    this.#reads.fail(this.#failure);
    this.#settle(this.#failure);
  }

  #settle(error: Error | null): void {
    const resolve = this.#resolve;
    const reject = this.#reject;
    this.#sending = null;
    this.#resolve = null;
    this.#reject = null;
    if (error === null) resolve?.();
    else reject?.(error);
  }
}

const handlers: Bun.SocketHandler<BunConnection, "uint8array"> = {
  binaryType: "uint8array",
  data: (socket, chunk) => socket.data.received(chunk),
  drain: (socket) => socket.data.drained(),
  end: (socket) => socket.data.ended(),
  close: (socket, error) => socket.data?.broken(error ?? null),
  error: (socket, error) => socket.data?.broken(error),
};
/** The types of Bun.listen know no other binaryType than "buffer". */
const handler = handlers as unknown as Bun.SocketHandler<BunConnection>;

export function bunNetwork(): Network {
  return {
    listen,
    connect,
    serveHttp: async (at, handle) => (await import("./bun_http.ts")).serveHttp(at, handle),
  };
}

function listen(at: ListenAddress, accept: (connection: Connection) => void): Promise<Listener> {
  let server: Bun.TCPSocketListener<BunConnection>;
  try {
    server = Bun.listen<BunConnection>({
      hostname: hostAddress(at.host),
      port: at.port,
      allowHalfOpen: true,
      exclusive: true,
      socket: {
        ...handler,
        open(socket) {
          const connection = new BunConnection(socket);
          socket.data = connection;
          socket.setNoDelay(true);
          accept(connection);
        },
      },
    });
  } catch (error) {
    return Promise.reject(listenError(at.host, at.port, error));
  }
  const port = server.port;
  let stopped = false;
  return Promise.resolve({
    host: at.host,
    port,
    close: () => {
      if (!stopped) server.stop(false);
      stopped = true;
      return DONE;
    },
  });
}

function connect(to: ConnectAddress): Promise<Connection> {
  return new Promise((resolve, reject) => {
    let timer: ReturnType<typeof setTimeout> | null = null;
    let late = false;
    const failed = (error: Error) => {
      if (timer !== null) clearTimeout(timer);
      reject(error);
    };
    timer = setTimeout(() => {
      late = true;
      failed(connectTimeout(to.host, to.port, to.timeoutMs));
    }, to.timeoutMs);
    Bun.connect<BunConnection>({
      hostname: hostAddress(to.host),
      port: to.port,
      allowHalfOpen: true,
      socket: {
        ...handler,
        open(socket) {
          if (timer !== null) clearTimeout(timer);
          if (late) {
            socket.terminate();
            return;
          }
          const connection = new BunConnection(socket);
          socket.data = connection;
          socket.setNoDelay(true);
          resolve(connection);
        },
        connectError(_socket, error) {
          failed(connectError(to.host, to.port, error));
        },
      },
    }).catch((error: unknown) => failed(connectError(to.host, to.port, error)));
  });
}
