// The options of transport-http with their bounds and defaults.
// Invariant: what leaves here is complete and within range.

import {
  checkListeners,
  type ListenerOptions,
  resolveNumbers,
} from "../../src/gateway/listener_options.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** One address to listen on. */
export type HttpListener = ListenerOptions;

/** How transport-http listens, and its bounds. Only `listeners` has no default; bytes and milliseconds throughout. */
export interface TransportHttpOptions {
  /** Null: no sockets, for hosts that own them and call `handle`. */
  readonly listeners: readonly HttpListener[] | null;
  /** Origins whose pages may call, e.g. "https://app.example.com"; "*" for every page. None: a page of another origin is refused. */
  readonly cors?: readonly string[];
  /**
   * Names that `Host` may have, beside loopback and advertised ones; "*" for any. Left out, a listener on loopback takes
   * those alone, since a page can make its own name lead there, and another listener takes any.
   */
  readonly hosts?: readonly string[];
  /** Largest request body; 16 MiB. */
  readonly bodyBytesMax?: number;
  /** Bytes of bodies that are still arriving, over all requests, beyond which more are refused; 64 MiB. */
  readonly arrivalBytesMax?: number;
  /** A body of which less than 16 KiB comes within this is given up; 30 seconds. */
  readonly bodyStallMsMax?: number;
  /** Requests in progress, answers on their way included; 1,024. */
  readonly requestsMax?: number;
  /** Open event streams; 1,024. */
  readonly streamsMax?: number;
  /** Most bytes of records in one answer; 8 MiB, and always one record. */
  readonly fetchBytesMax?: number;
  /** Bytes of answers waiting for their readers beyond which fetches are answered in small pieces; 32 MiB. */
  readonly replyBytesMax?: number;
  /** Most records in one request or answer; 10,000. */
  readonly recordsMax?: number;
  /** Longest wait that a fetch may ask for; 60 seconds. */
  readonly waitMsMax?: number;
  /** A quiet event stream says that it lives this often; 15 seconds. */
  readonly heartbeatMs?: number;
}

/** Lower and upper bound (inclusive) and default of every number. Waits stay below the host's idle limit of 120 s. */
const NUMBERS = {
  bodyBytesMax: [1, 1024 * MIB, 16 * MIB],
  arrivalBytesMax: [1, Number.MAX_SAFE_INTEGER, 64 * MIB],
  bodyStallMsMax: [10, 3_600_000, 30_000],
  requestsMax: [1, 1_000_000, 1024],
  streamsMax: [0, 1_000_000, 1024],
  fetchBytesMax: [1024, 128 * MIB, 8 * MIB],
  replyBytesMax: [0, Number.MAX_SAFE_INTEGER, 32 * MIB],
  recordsMax: [1, 1_000_000, 10_000],
  waitMsMax: [0, 100_000, 60_000],
  heartbeatMs: [10, 60_000, 15_000],
} as const;

export type Limits = { readonly [K in keyof typeof NUMBERS]: number };

/** Options with their defaults. */
export interface ResolvedOptions extends Limits {
  readonly listeners: readonly HttpListener[];
  readonly cors: readonly string[];
  readonly hosts: readonly string[] | null;
}

/** Options with their defaults. @throws {TypeError} naming the option that is out of range */
export function resolveOptions(options: TransportHttpOptions): ResolvedOptions {
  const { cors = [], hosts = null } = options;
  const listeners = options.listeners ?? [];
  if (options.listeners?.length === 0) {
    throw new TypeError(
      "Cannot listen as listeners is empty: null is for a host that owns sockets",
    );
  }
  checkListeners(listeners);
  for (const origin of cors) {
    if (origin === "*" || (URL.canParse(origin) && new URL(origin).origin === origin)) continue;
    throw new TypeError(
      `cors must hold origins such as "https://app.example.com", or "*": found "${origin}"`,
    );
  }
  const lowered = hosts?.map((each) => each.toLowerCase()) ?? null;
  return { listeners, cors, hosts: lowered, ...resolveNumbers(NUMBERS, options) };
}
