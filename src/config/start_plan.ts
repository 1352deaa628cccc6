// Puts the layers together: defaults, the config file, MILLRACE_* variables, flags; later ones win.
// Invariant: the plan is complete and checked, and says of every value where it came from.

import { type Address, addressText, isLoopback } from "./addresses.ts";
import { ConfigError } from "./config_error.ts";
import type { MillraceConfig, PluginUse, SettingValue, Slot } from "./define_config.ts";
import { type Layer, metadataOfText } from "./layers.ts";
import {
  listenersOf,
  refuseSharedAddresses,
  TRANSPORT_WORDS,
  type TransportWord,
  transportWord,
} from "./listeners.ts";
import type { LoadedConfig } from "./load_config.ts";
import { type GivenAddress, planTransports } from "./plan_transports.ts";
import type { PlannedSlot, Provenance, Source } from "./planned_slot.ts";
import { dereferenced, type OnMissing, type Reference, referenceOf } from "./references.ts";

export interface StartPlan {
  readonly broker: { readonly id: number; readonly clusterId?: string; readonly rack?: string };
  /** Data folder, absolute or relative to the current one. */
  readonly data: string;
  readonly storage: PlannedSlot;
  readonly metadata: PlannedSlot;
  /** A parent process keeps the metadata, and holds the other end of standard input. */
  readonly isBelowParent: boolean;
  readonly transports: readonly PlannedSlot[];
  /** Where HTTP listens as nobody said where: it gives way where that is taken. Null when somebody did. */
  readonly unaskedHttp: Address | null;
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
  /** Addresses that refer to what is not there, by path of the key: none in a plan that can be started. */
  readonly unknownAddresses: ReadonlyMap<string, Reference>;
  /** By path of the key: "data", "broker.id", `settings["num.partitions"]`. */
  readonly provenance: ReadonlyMap<string, Provenance>;
}

const LEVELS = ["debug", "info", "warn", "error", "off"] as const;
const FORMATS = ["auto", "json", "text"] as const;
/** Options of the built-in stores that name a folder or a file. */
export const PATH_OPTIONS = ["directory", "path"];
const BUILT_IN: Provenance = { source: "default", detail: "" };

/**
 * The plan of a start.
 *
 * @param lookUp The value of an environment variable that a listening address refers to.
 * @param onMissing Told of addresses that refer to what is not there, in place of an error: the plan is to be shown.
 * @throws {ConfigError} naming what is wrong and where it was given
 */
