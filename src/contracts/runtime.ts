// All that the core may know of the outside world: time, timers, randomness, network, cryptography,
// compression, log lines. Passed down from the composition root, never imported, so that the whole
// broker runs in a seeded simulation, in a Worker, and under a clock that a test turns.

import type { Compression } from "../record/compression.ts";

/** The host as the core sees it. Every member is replaced in the simulator. */
export interface Runtime {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly network: Network;
  readonly crypto: Cryptography;
  readonly compression: Compression;
  /** A faster CRC-32C where the host has one; equal to the plain one, bit for bit. */
  readonly crc32c?: Crc32c;
  readonly log: Logger;
}

/** CRC-32C (Castagnoli) of `bytes`, continuing from `seed` (0 to begin). Result in [0, 2^32). */
export type Crc32c = (bytes: Uint8Array, seed: number) => number;

/** Time of the host, in its two kinds. In the simulator both stand still while code runs. */
export interface Clock {
  /** Milliseconds since the Unix epoch, integer. May jump either way: only for timestamps that leave the broker. */
  wallMs(): number;
  /** Milliseconds since an arbitrary origin, never decreasing: for every timeout, lag and duration. */
  monotonicMs(): number;
}

/** Whatever happens later: timers, background tasks, and giving way. The core starts nothing else. */
export interface Scheduler {
  /** Calls `task` once, no earlier than `delayMs` from now. `label` names it in traces and leak reports. */
  after(delayMs: number, label: string, task: () => void): Timer;
  /** Starts a task that the runtime owns: it is awaited at stop, and a rejection stops the broker. */
  spawn(label: string, task: () => Promise<void>): void;
  /** Resolves in a later turn of the event loop: long work in slices lets others go first. */
  yieldNow(): Promise<void>;
}

/** A timer that has been started. */
export interface Timer {
  /** Idempotent. After it returns, the task will not be called. */
  cancel(): void;
}

/** Randomness of the host; in the simulator, of the seed. */
export interface Random {
  /** Uniform integer in [0, 2^32). */
  uint32(): number;
  /** Fills `target` in place and returns it. */
  fill(target: Uint8Array): Uint8Array;
  /** An independent stream for `label`, so that one room's extra draw does not shift another's. */
  fork(label: string): Random;
}

/** Byte streams to and from other processes. Every failure is a NetworkError. */
export interface Network {
  listen(at: ListenAddress, accept: (connection: Connection) => void): Promise<Listener>;
  /** @throws {NetworkError} code "refused" | "unreachable" | "timeout" | "tls" */
  connect(to: ConnectAddress): Promise<Connection>;
  /**
   * Serves HTTP/1.1 at an address; the host streams bodies both ways and holds back a peer that does not read.
   * Closing the listener stops accepting and lets responses under way end.
   * Absent where the host calls us instead (edge functions): see RunningTransport.handle.
   * @throws {NetworkError} code "in_use" | "denied"
   */
  serveHttp?(at: ListenAddress, handle: FetchHandler): Promise<Listener>;
}

/** One byte stream to a peer, accepted or opened. */
export interface Connection {
  readonly remote: { readonly host: string; readonly port: number };
  readonly tls: { readonly peerCertificate: Uint8Array | null } | null;
  /**
   * The next bytes, or null at end of stream; owned by the caller. While no read is pending, the
   * peer is held back (at most a few chunks of 256 KiB wait inside the host).
   * @throws {NetworkError} code "reset" when the connection broke
   */
  read(): Promise<Uint8Array | null>;
  /**
   * A hint: a chunk that `read` gave is used up, and nobody will look at it or at a view of it again.
   * The host may reuse or free its memory now, instead of when its collector comes by.
   */
  recycle?(chunk: Uint8Array): void;
  /**
   * Sends the chunks back to back. Resolves once the host has taken the bytes and will not look at
   * the chunks again (they may be reused); says nothing of the peer. One write in flight at most.
   * @throws {NetworkError} code "reset" when the connection broke
   */
  write(chunks: readonly Uint8Array[]): Promise<void>;
  /** Idempotent. Pending reads resolve with null, pending writes reject. */
  close(reason?: string): void;
}

/** An open port. */
export interface Listener {
  readonly host: string;
  /** The bound port: the real one when 0 was asked for. */
  readonly port: number;
  /** Stops accepting; open connections go on. */
  close(): Promise<void>;
}

/** Where to listen; port 0 takes a free one. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  readonly tls?: TlsIdentity;
}

/** Where to connect to, and how long that may take, name look-up and TLS included. */
export interface ConnectAddress {
  readonly host: string;
  readonly port: number;
  readonly tls?: TlsTrust;
  readonly timeoutMs: number;
}

/** A certificate chain with its key, in PEM; with `clientCaPem`, peers must show a certificate that it signed. */
export interface TlsIdentity {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly clientCaPem?: string;
}

/** Which server is expected and who may vouch for it (the host's authorities when left out), and our own identity if it asks. */
export interface TlsTrust {
  readonly serverName: string;
  readonly caPem?: string;
  readonly identity?: TlsIdentity;
}

/** Who asks over HTTP: as far as the host knows it. The host's edge may give nothing. */
export interface HttpPeer {
  readonly host: string;
  readonly port: number;
}

/**
 * A request answered, in the shapes of the Fetch standard. `request.signal` fires when the client has gone.
 * Never rejects: what a handler cannot serve is a response too.
 */
export type FetchHandler = (request: Request, peer: HttpPeer) => Promise<Response>;

/** Synchronous on purpose: host-async crypto settles after a varying number of turns, which no seed can replay. */
export interface Cryptography {
  digest(hash: "SHA-256" | "SHA-512", data: Uint8Array): Uint8Array;
  hmac(hash: "SHA-256" | "SHA-512", key: Uint8Array, data: Uint8Array): Uint8Array;
  pbkdf2(
    hash: "SHA-256" | "SHA-512",
    password: Uint8Array,
    salt: Uint8Array,
    iterations: number,
  ): Uint8Array;
  timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean;
}

/** Log lines as events with fields. Never throws, never waits. */
export interface Logger {
  /** `event` is a stable snake_case name, e.g. "isr_shrunk"; `fields` carry the values, never the message. */
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  child(fields: LogFields): Logger;
}

/** Values of an event; a field of value undefined is left out. */
export type LogFields = Readonly<
  Record<string, string | number | bigint | boolean | null | undefined>
>;
