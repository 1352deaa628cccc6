// What Kafka's settings say of the Kafka transport: `listeners`, `advertised.listeners`, and its bounds.
// Invariant: the planned transport ends up with whole `listeners`, as plugins/transport-kafka takes them.
// Kafka: `listeners`, `advertised.listeners`, `socket.request.max.bytes` and the like.

import { parseAddress, parseListeners } from "./addresses.ts";
import { ConfigError } from "./config_error.ts";
import {
  DEFAULT_ADDRESSES,
  type PlannedListener,
  readListeners,
  splitListeners,
} from "./listeners.ts";

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

/** A planned Kafka transport, and which setting each key of its options comes from. */
export interface KafkaOptions {
  readonly options: Readonly<Record<string, unknown>> & {
    readonly listeners: readonly PlannedListener[];
  };
  readonly fromSettings: ReadonlyMap<string, string>;
}

/**
 * Options of the Kafka transport with whole listeners.
 *
 * @param listeners The setting `listeners`, which stands behind the transport's own options.
 * @param settings What else bounds the transport; `advertised.listeners` stands before the options.
 */
export function kafkaOptions(
  given: Readonly<Record<string, unknown>>,
  listeners: string | undefined,
  settings: Readonly<Record<string, string>>,
): KafkaOptions {
  const [own, options] = splitListeners(given);
  const fromSettings = new Map<string, string>();
  let whole = readListeners("kafka", own);
  if (listeners !== undefined && own.listen === undefined && own.listeners === undefined) {
    whole = parseListeners(listeners);
    if (whole === null) {
      throw new ConfigError(
        `The setting listeners must be NAME://HOST:PORT, separated by commas: found "${listeners}"`,
      );
    }
    fromSettings.set("listeners", "listeners");
  }
  whole ??= [{ name: "kafka", ...parseAddress(DEFAULT_ADDRESSES.kafka)! }];
  const told = settings["advertised.listeners"];
  if (told !== undefined && told !== "") fromSettings.set("advertise", "advertised.listeners");
  const toldListeners = advertised(whole, told);
  for (const [at, each] of toldListeners.entries()) {
    const is = whole[at]!;
    const isTold =
      each.advertisedHost !== is.advertisedHost || each.advertisedPort !== is.advertisedPort;
    if (isTold) fromSettings.set(`listeners[${at}].advertise`, "advertised.listeners");
  }
  const bounds = boundsOf(settings);
  for (const [option, { setting }] of bounds) {
    if (options[option] === undefined) fromSettings.set(option, setting);
  }
  return {
    options: {
      ...Object.fromEntries([...bounds].map(([option, { value }]) => [option, value])),
      ...options,
      listeners: toldListeners,
    },
    fromSettings,
  };
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

function boundsOf(
  settings: Readonly<Record<string, string>>,
): Map<string, { readonly value: number; readonly setting: string }> {
  const bounds = new Map<string, { value: number; setting: string }>();
  for (const [setting, option] of Object.entries(OPTION_SETTINGS)) {
    const text = settings[setting];
    // What is no number is refused where settings are checked, by its own name.
    if (text === undefined || !/^-?\d+$/.test(text)) continue;
    const value = Number(text);
    const [least, most] = OPTION_BOUNDS[option]!;
    bounds.set(option, {
      value: value < 0 ? most : Math.max(least, Math.min(value, most)),
      setting,
    });
  }
  return bounds;
}
