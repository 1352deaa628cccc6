// A network of connections with latency, random chunk borders, bounded windows, and faults: resets,
// stalls, peers that vanish without a word (half-open), hosts without power.
// Invariant: per direction bytes arrive in order, unchanged, or not at all; a writer's chunks are looked
// at until its write resolves and not after; what waits unread is bounded by the window and one write.

import { crc32c } from "../../base/crc32c.ts";
import type { SeededRandom } from "../../base/prng.ts";
import { NetworkError } from "../../contracts/errors.ts";
import type { Connection, Network } from "../../contracts/runtime.ts";
import { Links } from "./links.ts";
import type { SimProcess, World } from "./world.ts";

export interface NetworkConditions {
  readonly latencyUsMin: number;
  readonly latencyUsMax: number;
  /** Bytes arrive in pieces of at most this many. */
  readonly pieceBytesMax: number;
  /** Unread bytes of one direction above which a write waits. */
  readonly windowBytes: number;
}

/** How often a way that is cut is tried again. */
const CUT_RETRY_US = 20_000;

interface Waiter<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

interface SimListener {
  readonly process: SimProcess;
  readonly accept: (connection: Connection) => void;
}

export class SimNetwork {
  readonly world: World;
  readonly conditions: NetworkConditions;
  readonly random: SeededRandom;
  /** Between machines: of those that processes are on. */
  readonly links = new Links();
  readonly #listeners = new Map<number, SimListener>();
  readonly #open = new Set<SimEndpoint>();
  #portsGiven = 40_000;

  constructor(world: World, random: SeededRandom, conditions: NetworkConditions) {
    this.world = world;
    this.random = random;
    this.conditions = conditions;
  }

