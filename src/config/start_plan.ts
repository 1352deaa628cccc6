// Puts the layers together: defaults, the config file, MILLRACE_* variables, flags; later ones win.
// Invariant: the plan is complete and checked, and says of every value where it came from.

import { addressText, isLoopback, parseAddress } from "./addresses.ts";
import { ConfigError } from "./config_error.ts";
import type { MillraceConfig, PluginUse, SettingValue, Slot } from "./define_config.ts";
import { applyKafkaAddress, applyKafkaSettings, kafkaListenersOf } from "./kafka_listeners.ts";
import type { Layer } from "./layers.ts";
import type { LoadedConfig } from "./load_config.ts";

export type Source = "default" | "file" | "environment" | "flag";
export interface Provenance {
  readonly source: Source;
  /** The file, the variable or the flag; empty for a default. */
  readonly detail: string;
}

/** A slot as the plan keeps it: a name with options, or a plugin made in the file. */
export type PlannedSlot = PluginUse | object;

export interface StartPlan {
  readonly broker: { readonly id: number; readonly clusterId?: string; readonly rack?: string };
  /** Data folder, absolute or relative to the current one. */
  readonly data: string;
  readonly storage: PlannedSlot;
  readonly metadata: PlannedSlot;
  readonly transports: readonly PlannedSlot[];
  readonly auth: readonly PlannedSlot[];
  readonly settings: Readonly<Record<string, string>>;
  readonly log: {
    readonly level: "debug" | "info" | "warn" | "error" | "off";
    readonly format: "auto" | "json" | "text";
  };
  readonly insecure: boolean;
  /** The folder that module names of plugins start from. */
  readonly moduleFolder: string;
  readonly warnings: readonly string[];
  /** By path of the key: "data", "broker.id", `settings["num.partitions"]`. */
  readonly provenance: ReadonlyMap<string, Provenance>;
}

const LEVELS = ["debug", "info", "warn", "error", "off"] as const;
const FORMATS = ["auto", "json", "text"] as const;
const BUILT_IN: Provenance = { source: "default", detail: "" };

/**
 * The plan of a start.
 *
 * @throws {ConfigError} naming what is wrong and where it was given
 */
export function planStart(
  file: LoadedConfig | null,
  environment: Layer & { readonly warnings?: readonly string[] },
  flags: Layer,
  currentFolder: string,
): StartPlan {
  const provenance = new Map<string, Provenance>();
  const config: MillraceConfig = file?.config ?? {};
  const fromFile: Provenance = { source: "file", detail: file?.path ?? "" };
  const upper: [Layer, Source][] = [
    [flags, "flag"],
    [environment, "environment"],
  ];

  /** The value of one key from the highest layer that gives it. */
  function pick<T, D>(
    path: string,
    key: keyof Layer & string,
    inFile: T | undefined,
    otherwise: D,
    read: (text: string, how: string) => T,
  ): T | D {
    for (const [layer, source] of upper) {
      const value = layer[key];
      if (value === undefined) continue;
      const detail = layer.given.get(key) ?? key;
      provenance.set(path, { source, detail });
      return read(String(value), detail);
    }
    provenance.set(path, inFile === undefined ? BUILT_IN : fromFile);
    return inFile === undefined ? otherwise : inFile;
  }

  const settings = mergeSettings(config, fromFile, upper, provenance);
  const fromSetting = (name: string): string | undefined => {
    const value = settings[name];
    delete settings[name];
    return value;
  };
  // Kafka's names for what has a place of its own here.
  const givenId = fromSetting("node.id") ?? fromSetting("broker.id");
  const nodeId = givenId === "-1" ? undefined : givenId; // Kafka's "none" of broker.id.
  const logDirs = fromSetting("log.dirs") ?? fromSetting("log.dir");
  if (logDirs?.includes(",")) {
    throw new ConfigError(`The setting log.dirs takes one folder: found "${logDirs}"`);
  }

  const fileData =
    config.data === undefined ? undefined : inFolder(file!.folder, config.data, currentFolder);
  const text = (value: string) => value;
  const data = pick("data", "data", fileData ?? logDirs, "./data", text);
  const id = pick(
    "broker.id",
    "brokerId",
    config.broker?.id ??
      (nodeId === undefined ? undefined : brokerId(nodeId, "The setting node.id")),
    1,
    brokerId,
  );
  const clusterId = pick(
    "broker.clusterId",
    "clusterId",
    config.broker?.clusterId,
    undefined,
    text,
  );
  const rack = pick(
    "broker.rack",
    "rack",
    config.broker?.rack ?? settings["broker.rack"],
    undefined,
    text,
  );
  const level = pick("log.level", "logLevel", config.log?.level, "info", oneOf(LEVELS));
  const format = pick("log.format", "logFormat", config.log?.format, "auto", oneOf(FORMATS));
  const insecure = pick(
    "insecure",
    "insecure",
    config.insecure,
    false,
    (value) => value === "true",
  );

  const slot = (path: string, given: Slot<object> | undefined, otherwise: string): PlannedSlot => {
    provenance.set(path, given === undefined ? BUILT_IN : fromFile);
    return planned(given ?? otherwise);
  };
  const transports = (config.transports ?? ["kafka"]).map(planned);
  provenance.set("transports", config.transports === undefined ? BUILT_IN : fromFile);
  const auth = (config.auth ?? []).map(planned);
  provenance.set("auth", config.auth === undefined ? BUILT_IN : fromFile);

  const warnings = [...(environment.warnings ?? [])];
  if (logDirs !== undefined && data !== logDirs) {
    warnings.push(
      `The setting log.dirs has no effect as ${provenance.get("data")!.detail} says ${data}`,
    );
  }
  const listeners = fromSetting("listeners");
  applyKafkaSettings(transports, listeners, settings);
  const kafka = pick("kafka", "kafka", undefined as string | undefined, undefined, (value, how) => {
    if (parseAddress(value) === null) {
      throw new ConfigError(`${how} must be HOST:PORT, e.g. 127.0.0.1:9092: found "${value}"`);
    }
    return value;
  });
  if (kafka === undefined) provenance.delete("kafka");
  else applyKafkaAddress(transports, kafka);
  if (!insecure && auth.length === 0) refuseOpenDoors(transports);

  return {
    broker: {
      id,
      ...(clusterId === undefined ? {} : { clusterId }),
      ...(rack === undefined ? {} : { rack }),
    },
    data,
    storage: slot("storage", config.storage, "fs"),
    metadata: slot("metadata", config.metadata, "file"),
    transports,
    auth,
    settings,
    log: { level, format },
    insecure,
    moduleFolder: file?.folder ?? currentFolder,
    warnings,
    provenance,
  };
}

