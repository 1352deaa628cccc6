// Flags and MILLRACE_* variables as layers over the config file: which exist, and how they are read.
// Invariant: an unknown flag is refused with the nearest known one; nothing is taken silently.

import { ConfigError } from "./config_error.ts";
import type { PluginUse } from "./define_config.ts";
import { hint } from "./nearest_key.ts";
import type { PlannedSlot } from "./planned_slot.ts";

/** What one layer (environment or flags) says. Absent means that it says nothing. */
export interface Layer {
  readonly config?: string;
  readonly data?: string;
  /** HOST:PORT of the Kafka listener; "off" does without. */
  readonly kafka?: string;
  /** The same of the HTTP listener. */
  readonly http?: string;
  /** The same of the TCP listener. */
  readonly tcp?: string;
  /** "file", "memory", "kv", or "etcd=" and endpoints. */
  readonly metadata?: string;
  readonly brokerId?: string;
  readonly clusterId?: string;
  readonly rack?: string;
  readonly logLevel?: string;
  readonly logFormat?: string;
  readonly insecure?: boolean;
  readonly settings: Readonly<Record<string, string>>;
  /** For each of the above that is given, how it was given: "--data", "MILLRACE_DATA". */
  readonly given: ReadonlyMap<string, string>;
}

export interface StartFlags extends Layer {
  readonly help: boolean;
  readonly version: boolean;
}

type Key = Exclude<keyof Layer, "settings" | "given" | "insecure">;

/** Flags with a value, but for -o; and what they set. */
export const FLAGS: Readonly<Record<string, Key>> = {
  "--config": "config",
  "--data": "data",
  "--kafka": "kafka",
  "--http": "http",
  "--tcp": "tcp",
  "--metadata": "metadata",
  "--broker-id": "brokerId",
  "--cluster-id": "clusterId",
  "--rack": "rack",
  "--log-level": "logLevel",
  "--log-format": "logFormat",
};
const METADATA_WORDS = ["file", "memory", "kv"];
/** Where a parent gives those that it starts what opens its store; no other process sees it. */
export const PARENT_TOKEN_VARIABLE = "MILLRACE_PARENT_TOKEN";

const SWITCHES = ["--insecure", "--help", "--version", "-h", "-V"];
const VARIABLES: Readonly<Record<string, Key>> = {
  MILLRACE_CONFIG: "config",
  MILLRACE_DATA: "data",
  MILLRACE_KAFKA: "kafka",
  MILLRACE_HTTP: "http",
  MILLRACE_TCP: "tcp",
  MILLRACE_METADATA: "metadata",
  MILLRACE_BROKER_ID: "brokerId",
  MILLRACE_CLUSTER_ID: "clusterId",
  MILLRACE_RACK: "rack",
  MILLRACE_LOG_LEVEL: "logLevel",
  MILLRACE_LOG_FORMAT: "logFormat",
};
const SETTING_PREFIX = "MILLRACE_SETTING_";

/** Reads the flags of `millrace start`. @throws {ConfigError} for a flag that is unknown or lacks its value */
export function readFlags(argv: readonly string[]): StartFlags {
  const values: Partial<Record<Key, string>> = {};
  const settings: Record<string, string> = {};
  const given = new Map<string, string>();
  let insecure = false;
  let help = false;
  let version = false;
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    const equals = word.startsWith("--") ? word.indexOf("=") : -1;
    const name = equals === -1 ? word : word.slice(0, equals);
    const value = (): string => {
      if (equals !== -1) return word.slice(equals + 1);
      const next = argv[++at];
      if (next === undefined) throw new ConfigError(`The flag ${name} lacks its value`);
      return next;
    };
    const key = FLAGS[name];
    if (key !== undefined) {
      const text = value();
      if (text === "") throw new ConfigError(`The flag ${name} lacks its value`);
      values[key] = text;
      given.set(key, name);
    } else if (name === "-o" || name === "--option") {
      const pair = value();
      const split = pair.indexOf("=");
      if (split < 1) {
        throw new ConfigError(
          `The flag -o takes KEY=VALUE, e.g. -o num.partitions=3: found "${pair}"`,
        );
      }
      const setting = pair.slice(0, split).trim();
      settings[setting] = pair.slice(split + 1).trim();
      given.set(`settings.${setting}`, `-o ${setting}`);
    } else if (!SWITCHES.includes(name) || equals !== -1) {
      const known = [...Object.keys(FLAGS), "--option", ...SWITCHES];
      throw new ConfigError(
        name.startsWith("-")
          ? `Unknown flag "${word}"${hint(name, known)} (millrace start --help lists all)`
          : `Unexpected word "${word}": millrace start takes flags alone (millrace start --help)`,
      );
    } else if (name === "--insecure") {
      insecure = true;
      given.set("insecure", name);
    } else if (name === "--help" || name === "-h") help = true;
    else version = true;
  }
  return { ...values, ...(insecure ? { insecure } : {}), settings, given, help, version };
}