  /** The network as `process` sees it. */
  of(process: SimProcess): Network {
    return {
      listen: async ({ host, port }, accept) => {
        const known = this.#listeners.get(port);
        if (known?.process.isAlive === true) {
          throw new NetworkError("in_use", `Cannot listen on port ${port}`);
        }
        const listener = { process, accept };
        this.#listeners.set(port, listener);
        return {
          host,
          port,
          close: async () => {
            if (this.#listeners.get(port) === listener) this.#listeners.delete(port);
          },
        };
      },
      connect: ({ port, timeoutMs }) =>
        new Promise((resolve, reject) => this.#connect(process, port, timeoutMs, resolve, reject)),
    };
  }

  /** Every connection that a process has open dies with it; what its peers see depends on how. */
  processDied(process: SimProcess, how: "killed" | "power_lost"): void {
    for (const endpoint of [...this.#open]) {
      if (endpoint.process !== process) continue;
      endpoint.isClosed = true;
      this.#open.delete(endpoint);
      if (how === "power_lost") endpoint.cut();
      else endpoint.tellPeerItIsOver(this.random.below(2) === 0);
    }
  }

  /** Breaks some open connections; both ends learn it. */
  reset(count: number): void {
    for (const endpoint of this.#some(count)) {
      endpoint.onReset();
      endpoint.peer.onReset();
    }
  }

  /** Bytes of some connections arrive only after a while. */
  stall(count: number, forUs: number): void {
    for (const endpoint of this.#some(count)) {
      endpoint.lastArrivalUs = Math.max(endpoint.lastArrivalUs, this.world.nowUs + forUs);
    }
  }

  /** Some connections carry nothing any more, and neither end is told. */
  cut(count: number): void {
    for (const endpoint of this.#some(count)) endpoint.cut();
  }

  forget(endpoint: SimEndpoint): void {
    this.#open.delete(endpoint);
  }

  latencyUs(): number {
    const { latencyUsMin, latencyUsMax } = this.conditions;
    return latencyUsMin + this.random.below(latencyUsMax - latencyUsMin + 1);
  }

  /** Whether bytes from one process to the other wait. */
  isCut(from: SimProcess, to: SimProcess): boolean {
    return this.links.isCut(from.machine, to.machine);
  }

  isDown(process: SimProcess): boolean {
    return this.links.isDown(process.machine);
  }

  #some(count: number): SimEndpoint[] {
    const open = [...this.#open];
    const chosen: SimEndpoint[] = [];
    for (let i = 0; i < count && open.length > 0; i++) {
      chosen.push(...open.splice(this.random.below(open.length), 1));
    }
    return chosen;
  }

  #connect(
    process: SimProcess,
    port: number,
    timeoutMs: number,
    resolve: (connection: Connection) => void,
    reject: (error: unknown) => void,
  ): void {
    this.world.after(this.latencyUs(), "net_connect", process, () => {
      const listener = this.#listeners.get(port);
      const { links } = this;
      const from = process.machine;
      const to = listener?.process.machine ?? "";
      if (links.isDown(to) || links.isCut(from, to) || links.isCut(to, from)) {
        this.world.after(timeoutMs * 1000, "net_connect_timeout", process, () =>
          reject(new NetworkError("timeout", `No answer from port ${port}`)),
        );
        return;
      }
      if (listener === undefined || !listener.process.isAlive) {
        reject(new NetworkError("refused", `Nobody listens on port ${port}`));
        return;
      }
      const client = new SimEndpoint(this, process, port);
      const server = new SimEndpoint(this, listener.process, ++this.#portsGiven);
      client.peer = server;
      server.peer = client;
      this.#open.add(client);
      this.#open.add(server);
      this.world.after(this.latencyUs(), "net_accept", listener.process, () => {
        if (!server.isClosed && !server.isReset) listener.accept(server);
      });
      resolve(client);
    });
  }
}

class SimEndpoint implements Connection {
  readonly remote: { readonly host: string; readonly port: number };
  readonly tls = null;
  readonly process: SimProcess;
  peer!: SimEndpoint;
  isClosed = false;
  isReset = false;
  /** When the last bytes sent to the peer will have arrived. */
  lastArrivalUs = 0;
  readonly #network: SimNetwork;
  readonly #world: World;
  #isEnded = false;
  #isCut = false;
  readonly #inbox: Uint8Array[] = [];
  /** What would have arrived while the way was cut; "end" for the end of the connection. */
  readonly #held: (Uint8Array | "end")[] = [];
  /** Bytes sent to us and not yet read. */
  #unreadBytes = 0;
  #reader: Waiter<Uint8Array | null> | null = null;
  #writer: (Waiter<void> & { readonly chunks: readonly Uint8Array[] }) | null = null;
  #lostBytes = 0;

  constructor(network: SimNetwork, process: SimProcess, port: number) {
    this.#network = network;
    this.#world = network.world;
    this.process = process;
    this.remote = { host: "127.0.0.1", port };
  }

  read(): Promise<Uint8Array | null> {
    if (this.#reader !== null) this.#world.fail("network_contract", "two reads at once");
    if (this.isReset) return Promise.reject(resetError());
    if (this.isClosed) return Promise.resolve(null);
    if (this.#inbox.length > 0) return Promise.resolve(this.#takeOne());
    if (this.#isEnded) return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  write(chunks: readonly Uint8Array[]): Promise<void> {
    if (this.#writer !== null) this.#world.fail("network_contract", "two writes at once");
    if (this.isReset || this.isClosed) return Promise.reject(resetError());
    return new Promise((resolve, reject) => {
      this.#writer = { chunks, resolve, reject };
      this.#world.after(1 + this.#network.random.below(20), "net_take", this.process, () =>
        this.#take(),
      );
    });
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#network.forget(this);
    this.#reader?.resolve(null);
    this.#reader = null;
    this.#writer?.reject(new NetworkError("closed", "The connection was closed by this side"));
    this.#writer = null;
    if (!this.isReset) this.tellPeerItIsOver(this.#network.random.below(5) === 0);
  }

  /** Nothing passes any more, either way. */
  cut(): void {
    this.#isCut = true;
    this.peer.#isCut = true;
  }

  /** @param abruptly Bytes on their way are lost, and the peer sees a reset instead of the end. */
  tellPeerItIsOver(abruptly: boolean): void {
    const latencyUs = this.#network.latencyUs();
    const inOrderUs = Math.max(this.lastArrivalUs - this.#world.nowUs, 0) + latencyUs;
    this.#world.after(abruptly ? latencyUs : inOrderUs, "net_end", this.peer.process, () => {
      if (this.#isCut) return;
      const isHeld =
        this.peer.#held.length > 0 || this.#network.isCut(this.process, this.peer.process);
      if (isHeld) this.peer.#hold("end");
      else if (abruptly) this.peer.onReset();
      else this.peer.#onEnd();
    });
  }

  onReset(): void {
    if (this.isReset || this.isClosed || !this.process.isAlive) return;
    this.isReset = true;
    this.#network.forget(this);
    this.#inbox.length = 0;
    this.#reader?.reject(resetError());
    this.#reader = null;
    this.#writer?.reject(resetError());
    this.#writer = null;
  }

  #onEnd(): void {
    if (this.isReset || this.isClosed) return;
    this.#isEnded = true;
    if (this.#inbox.length === 0) {
      this.#reader?.resolve(null);
      this.#reader = null;
    }
  }

  #takeOne(): Uint8Array {
    let chunk = this.#inbox.shift()!;
    if (this.#inbox.length > 0 && this.#network.random.below(2) === 0) {
      const all = [chunk, ...this.#inbox.splice(0)];
      chunk = joined(all);
    }
    this.#unreadBytes -= chunk.length;
    const { peer } = this;
    if (peer.#writer !== null) {
      this.#world.after(this.#network.latencyUs(), "net_window", peer.process, () => peer.#take());
    }
    return chunk;
  }

  /** The host takes the bytes of the pending write, once the window has room. */
  #take(): void {
    const writer = this.#writer;
    if (writer === null || this.isClosed || this.isReset) return;
    const { windowBytes } = this.#network.conditions;
    if (this.#isCut) {
      this.#lostBytes += totalBytes(writer.chunks);
      if (!this.#network.isDown(this.peer.process) && !this.peer.process.isAlive) {
        // The host is back and knows nothing of this connection.
        this.#world.after(this.#network.latencyUs(), "net_reset", this.process, () =>
          this.onReset(),
        );
      }
      if (this.#lostBytes > windowBytes) return;
      this.#writer = null;
      writer.resolve();
      return;
    }
    if (this.peer.#unreadBytes >= windowBytes && !this.peer.isClosed) return;
    const bytes = joined(writer.chunks);
    this.#writer = null;
    writer.resolve();
    if (this.peer.isClosed) {
      this.#world.after(this.#network.latencyUs(), "net_reset", this.process, () => this.onReset());
      return;
    }
    this.peer.#unreadBytes += bytes.length;
    this.#send(bytes);
  }

  #send(bytes: Uint8Array): void {
    const { random, conditions } = this.#network;
    const { links } = this.#network;
    const latencyUs =
      this.#network.latencyUs() + links.extraUs(this.process.machine, this.peer.process.machine);
    let at = 0;
    // A few borders find as much as many.
    const pieceBytesMax = Math.max(conditions.pieceBytesMax, bytes.length >>> 3);
    while (at < bytes.length) {
      const isWhole = random.below(4) > 0;
      const most = Math.min(pieceBytesMax, bytes.length - at);
      const sizeBytes = isWhole ? most : 1 + random.below(most);
      const piece = bytes.subarray(at, at + sizeBytes);
      at += sizeBytes;
      const arrivalUs = Math.max(this.#world.nowUs + latencyUs, this.lastArrivalUs);
      this.lastArrivalUs = arrivalUs + Math.ceil(sizeBytes / 500);
      this.#world.after(arrivalUs - this.#world.nowUs, "net_arrive", this.peer.process, () =>
        this.peer.#arrive(piece),
      );
    }
  }

  #arrive(piece: Uint8Array): void {
    if (this.isClosed || this.isReset || this.#isCut) return;
    if (this.#held.length > 0 || this.#network.isCut(this.peer.process, this.process)) {
      this.#hold(piece);
      return;
    }
    this.#deliver(piece);
  }

  /** Waits for the way to be mended, behind what waits already. */
  #hold(piece: Uint8Array | "end"): void {
    this.#held.push(piece);
    if (this.#held.length === 1) this.#tryHeld();
  }

  #tryHeld(): void {
    this.#world.after(CUT_RETRY_US, "net_retry", this.process, () => {
      if (this.isClosed || this.isReset || this.#isCut) return;
      if (this.#network.isCut(this.peer.process, this.process)) {
        this.#tryHeld();
        return;
      }
      for (const held of this.#held.splice(0)) {
        if (held === "end") this.#onEnd();
        else this.#deliver(held);
      }
    });
  }

  #deliver(piece: Uint8Array): void {
    this.#world.trace.add("bytes", crc32c(piece, 0, piece.length), piece.length);
    this.#inbox.push(piece);
    const reader = this.#reader;
    if (reader === null) return;
    this.#reader = null;
    reader.resolve(this.#takeOne());
  }
}

function resetError(): NetworkError {
  return new NetworkError("reset", "The connection broke");
}

function totalBytes(chunks: readonly Uint8Array[]): number {
  let sizeBytes = 0;
  for (const chunk of chunks) sizeBytes += chunk.length;
  return sizeBytes;
}

/** Fresh bytes, also for one chunk: chunks may be reused by their owner. */
function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(totalBytes(chunks));
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
}