export function planStart(
  file: LoadedConfig | null,
  environment: Layer & { readonly warnings?: readonly string[] },
  flags: Layer,
  currentFolder: string,
  lookUp: (name: string) => string | undefined = () => undefined,
  onMissing?: OnMissing,
): StartPlan {
  const provenance = new Map<string, Provenance>();
  const folder = file?.folder ?? currentFolder;
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
    whence: Provenance = fromFile,
  ): T | D {
    for (const [layer, source] of upper) {
      const value = layer[key];
      if (value === undefined) continue;
      const detail = layer.given.get(key) ?? key;
      provenance.set(path, { source, detail });
      return read(String(value), detail);
    }
    provenance.set(path, inFile === undefined ? BUILT_IN : whence);
    return inFile === undefined ? otherwise : inFile;
  }

  const settings = mergeSettings(config, fromFile, upper, provenance);
  const whereSetting = (...names: string[]): Provenance => {
    const paths = names.map((name) => `settings[${JSON.stringify(name)}]`);
    return provenance.get(paths.find((path) => provenance.has(path)) ?? "") ?? BUILT_IN;
  };
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
  const data = pick(
    "data",
    "data",
    fileData ?? logDirs,
    "./data",
    text,
    fileData === undefined ? whereSetting("log.dirs", "log.dir") : fromFile,
  );
  const id = pick(
    "broker.id",
    "brokerId",
    config.broker?.id ??
      (nodeId === undefined ? undefined : brokerId(nodeId, "The setting node.id")),
    1,
    brokerId,
    config.broker?.id === undefined ? whereSetting("node.id", "broker.id") : fromFile,
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
    config.broker?.rack === undefined ? whereSetting("broker.rack") : fromFile,
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
    return withPaths(planned(given ?? otherwise), folder, currentFolder);
  };
  const auth = (config.auth ?? []).map(planned);
  provenance.set("auth", config.auth === undefined ? BUILT_IN : fromFile);
  const storage = slot("storage", config.storage, "fs");
  const metadataInFile = slot("metadata", config.metadata, "file");
  const metadata = pick(
    "metadata",
    "metadata",
    config.metadata === undefined ? undefined : metadataInFile,
    metadataInFile,
    (given, how) => metadataOfText(given, how, metadataInFile),
  );
  refuseOneFile(storage, metadata);

  const warnings = [...(environment.warnings ?? [])];
  if (logDirs !== undefined && data !== logDirs) {
    warnings.push(
      `The setting log.dirs has no effect as ${provenance.get("data")!.detail} says ${data}`,
    );
  }
  const addresses: Partial<Record<TransportWord, GivenAddress>> = {};
  for (const word of TRANSPORT_WORDS) {
    const layer = upper.find(([each]) => each[word] !== undefined);
    if (layer === undefined) continue;
    const [{ [word]: text, given }, source] = layer;
    addresses[word] = { text: text!, from: { source, detail: given.get(word) ?? word } };
  }
  /** Addresses are shown as what they stand for: where that came from is said here. */
  const unknown = new Set<Reference>();
  const places = {
    lookUp,
    folder,
    onMissing:
      onMissing &&
      ((reference: Reference, path: string, why: string) => {
        unknown.add(reference);
        onMissing(reference, path, why);
      }),
  };
  /** For an address that is not known: on loopback, and nobody else's. */
  const placeholder = () => `127.255.255.${unknown.size % 256}:9`;
  const unknownAddresses = new Map<string, Reference>();
  const noteReferences = (transport: PlannedSlot, path: string) => {
    const { options = {} } = transport as PluginUse;
    if (transportWord(transport) === null) return;
    const { listeners = [] } = options as { listeners?: readonly Record<string, unknown>[] };
    const places: [string, Readonly<Record<string, unknown>>][] = [
      [`${path}.options`, options],
      ...listeners.map((each, at): [string, Readonly<Record<string, unknown>>] => [
        `${path}.options.listeners[${at}]`,
        each,
      ]),
      // The one that has no name of its own is shown without a list.
      ...listeners
        .slice(0, listeners.length === 1 ? 1 : 0)
        .map((each): [string, Readonly<Record<string, unknown>>] => [`${path}.options`, each]),
    ];
    for (const [place, given] of places) {
      for (const key of ["listen", "advertise"]) {
        const reference = referenceOf(given[key]);
        if (reference === null) continue;
        const [[kind, name] = []] = Object.entries(reference);
        const whence = `${kind === "env" ? "variable" : "file"} ${name}`;
        provenance.set(`${place}.${key}`, { ...fromFile, detail: `${fromFile.detail}, ${whence}` });
        if (unknown.has(reference)) unknownAddresses.set(`${place}.${key}`, reference);
      }
    }
  };
  const { transports, unaskedHttp, ...from } = planTransports({
    transports: config.transports?.map((each, at) =>
      withAddresses(planned(each), `transports[${at}]`, places, placeholder),
    ),
    addresses,
    listeners: fromSetting("listeners"),
    settings,
    fromSetting: whereSetting,
    fromFile,
  });
  provenance.set("transports", config.transports === undefined ? BUILT_IN : fromFile);
  const kept = (config.transports ?? []).map(planned).filter((each) => {
    const word = transportWord(each);
    return word === null || addresses[word]?.text !== "off";
  });
  for (const [at, each] of kept.entries()) noteReferences(each, `transports[${at}]`);
  for (const [path, where] of from.provenance) {
    provenance.set(`transports${path}`, where);
    // A flag, a variable or a setting says where, instead of the file.
    for (const each of unknownAddresses.keys()) {
      const isPart = each === `transports${path}` || each.startsWith(`transports${path}[`);
      if (isPart) unknownAddresses.delete(each);
    }
  }
  refuseSharedAddresses(transports, unaskedHttp);
  if (!insecure && auth.length === 0) refuseOpenDoors(transports);
  const { use: metadataWord = "" } = metadata as Partial<PluginUse>;
  if ((storage as Partial<PluginUse>).use === "memory" && ["file", "kv"].includes(metadataWord)) {
    warnings.push(
      `The storage is memory and the metadata ${metadataWord}: topics outlast a stop, their records do not, nor are those seen that another storage keeps`,
    );
  }

  return {
    broker: {
      id,
      ...(clusterId === undefined ? {} : { clusterId }),
      ...(rack === undefined ? {} : { rack }),
    },
    data,
    storage,
    metadata,
    isBelowParent: metadataWord === "parent",
    transports,
    unaskedHttp,
    auth,
    settings,
    log: { level, format },
    insecure,
    moduleFolder: folder,
    warnings,
    unknownAddresses,
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

/** A built-in transport whose addresses are what references in them stand for; other references stay. */
function withAddresses(
  transport: PlannedSlot,
  path: string,
  places: Parameters<typeof dereferenced>[2],
  placeholder: () => string,
): PlannedSlot {
  const { options } = transport as PluginUse;
  if (options === undefined || transportWord(transport) === null) return transport;
  const resolved = (given: Readonly<Record<string, unknown>>) => {
    const addresses = Object.entries(given).filter(([key]) => /^(listen|advertise)$/.test(key));
    const found = Object.entries(dereferenced(path, Object.fromEntries(addresses), places)).map(
      ([key, value]) => [key, referenceOf(value) === null ? value : placeholder()],
    );
    return { ...given, ...Object.fromEntries(found) };
  };
  const listeners = options["listeners"] as Record<string, unknown>[] | undefined;
  return {
    ...transport,
    options: {
      ...resolved(options),
      ...(listeners === undefined ? {} : { listeners: listeners.map(resolved) }),
    },
  };
}

/** A built-in store whose folder or file, where its options name one, is seen from the current folder. */
function withPaths(slot: PlannedSlot, folder: string, currentFolder: string): PlannedSlot {
  const { use, options } = slot as Partial<PluginUse>;
  if (use === undefined || options === undefined || /[/.:]/.test(use)) return slot;
  const paths = Object.entries(options)
    .filter(([key, value]) => PATH_OPTIONS.includes(key) && typeof value === "string")
    .map(([key, value]) => [key, inFolder(folder, value as string, currentFolder)]);
  return { use, options: { ...options, ...Object.fromEntries(paths) } };
}

/** SQLite's lock keeps the second opener out, also where that is the same broker. */
function refuseOneFile(storage: PlannedSlot, metadata: PlannedSlot): void {
  const [one, other] = [storage, metadata].map((slot) => {
    const { use, options } = slot as Partial<PluginUse>;
    return use === "kv" ? options?.["path"] : undefined;
  });
  if (typeof one !== "string" || one !== other) return;
  throw new ConfigError(
    `storage and metadata name one SQLite file, which holds one of them: "${one}": give each a path of its own, or leave path out of both`,
  );
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
    for (const listener of listenersOf(transport)) {
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
