// The options that every transport with sockets has: where it listens, and numbers with bounds.
// Invariant: what leaves here is complete and within range.

import type { TlsIdentity } from "../contracts/runtime.ts";

/** One address to listen on. */
export interface ListenerOptions {
  /** Unique among the listeners of the broker, e.g. "kafka". */
  readonly name: string;
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** What clients are told (Kafka's `advertised.listeners`); `host` when left out, "localhost" for a wildcard. */
  readonly advertisedHost?: string;
  /** The bound port when left out. */
  readonly advertisedPort?: number;
  readonly tls?: TlsIdentity;
}

/** Lower and upper bound (inclusive) and default of every number, by the option's name. */
export type NumberTable = Readonly<Record<string, readonly [number, number, number]>>;

/** @throws {TypeError} when two listeners have one name, or a port is none */
export function checkListeners(listeners: readonly ListenerOptions[]): void {
  const names = new Set<string>();
  for (const { name, port, advertisedPort } of listeners) {
    if (names.has(name)) throw new TypeError(`Cannot name two listeners "${name}"`);
    names.add(name);
    requireWithin(`port of listener "${name}"`, port, 0, 65_535);
    if (advertisedPort !== undefined) {
      requireWithin(`advertisedPort of listener "${name}"`, advertisedPort, 1, 65_535);
    }
  }
}

/** The numbers given, and the defaults of the others. @throws {TypeError} naming the option that is out of range */
export function resolveNumbers<T extends NumberTable>(
  table: T,
  given: { readonly [K in keyof T]?: number },
): { readonly [K in keyof T]: number } {
  const numbers: { [name: string]: number } = {};
  for (const name of Object.keys(table)) {
    const [lowest, highest, standard] = table[name]!;
    const value = given[name] ?? standard;
    requireWithin(name, value, lowest, highest);
    numbers[name] = value;
  }
  return numbers as { readonly [K in keyof T]: number };
}

function requireWithin(name: string, value: number, lowest: number, highest: number): void {
  if (Number.isInteger(value) && value >= lowest && value <= highest) return;
  throw new TypeError(
    `${name} must be a whole number from ${lowest} to ${highest}: found ${value}`,
  );
}
