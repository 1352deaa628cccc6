// The listeners of the Kafka transport, from the three ways to give them: its options in the config
// file, Kafka's settings `listeners` and `advertised.listeners`, and --kafka.
// Invariant: the planned transport ends up with whole `listeners`, as plugins/transport-kafka takes them.
// Kafka: `listeners`, `advertised.listeners`, `socket.request.max.bytes` and the like.

import { parseAddress, parseListeners } from "./addresses.ts";
import { ConfigError } from "./config_error.ts";
import type { PluginUse } from "./define_config.ts";

export const KAFKA_ADDRESS_DEFAULT = "127.0.0.1:9092";
/** Name of the one listener where none is named. */
const LISTENER_NAME = "kafka";

/** One listener as plugins/transport-kafka takes it. */
export interface PlannedListener {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly advertisedHost?: string;
  readonly advertisedPort?: number;
}

/** Kafka's settings that bound the transport, and the options they are. */
const OPTION_SETTINGS: Readonly<Record<string, string>> = {
  "socket.request.max.bytes": "frameBytesMax",
  "connections.max.idle.ms": "connectionIdleMsMax",
  "max.connections": "connectionsMax",
  "fetch.max.bytes": "fetchBytesMax",
  "max.incremental.fetch.session.cache.slots": "sessionCacheSlots",
};
/** What the options take, where Kafka's settings go beyond. */
const OPTION_BOUNDS: Readonly<Record<string, readonly [number, number]>> = {
  frameBytesMax: [1024, 0x7fffffff],
  connectionIdleMsMax: [1, Number.MAX_SAFE_INTEGER],
  // The transport asks for the setting itself, which may change; this only lifts the transport's own bound.
  connectionsMax: [20_000, 1_000_000],
  fetchBytesMax: [1024, 0x7fffffff],
  sessionCacheSlots: [0, 1_000_000],
};

/**
 * Gives every Kafka transport its whole listeners.
 *
 * @param listeners The setting `listeners`, which stands behind the transport's own options.
 * @param settings What else bounds the transport; `advertised.listeners` stands before the options.
 */
export function applyKafkaSettings(
  transports: object[],
  listeners: string | undefined,
  settings: Readonly<Record<string, string>>,
): void {
  for (const [at, transport] of transports.entries()) {
    if (!isKafka(transport)) continue;
    const { listen, advertise, ...options } = transport.options ?? {};
    const whole = advertised(
      listenersOf(listen, advertise, options["listeners"], listeners),
      settings["advertised.listeners"],
    );
    transports[at] = {
      use: transport.use,
      options: { ...optionsOf(settings), ...options, listeners: whole },
    };
  }
  if (listeners !== undefined && !transports.some(isKafka)) {
    throw new ConfigError("The setting listeners needs a Kafka transport: add one to transports");
  }
}

/** Moves the first listener of the Kafka transport to `address` (HOST:PORT), or adds the transport. */
export function applyKafkaAddress(transports: object[], address: string): void {
  const { host, port } = parseAddress(address)!;
  const at = transports.findIndex(isKafka);
  if (at === -1) {
    transports.push({
      use: "kafka",
      options: { listeners: [{ name: LISTENER_NAME, host, port }] },
    });
    return;
  }
  const { use, options } = transports[at] as PluginUse;
  const [first, ...others] = options!["listeners"] as PlannedListener[];
  transports[at] = {
    use,
    options: { ...options, listeners: [{ ...first!, host, port }, ...others] },
  };
}

/** The listeners of a planned transport; none for one that is not the built-in Kafka one. */
export function kafkaListenersOf(transport: object): readonly PlannedListener[] {
  return isKafka(transport) ? ((transport.options?.["listeners"] ?? []) as PlannedListener[]) : [];
}

function isKafka(transport: object): transport is PluginUse {
  return "use" in transport && transport.use === "kafka";
}

function listenersOf(
  listen: unknown,
  advertise: unknown,
  list: unknown,
  setting: string | undefined,
): PlannedListener[] {
  const own = list as { name: string; listen: string; advertise?: string }[] | undefined;
  if (own !== undefined) {
    return own.map((each) => listener(each.name, each.listen, each.advertise));
  }
  if (listen === undefined && setting !== undefined) {
    const read = parseListeners(setting);
    if (read === null) {
      throw new ConfigError(
        `The setting listeners must be NAME://HOST:PORT, separated by commas: found "${setting}"`,
      );
    }
    return read;
  }
  return [
    listener(
      LISTENER_NAME,
      (listen as string | undefined) ?? KAFKA_ADDRESS_DEFAULT,
      advertise as string | undefined,
    ),
  ];
}

function listener(name: string, listen: string, advertise: string | undefined): PlannedListener {
  const { host, port } = parseAddress(listen)!;
  if (advertise === undefined) return { name, host, port };
  const told = parseAddress(advertise)!;
  return { name, host, port, advertisedHost: told.host, advertisedPort: told.port };
}

/** Sets what `advertised.listeners` tells clients, matched by name; one to one whatever the names. */
function advertised(
  listeners: readonly PlannedListener[],
  setting: string | undefined,
): readonly PlannedListener[] {
  if (setting === undefined || setting === "") return listeners;
  const told = parseListeners(setting);
  if (told === null) {
    throw new ConfigError(
      `The setting advertised.listeners must be NAME://HOST:PORT, separated by commas: found "${setting}"`,
    );
  }
  for (const { name, host } of told) {
    if (host === "0.0.0.0" || host === "::") {
      throw new ConfigError(
        `The setting advertised.listeners must name a host that clients can reach: found "${host}" for ${name}`,
      );
    }
  }
  if (told.length === 1 && listeners.length === 1) {
    return [{ ...listeners[0]!, advertisedHost: told[0]!.host, advertisedPort: told[0]!.port }];
  }
  const matched = new Set<string>();
  const whole = listeners.map((each) => {
    const match = told.find(({ name }) => name.toUpperCase() === each.name.toUpperCase());
    if (match === undefined) return each;
    matched.add(match.name);
    return { ...each, advertisedHost: match.host, advertisedPort: match.port };
  });
  const stray = told.find(({ name }) => !matched.has(name));
  if (stray !== undefined) {
    const names = listeners.map(({ name }) => name).join(", ");
    throw new ConfigError(
      `The setting advertised.listeners names "${stray.name}", which is no listener here: ${names}`,
    );
  }
  return whole;
}

function optionsOf(settings: Readonly<Record<string, string>>): Record<string, number> {
  const options: Record<string, number> = {};
  for (const [setting, option] of Object.entries(OPTION_SETTINGS)) {
    const text = settings[setting];
    // What is no number is refused where settings are checked, by its own name.
    if (text === undefined || !/^-?\d+$/.test(text)) continue;
    const value = Number(text);
    const [least, most] = OPTION_BOUNDS[option]!;
    options[option] = value < 0 ? most : Math.max(least, Math.min(value, most));
  }
  return options;
}
