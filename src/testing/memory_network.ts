// A network inside the process: connections are two queues of bytes, and tests break them as they like.
// Invariant: bytes of one direction arrive in order and unchanged; a write has copied its chunks when it
// resolves. Time does not pass here; the simulator's network (simulator/sim_network.ts) is the one with delays.

import { NetworkError } from "../contracts/errors.ts";
import type { Connection, Listener, Network } from "../contracts/runtime.ts";

interface Reader {
  readonly resolve: (chunk: Uint8Array | null) => void;
  readonly reject: (error: unknown) => void;
}

class MemoryConnection implements Connection {
  readonly remote: { readonly host: string; readonly port: number };
  readonly tls = null;
  peer: MemoryConnection | null = null;
  readonly #chunks: Uint8Array[] = [];
  #reader: Reader | null = null;
  #isEnded = false;
  #isClosed = false;
  #failure: NetworkError | null = null;

  constructor(host: string, port: number) {
    this.remote = { host, port };
  }

  read(): Promise<Uint8Array | null> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) return Promise.resolve(chunk);
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#isEnded || this.#isClosed) return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  async write(chunks: readonly Uint8Array[]): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    if (this.#isClosed) throw new NetworkError("closed", "Cannot write: the connection is closed");
    for (const chunk of chunks) this.peer?.arrived(chunk.slice());
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#reader?.resolve(null);
    this.#reader = null;
    this.peer?.ended();
  }

  arrived(chunk: Uint8Array): void {
    if (this.#isClosed || chunk.length === 0) return;
    const reader = this.#reader;
    this.#reader = null;
    if (reader === null) this.#chunks.push(chunk);
    else reader.resolve(chunk);
  }

  ended(): void {
    this.#isEnded = true;
    this.#reader?.resolve(null);
    this.#reader = null;
  }

  /** Both ends see a reset; what was not yet read is lost. */
  reset(): void {
    for (const end of [this as MemoryConnection, this.peer!]) {
      if (end.#isClosed || end.#failure !== null) continue;
      end.#failure = new NetworkError("reset", "The connection was reset");
      end.#chunks.length = 0;
      end.#reader?.reject(end.#failure);
      end.#reader = null;
    }
  }
}

/** Listeners by port; hosts are only names. */
export class MemoryNetwork implements Network {
  readonly #listeners = new Map<number, (connection: Connection) => void>();
  readonly #open = new Map<MemoryConnection, number>();
  #nextPort = 49_152;
  /** Connections that were asked for, refused ones too. */
  connectCount = 0;

  listen(
    at: { readonly host: string; readonly port: number },
    accept: (connection: Connection) => void,
  ): Promise<Listener> {
    const port = at.port === 0 ? this.#nextPort++ : at.port;
    if (this.#listeners.has(port)) {
      return Promise.reject(
        new NetworkError("in_use", `Cannot listen on port ${port}: it is taken`),
      );
    }
    this.#listeners.set(port, accept);
    return Promise.resolve({
      host: at.host,
      port,
      close: async () => {
        this.#listeners.delete(port);
      },
    });
  }

  connect(to: { readonly host: string; readonly port: number }): Promise<Connection> {
    this.connectCount++;
    const accept = this.#listeners.get(to.port);
    if (accept === undefined) {
      const text = `Cannot connect to ${to.host}:${to.port}: nobody listens there`;
      return Promise.reject(new NetworkError("refused", text));
    }
    const ours = new MemoryConnection(to.host, to.port);
    const theirs = new MemoryConnection("client", 0);
    ours.peer = theirs;
    theirs.peer = ours;
    this.#open.set(ours, to.port);
    accept(theirs);
    return Promise.resolve(ours);
  }

  /** Resets every connection to a port. */
  reset(port: number): void {
    for (const [connection, itsPort] of this.#open) {
      if (itsPort !== port) continue;
      this.#open.delete(connection);
      connection.reset();
    }
  }
}
