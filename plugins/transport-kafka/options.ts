// The options of transport-kafka with their bounds and defaults.
// Invariant: what leaves here is complete and within range. Kafka's names stand in the docstrings.

import type { PeerTrust } from "../../src/contracts/transport.ts";
import {
  checkListeners,
  type ListenerOptions,
  resolveNumbers,
} from "../../src/gateway/listener_options.ts";

const MIB = 1024 * 1024;

/** One address to listen on. */
export type KafkaListener = ListenerOptions;

/** PEM texts: who vouches for the other brokers' listeners, and the certificate that they may ask for. */
export interface PeerTls {
  /** The host's authorities when left out. */
  readonly caPem?: string;
  /** With `privateKeyPem`. */
  readonly certificatePem?: string;
  readonly privateKeyPem?: string;
  /** The name that every peer's certificate has to have; the host that it advertises when left out. */
  readonly serverName?: string;
}

/** How transport-kafka listens, and its bounds. Only `listeners` has no default; bytes and milliseconds throughout. */
export interface TransportKafkaOptions {
  readonly listeners: readonly KafkaListener[];
  /** How the listeners of other brokers of the cluster are reached, where these have TLS. */
  readonly peerTls?: PeerTls;
  /** Largest request (`socket.request.max.bytes`); 100 MiB. */
  readonly frameBytesMax?: number;
  /** Quiet connections are closed after this (`connections.max.idle.ms`); 10 minutes. */
  readonly connectionIdleMsMax?: number;
  /** A peer that stops in the middle of a large request is closed after this; 30 seconds. */
  readonly frameStallMsMax?: number;
  /** A connection on which nobody has logged in is closed after this, where logins are wanted; 30 seconds. */
  readonly loginMsMax?: number;
  /** Open connections, whatever `max.connections` allows; 20,000. */
  readonly connectionsMax?: number;
  /** Requests of one connection begun and not yet answered; 128. */
  readonly inFlightMax?: number;
  /** Request bytes of one connection held at once; 64 MiB, and always one request. */
  readonly requestBytesMax?: number;
  /** Response bytes that may wait for one peer to read; 16 MiB, and always one response. */
  readonly responseBytesMax?: number;
  /** Response bytes waiting over all connections beyond which fetches are answered in small pieces, and beyond the double wait; 128 MiB. */
  readonly replyBytesMax?: number;
  /** Most bytes of batches in one fetch response (`fetch.max.bytes`); 8 MiB, and always one batch. */
  readonly fetchBytesMax?: number;
  /** Fetch sessions remembered (`max.incremental.fetch.session.cache.slots`); 1,000. 0 turns them off. */
  readonly sessionCacheSlots?: number;
  /** Partitions remembered over all fetch sessions; 200,000. */
  readonly sessionPartitionsMax?: number;
  /** Bytes of requests that are still arriving, over all connections, and one request beyond; 16 MiB. */
  readonly arrivalBytesMax?: number;
  /** Receive buffers are kept for reuse while they and those in use are at most this; 64 MiB. */
  readonly receivePoolBytesMax?: number;
}

/** Lower and upper bound (inclusive) and default of every number. */
const NUMBERS = {
  frameBytesMax: [1024, 0x7fffffff, 100 * MIB],
  connectionIdleMsMax: [1, Number.MAX_SAFE_INTEGER, 600_000],
  frameStallMsMax: [1, Number.MAX_SAFE_INTEGER, 30_000],
  loginMsMax: [1, Number.MAX_SAFE_INTEGER, 30_000],
  connectionsMax: [1, 1_000_000, 20_000],
  inFlightMax: [1, 100_000, 128],
  requestBytesMax: [1, Number.MAX_SAFE_INTEGER, 64 * MIB],
  responseBytesMax: [1, Number.MAX_SAFE_INTEGER, 16 * MIB],
  replyBytesMax: [0, Number.MAX_SAFE_INTEGER, 128 * MIB],
  fetchBytesMax: [1024, 0x7fffffff, 8 * MIB],
  sessionCacheSlots: [0, 1_000_000, 1000],
  sessionPartitionsMax: [0, 100_000_000, 200_000],
  arrivalBytesMax: [0, Number.MAX_SAFE_INTEGER, 16 * MIB],
  receivePoolBytesMax: [0, Number.MAX_SAFE_INTEGER, 64 * MIB],
} as const;

type Numbers = { readonly [K in keyof typeof NUMBERS]: number };

/** Options with their defaults. @throws {TypeError} naming the option that is out of range */
export function resolveOptions(
  options: TransportKafkaOptions,
): Numbers & { readonly listeners: readonly KafkaListener[] } {
  const { listeners } = options;
  if (listeners.length === 0) throw new TypeError("Cannot listen as listeners is empty");
  checkListeners(listeners);
  return { listeners, ...resolveNumbers(NUMBERS, options) };
}

/** @throws {TypeError} when a certificate has no key, or a key no certificate */
export function peerTrustOf({
  caPem,
  certificatePem,
  privateKeyPem,
  serverName,
}: PeerTls): PeerTrust {
  if ((certificatePem === undefined) !== (privateKeyPem === undefined)) {
    throw new TypeError("peerTls.certificatePem and peerTls.privateKeyPem come together");
  }
  return {
    ...(caPem === undefined ? {} : { caPem }),
    ...(serverName === undefined ? {} : { serverName }),
    ...(certificatePem === undefined || privateKeyPem === undefined
      ? {}
      : { identity: { certificatePem, privateKeyPem } }),
  };
}