function mergeSettings(
  config: MillraceConfig,
  fromFile: Provenance,
  upper: readonly [Layer, Source][],
  provenance: Map<string, Provenance>,
): Record<string, string> {
  const settings: Record<string, string> = {};
  const put = (name: string, value: SettingValue, where: Provenance) => {
    settings[name] = String(value);
    provenance.set(`settings[${JSON.stringify(name)}]`, where);
  };
  for (const [name, value] of Object.entries(config.topics?.defaults ?? {})) {
    // The one topic property that is not a topic setting in Kafka.
    put(name === "replication.factor" ? "default.replication.factor" : name, value, fromFile);
  }
  for (const [name, value] of Object.entries(config.settings ?? {})) put(name, value, fromFile);
  for (const [layer, source] of upper.toReversed()) {
    for (const [name, value] of Object.entries(layer.settings)) {
      put(name, value, { source, detail: layer.given.get(`settings.${name}`) ?? name });
    }
  }
  return settings;
}

function planned(slot: Slot<object>): PlannedSlot {
  return typeof slot === "string" ? { use: slot } : slot;
}

/** A path of the config file, as seen from the current folder. */
function inFolder(folder: string, path: string, currentFolder: string): string {
  const { relative, resolve } = process.getBuiltinModule("node:path");
  const full = resolve(folder, path);
  const near = relative(currentFolder, full);
  return near === "" ? "." : near.startsWith("..") ? full : near;
}

function brokerId(text: string, how: string): number {
  if (/^\d{1,10}$/.test(text) && Number(text) <= 0x7fffffff) return Number(text);
  throw new ConfigError(`${how} must be a whole number from 0 to 2147483647: found "${text}"`);
}

function oneOf<T extends string>(values: readonly T[]) {
  return (text: string, how: string): T => {
    const found = values.find((value) => value === text.toLowerCase());
    if (found !== undefined) return found;
    throw new ConfigError(`${how} must be ${values.join(", ")}: found "${text}"`);
  };
}

/** Decision 12: what others can reach wants a lock, or a person who says that it needs none. */
function refuseOpenDoors(transports: readonly PlannedSlot[]): void {
  for (const transport of transports) {
    for (const listener of kafkaListenersOf(transport)) {
      if (isLoopback(listener.host)) continue;
      throw new ConfigError(openDoorText(addressText(listener)));
    }
  }
}

/** Why a broker without authentication does not listen there. */
export function openDoorText(address: string): string {
  return (
    `Refusing to listen on ${address} as others can reach it and nobody is authenticated: ` +
    "listen on 127.0.0.1, or say --insecure if the network around it is trusted"
  );
}
