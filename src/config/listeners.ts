// Where the built-in transports listen: `listen`, `advertise` and `listeners` of their options in the file to
// whole listeners, and back to what the file would say.
// Invariant: every planned built-in transport has `listeners`, at least one, as its plugin takes them.

import { type Address, addressText, parseAddress } from "./addresses.ts";
import { ConfigError } from "./config_error.ts";
import type { PluginUse } from "./define_config.ts";

/** Built-in transports by word, and where each listens when nobody says where. */
export const DEFAULT_ADDRESSES = {
  kafka: "127.0.0.1:9092",
  http: "127.0.0.1:8080",
  tcp: "127.0.0.1:9094",
} as const;
export type TransportWord = keyof typeof DEFAULT_ADDRESSES;
export const TRANSPORT_WORDS = Object.keys(DEFAULT_ADDRESSES) as TransportWord[];

/** One listener as the built-in transports take it. */
export interface PlannedListener {
  /** The transport's word where none is given. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly advertisedHost?: string;
  readonly advertisedPort?: number;
  /** A TlsIdentity, of which each part may be a reference. */
  readonly tls?: unknown;
}

/** How the file gives an address. */
interface ListenerOptions {
  readonly name?: string;
  readonly listen?: string;
  readonly advertise?: string;
  readonly tls?: unknown;
}

/** The word of a built-in transport; null for a module and a plugin made in the file. */
export function transportWord(transport: object): TransportWord | null {
  if (!("use" in transport)) return null;
  return TRANSPORT_WORDS.find((word) => word === transport.use) ?? null;
}

/** The listeners of a planned transport; none for one that is not built in. */
export function listenersOf(transport: object): readonly PlannedListener[] {
  if (transportWord(transport) === null) return [];
  return ((transport as PluginUse).options?.["listeners"] ?? []) as PlannedListener[];
}

/** What options say of listeners. */
interface AllListenerOptions extends Omit<ListenerOptions, "name"> {
  readonly listeners?: readonly ListenerOptions[];
}

/** What options say of listeners, and the rest of them. */
export function splitListeners(
  options: Readonly<Record<string, unknown>>,
): [AllListenerOptions, Record<string, unknown>] {
  const { listen, advertise, tls, listeners, ...rest } = options;
  const own = Object.entries({ listen, advertise, tls, listeners });
  return [Object.fromEntries(own.filter(([, value]) => value !== undefined)), rest];
}

/** The listeners that options ask for; null when they name no address. */
export function readListeners(
  word: TransportWord,
  { listeners, ...one }: AllListenerOptions,
): PlannedListener[] | null {
  if (listeners !== undefined) return listeners.map((each) => listener(word, each));
  return Object.keys(one).length === 0 ? null : [listener(word, one)];
}

/** Two listeners on one address cannot both be; who may give way is left to. @throws {ConfigError} */
export function refuseSharedAddresses(transports: readonly object[], mayGiveWay: Address | null) {
  const takenBy = new Map<string, number>();
  for (const [at, transport] of transports.entries()) {
    for (const { host, port } of listenersOf(transport)) {
      const isUnasked = host === mayGiveWay?.host && port === mayGiveWay.port;
      if (port === 0 || (isUnasked && transportWord(transport) === "http")) continue;
      const address = addressText({ host, port });
      const other = takenBy.get(address);
      if (other !== undefined) {
        const who = other === at ? `transports[${at}] twice` : `transports[${other}] and [${at}]`;
        throw new ConfigError(
          `One address for two listeners: ${address} (${who}): give each a port of its own`,
        );
      }
      takenBy.set(address, at);
    }
  }
}

/** Moves the first listener of the first transport `word` to `address`, or adds the transport. */
export function moveFirst(transports: object[], word: TransportWord, address: Address): void {
  const { host, port } = address;
  const at = transports.findIndex((each) => transportWord(each) === word);
  if (at === -1) {
    transports.push({ use: word, options: { listeners: [{ name: word, host, port }] } });
    return;
  }
  const { use, options } = transports[at] as PluginUse;
  const [first, ...others] = listenersOf(transports[at]!);
  transports[at] = {
    use,
    options: { ...options, listeners: [{ ...first!, host, port }, ...others] },
  };
}

/** What the file says of listeners: `listen` and `advertise` where there is one without a name of its own. */
export function listenerOptions(
  word: TransportWord,
  listeners: readonly PlannedListener[],
): Record<string, unknown> {
  const [first, ...others] = listeners.map((each) => {
    const { name, host, port, advertisedHost, advertisedPort, tls } = each;
    const told = { host: advertisedHost ?? host, port: advertisedPort ?? port };
    return {
      name,
      listen: addressText({ host, port }),
      ...(advertisedHost === undefined ? {} : { advertise: addressText(told) }),
      ...(tls === undefined ? {} : { tls }),
    };
  });
  if (first === undefined) return {};
  const { name, ...rest } = first;
  return others.length === 0 && name === word ? rest : { listeners: [first, ...others] };
}

function listener(
  word: TransportWord,
  { name = word, listen = DEFAULT_ADDRESSES[word], advertise, tls }: ListenerOptions,
): PlannedListener {
  const { host, port } = address(listen);
  const told = advertise === undefined ? null : address(advertise);
  return {
    name,
    host,
    port,
    ...(told === null ? {} : { advertisedHost: told.host, advertisedPort: told.port }),
    ...(tls === undefined ? {} : { tls }),
  };
}

function address(text: string): Address {
  const read = parseAddress(text);
  // The schema has looked at it before; a plan may be made without one.
  if (read === null) throw new ConfigError(`An address must be HOST:PORT: found "${text}"`);
  return read;
}
