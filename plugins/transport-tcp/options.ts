// The options of transport-tcp with their bounds and defaults.
// Invariant: what leaves here is complete and within range.

import type { TlsIdentity } from "../../src/contracts/runtime.ts";
import {
  checkListeners,
  type ListenerOptions,
  resolveNumbers,
} from "../../src/gateway/listener_options.ts";

const MIB = 1024 * 1024;
const LISTENER_NAME = "tcp";
const HOST_DEFAULT = "127.0.0.1";
const PORT_DEFAULT = 9094;

/** One address to listen on. */
export type TcpListener = ListenerOptions;

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
  /** Answers waiting over all connections, in bytes, and one answer of each connection up to its double; 24 MiB. */
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
  replyBytesMax: [0, Number.MAX_SAFE_INTEGER, 24 * MIB],
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
  checkListeners(listeners);
  return { listeners, ...resolveNumbers(NUMBERS, options) };
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
