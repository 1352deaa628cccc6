// Which transports a start has and where they listen, from the file, Kafka's settings, and --kafka,
// --http and --tcp with their variables.
// Invariant: Kafka and HTTP on loopback where nobody says otherwise (decision 12); TCP when asked for.

import { type Address, parseAddress } from "./addresses.ts";
import { ConfigError } from "./config_error.ts";
import type { PluginUse } from "./define_config.ts";
import { kafkaOptions } from "./kafka_listeners.ts";
import {
  DEFAULT_ADDRESSES,
  listenersOf,
  moveFirst,
  readListeners,
  splitListeners,
  TRANSPORT_WORDS,
  type TransportWord,
  transportWord,
} from "./listeners.ts";
import type { PlannedSlot, Provenance } from "./planned_slot.ts";

/** What a flag or a variable says of one transport. */
export interface GivenAddress {
  /** HOST:PORT, or "off". */
  readonly text: string;
  readonly from: Provenance;
}

/** All that has a say. */
export interface TransportSources {
  /** Of the file; undefined where it has none. Listening addresses in them are no references any more. */
  readonly transports: readonly PlannedSlot[] | undefined;
  readonly addresses: Readonly<Partial<Record<TransportWord, GivenAddress>>>;
  /** The setting `listeners`. */
  readonly listeners: string | undefined;
  readonly settings: Readonly<Record<string, string>>;
  /** Where a setting comes from. */
  readonly fromSetting: (name: string) => Provenance;
  readonly fromFile: Provenance;
}

export interface PlannedTransports {
  readonly transports: readonly PlannedSlot[];
  /** Where HTTP listens as nobody said where; null when somebody did, or it is off. */
  readonly unaskedHttp: Address | null;
  /** By path below `transports`: "[0]", "[0].options.listen". */
  readonly provenance: ReadonlyMap<string, Provenance>;
}

const BUILT_IN: Provenance = { source: "default", detail: "" };

/** @throws {ConfigError} naming the flag, variable or setting that is wrong */
export function planTransports(sources: TransportSources): PlannedTransports {
  const { addresses, listeners, settings, fromSetting } = sources;
  const fromList = sources.transports === undefined ? BUILT_IN : sources.fromFile;
  const moves = new Map<TransportWord, { address: Address; from: Provenance }>();
  const off = new Set<TransportWord>();
  for (const word of TRANSPORT_WORDS) {
    const given = addresses[word];
    if (given === undefined) continue;
    if (given.text === "off") off.add(word);
    else moves.set(word, { address: readAddress(given, word), from: given.from });
  }
  const transports = (sources.transports ?? [{ use: "kafka" }, { use: "http" }]).filter((each) => {
    const word = transportWord(each);
    return word === null || !off.has(word);
  });
  const provenance = new Map<string, Provenance>();
  let unasked: PluginUse | null = null;
  for (const [at, transport] of transports.entries()) {
    provenance.set(`[${at}]`, fromList);
    const word = transportWord(transport);
    if (word === null) continue;
    const given = (transport as PluginUse).options ?? {};
    if (word === "kafka") {
      const { options, fromSettings } = kafkaOptions(given, listeners, settings);
      transports[at] = { use: word, options };
      for (const [key, setting] of fromSettings) {
        provenance.set(`[${at}].options.${key}`, fromSetting(setting));
        if (key === "listeners") provenance.set(`[${at}].options.listen`, fromSetting(setting));
      }
      continue;
    }
    const [own, options] = splitListeners(given);
    const asked = readListeners(word, own);
    const planned = {
      use: word,
      options: {
        ...options,
        listeners: asked ?? [{ name: word, ...parseAddress(DEFAULT_ADDRESSES[word])! }],
      },
    };
    if (word === "http" && asked === null && !moves.has(word)) unasked ??= planned;
    transports[at] = planned;
    if (own.listen === undefined && own.listeners === undefined) {
      provenance.set(`[${at}].options.listen`, BUILT_IN);
    }
  }
  const [offWord] = off;
  if (transports.length === 0 && offWord !== undefined) {
    provenance.set("", addresses[offWord]!.from);
  }
  if (listeners !== undefined && !transports.some((each) => transportWord(each) === "kafka")) {
    throw new ConfigError("The setting listeners needs a Kafka transport: add one to transports");
  }
  for (const [word, { address, from }] of moves) {
    const countBefore = transports.length;
    moveFirst(transports, word, address);
    const at = transports.findIndex((each) => transportWord(each) === word);
    if (transports.length > countBefore) provenance.set(`[${at}]`, from);
    provenance.set(`[${at}].options.listen`, from);
    provenance.set(`[${at}].options.listeners[0].listen`, from);
  }
  if (unasked === null) return { transports, unaskedHttp: null, provenance };
  const kafka = transports.find((each) => transportWord(each) === "kafka");
  // Who asks for any free port for Kafka starts several brokers: HTTP must not be what they fight over.
  const isFree = kafka !== undefined && listenersOf(kafka).some(({ port }) => port === 0);
  const address = parseAddress(DEFAULT_ADDRESSES.http)!;
  const unaskedHttp = isFree ? { ...address, port: 0 } : address;
  const at = transports.indexOf(unasked);
  transports[at] = {
    use: "http",
    options: { ...unasked.options, listeners: [{ name: "http", ...unaskedHttp }] },
  };
  return { transports, unaskedHttp, provenance };
}

function readAddress({ text, from }: GivenAddress, word: TransportWord): Address {
  const address = parseAddress(text);
  if (address !== null) return address;
  throw new ConfigError(
    `${from.detail} must be HOST:PORT, e.g. ${DEFAULT_ADDRESSES[word]}, or off: found "${text}"`,
  );
}