/** These are for the other commands, and may stand in the same shell. */
const CLIENT_VARIABLES = ["MILLRACE_BOOTSTRAP", "MILLRACE_USER", "MILLRACE_TOKEN"];

/** Reads MILLRACE_* variables. Unknown ones are named in `warnings`: they may belong to somebody else. */
export function readEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): Layer & {
  readonly warnings: readonly string[];
} {
  const values: Partial<Record<Key, string>> = {};
  const settings: Record<string, string> = {};
  const given = new Map<string, string>();
  const warnings: string[] = [];
  let insecure: boolean | null = null;
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith("MILLRACE_") || value === undefined || value === "") continue;
    if (CLIENT_VARIABLES.includes(name) || name === PARENT_TOKEN_VARIABLE) continue;
    const key = VARIABLES[name];
    if (key !== undefined) {
      values[key] = value;
      given.set(key, name);
    } else if (name.startsWith(SETTING_PREFIX)) {
      const setting = name.slice(SETTING_PREFIX.length).toLowerCase().replaceAll("_", ".");
      settings[setting] = value;
      given.set(`settings.${setting}`, name);
    } else if (name === "MILLRACE_INSECURE") {
      if (!/^(1|true|0|false)$/i.test(value)) {
        throw new ConfigError(`MILLRACE_INSECURE must be true or false: found "${value}"`);
      }
      insecure = /^(1|true)$/i.test(value);
      given.set("insecure", name);
    } else {
      const known = [...Object.keys(VARIABLES), "MILLRACE_INSECURE", `${SETTING_PREFIX}…`];
      warnings.push(`Unknown variable ${name}${hint(name, known)}`);
    }
  }
  return { ...values, ...(insecure === null ? {} : { insecure }), settings, given, warnings };
}

/**
 * Where the metadata lies, as one word. What the config file says of the same store stays, but for the endpoints: secrets have no
 * place in a flag.
 *
 * @param how What gave it, for messages.
 * @throws {ConfigError}
 */
export function metadataOfText(text: string, how: string, inFile: PlannedSlot): PlannedSlot {
  const { use, options } = inFile as Partial<PluginUse>;
  if (METADATA_WORDS.includes(text)) return use === text ? inFile : { use: text };
  const parentPort = Number(/^parent=(\d{1,5})$/.exec(text)?.[1] ?? 0);
  if (parentPort > 0) {
    return { use: "parent", options: { port: parentPort, token: { env: PARENT_TOKEN_VARIABLE } } };
  }
  const endpoints = /^etcd=(.+)$/.exec(text)?.[1]?.split(",");
  if (endpoints === undefined) {
    throw new ConfigError(
      `${how} takes file, memory, kv or etcd=http://HOST:PORT[,…]: found "${text}"${hint(text, [...METADATA_WORDS, "etcd"])}`,
    );
  }
  const wrong = endpoints.find((each) => !/^https?:\/\/[^\s/@]+$/.test(each));
  if (wrong !== undefined) {
    // Not shown where it may hold a password.
    const shown = wrong.includes("@") ? "" : `: found "${wrong}"`;
    throw new ConfigError(`${how} takes endpoints of etcd like http://127.0.0.1:2379${shown}`);
  }
  return { use: "etcd", options: { ...(use === "etcd" ? options : {}), endpoints } };
}
