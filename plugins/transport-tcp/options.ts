// The options of transport-tcp with their bounds and defaults.
// Invariant: what leaves here is complete and within range.

import type { TlsIdentity } from "../../src/contracts/runtime.ts";

const MIB = 1024 * 1024;
const LISTENER_NAME = "tcp";
const HOST_DEFAULT = "127.0.0.1";
const PORT_DEFAULT = 9094;

/** One address to listen on. */
export interface TcpListener {
  /** Unique among the listeners of the broker, e.g. "tcp". */
  readonly name: string;
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** What clients are told; `host` when left out, "localhost" for a wildcard. */
  readonly advertisedHost?: string;
  /** The bound port when left out. */
  readonly advertisedPort?: number;
  readonly tls?: TlsIdentity;
}

/**
 * How transport-tcp listens, and its bounds; bytes and milliseconds throughout. Either `listeners`, or `host`
 * and `port` of the one listener "tcp" (127.0.0.1 and 9094 when left out): what a `listen: "HOST:PORT"` of the
 * config file comes to.
 */
export interface TransportTcpOptions {
  readonly listeners?: readonly TcpListener[];
  readonly host?: string;
  /** 0 picks a free one. */
  readonly port?: number;
  readonly tls?: TlsIdentity;
  /** Largest frame that is taken; 16 MiB. */
  readonly frameBytesMax?: number;
  /** CBOR items in one frame; 1,000,000. */
  readonly frameItemsMax?: number;
  /** A connection on which nothing came or went for so long is closed (`connections.max.idle.ms`); 10 minutes. */
  readonly connectionIdleMsMax?: number;
  /** The hello must have been answered after this; 10 seconds. */
  readonly helloMsMax?: number;
  /** A peer that stops in the middle of a frame is closed after this; 30 seconds. */
  readonly frameStallMsMax?: number;
  /** Open connections, whatever `max.connections` allows; 10,000. */
  readonly connectionsMax?: number;
  /** Requests of one connection begun and not yet answered; 128. */
  readonly inFlightMax?: number;
  /** Subscriptions of one connection; 64. */
  readonly subscriptionsMax?: number;
  /** Answers that may wait for one peer to read, in bytes; 16 MiB, and always one. */
  readonly responseBytesMax?: number;
  /** Answers waiting over all connections, in bytes, beyond which records are given in small pieces; 128 MiB. */
  readonly replyBytesMax?: number;
  /** Most bytes of records in one answer or batch of a subscription (`fetch.max.bytes`); 8 MiB, and always one record. */
  readonly fetchBytesMax?: number;
  /** Frames that are still arriving, over all connections, in bytes, and one frame beyond; 16 MiB. */
  readonly arrivalBytesMax?: number;
}

/** Lower and upper bound (inclusive) and default of every number. */
const NUMBERS = {
  frameBytesMax: [1024, 0x7fffffff, 16 * MIB],
  frameItemsMax: [100, 100_000_000, 1_000_000],
  connectionIdleMsMax: [1, Number.MAX_SAFE_INTEGER, 600_000],
  helloMsMax: [1, Number.MAX_SAFE_INTEGER, 10_000],
  frameStallMsMax: [1, Number.MAX_SAFE_INTEGER, 30_000],
  connectionsMax: [1, 1_000_000, 10_000],
  inFlightMax: [1, 100_000, 128],
  subscriptionsMax: [0, 100_000, 64],
  responseBytesMax: [1, Number.MAX_SAFE_INTEGER, 16 * MIB],
  replyBytesMax: [0, Number.MAX_SAFE_INTEGER, 128 * MIB],
  fetchBytesMax: [1024, 0x7fffffff, 8 * MIB],
  arrivalBytesMax: [0, Number.MAX_SAFE_INTEGER, 16 * MIB],
} as const;

/** Every bound, with a value. */
export type TcpBounds = { readonly [K in keyof typeof NUMBERS]: number };

/** Options with their defaults. @throws {TypeError} naming the option that is out of range */
export function resolveOptions(
  options: TransportTcpOptions,
): TcpBounds & { readonly listeners: readonly TcpListener[] } {
  const listeners = listenersOf(options);
  const names = new Set<string>();
  for (const { name, port, advertisedPort } of listeners) {
    if (names.has(name)) throw new TypeError(`Cannot name two listeners "${name}"`);
    names.add(name);
    requireWithin(`port of listener "${name}"`, port, 0, 65_535);
    if (advertisedPort !== undefined) {
      requireWithin(`advertisedPort of listener "${name}"`, advertisedPort, 1, 65_535);
    }
  }
  const numbers: { [name: string]: number } = {};
  for (const name of Object.keys(NUMBERS) as (keyof typeof NUMBERS)[]) {
    const [lowest, highest, standard] = NUMBERS[name];
    const value = options[name] ?? standard;
    requireWithin(name, value, lowest, highest);
    numbers[name] = value;
  }
  return { listeners, ...(numbers as unknown as TcpBounds) };
}

function listenersOf(options: TransportTcpOptions): readonly TcpListener[] {
  const { listeners, host, port, tls } = options;
  if (listeners === undefined) {
    const one = { name: LISTENER_NAME, host: host ?? HOST_DEFAULT, port: port ?? PORT_DEFAULT };
    return [tls === undefined ? one : { ...one, tls }];
  }
  if (listeners.length === 0) throw new TypeError("Cannot listen as listeners is empty");
  if (host !== undefined || port !== undefined || tls !== undefined) {
    throw new TypeError(
      "Cannot take both listeners and host, port or tls: put them into listeners",
    );
  }
  return listeners;
}

function requireWithin(name: string, value: number, lowest: number, highest: number): void {
  if (Number.isInteger(value) && value >= lowest && value <= highest) return;
  throw new TypeError(
    `${name} must be a whole number from ${lowest} to ${highest}: found ${value}`,
  );
}
