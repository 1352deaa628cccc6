// From names to plugins: built-in ones by a table that a bundler can follow, others by import.
// Invariant: what comes out has the kind its slot asks for and speaks contract 1.

import type { AuthPlugin } from "../contracts/auth.ts";
import type { MetadataStorePlugin } from "../contracts/metadata_store.ts";
import type { StoragePlugin } from "../contracts/storage.ts";
import type { TransportPlugin } from "../contracts/transport.ts";
import { ConfigError } from "./config_error.ts";
import type { PluginUse } from "./define_config.ts";
import { hint } from "./nearest_key.ts";
import type { PlannedSlot } from "./planned_slot.ts";
import { dereferenced } from "./references.ts";
import type { StartPlan } from "./start_plan.ts";

type Plugin = StoragePlugin | MetadataStorePlugin | TransportPlugin | AuthPlugin;
type Options = Readonly<Record<string, unknown>>;
type Load = (options: Options, plan: StartPlan) => Promise<Plugin>;
type SlotName = "storage" | "metadata" | "transport" | "auth";

/** Built-in plugins by slot and bare word. Each is loaded when it is named. */
const BUILT_IN: Readonly<Record<SlotName, Readonly<Record<string, Load>>>> = {
  storage: {
    fs: async (options, plan) =>
      (await import("../../plugins/storage-fs/mod.ts")).storageFs({
        directory: plan.data,
        ...options,
      }),
    memory: async () => (await import("../../plugins/storage-memory/mod.ts")).storageMemory(),
    kv: async (options, plan) =>
      (await import("../../plugins/storage-kv/mod.ts")).storageKv(kvPlace(options, plan)),
  },
  metadata: {
    file: async (options, plan) =>
      (await import("../../plugins/metadata-file/mod.ts")).metadataFile({
        directory: plan.data,
        ...options,
      }),
    memory: async (options) =>
      (await import("../../plugins/metadata-memory/mod.ts")).metadataMemory(options),
    kv: async (options, plan) =>
      (await import("../../plugins/storage-kv/mod.ts")).metadataKv(kvPlace(options, plan)),
    etcd: async (options) =>
      (await import("../../plugins/metadata-etcd/mod.ts")).metadataEtcd(
        options as unknown as Parameters<
          typeof import("../../plugins/metadata-etcd/mod.ts")["metadataEtcd"]
        >[0],
      ),
    // Of brokers that a parent process started: by the flag that it gives them, never by a file.
    parent: async (options) =>
      (await import("../../plugins/metadata-parent/mod.ts")).metadataParent(
        options as unknown as Parameters<
          typeof import("../../plugins/metadata-parent/mod.ts")["metadataParent"]
        >[0],
      ),
  },
  transport: {
    kafka: async (options) =>
      (await import("../../plugins/transport-kafka/mod.ts")).transportKafka(
        options as unknown as Parameters<
          typeof import("../../plugins/transport-kafka/mod.ts")["transportKafka"]
        >[0],
      ),
    http: async (options) =>
      (await import("../../plugins/transport-http/mod.ts")).transportHttp(
        options as unknown as Parameters<
          typeof import("../../plugins/transport-http/mod.ts")["transportHttp"]
        >[0],
      ),
    tcp: async (options) =>
      (await import("../../plugins/transport-tcp/mod.ts")).transportTcp(
        options as Parameters<
          typeof import("../../plugins/transport-tcp/mod.ts")["transportTcp"]
        >[0],
      ),
  },
  auth: {
    token: async (options) =>
      (await import("../../plugins/auth-token/mod.ts")).authToken(
        options as unknown as Parameters<
          typeof import("../../plugins/auth-token/mod.ts")["authToken"]
        >[0],
      ),
  },
};
const KINDS: Readonly<Record<SlotName, string>> = {
  storage: "storage",
  metadata: "metadata_store",
  transport: "transport",
  auth: "auth",
};

export interface Plugins {
  readonly storage: StoragePlugin;
  readonly metadata: MetadataStorePlugin;
  readonly transports: readonly TransportPlugin[];
  readonly auth: readonly AuthPlugin[];
}

/**
 * Loads the plugins of a plan, all at once.
 *
 * @param lookUp The value of an environment variable: options may refer to one.
 * @throws {ConfigError} naming the slot when a plugin is unknown, cannot be loaded or is of another kind
 */
export async function resolvePlugins(
  plan: StartPlan,
  lookUp: (name: string) => string | undefined,
): Promise<Plugins> {
  const one = (slot: SlotName, path: string) => (given: PlannedSlot) =>
    resolve(slot, path, given, plan, lookUp);
  const many = (slot: SlotName, path: string, given: readonly PlannedSlot[]) =>
    Promise.all(given.map((each, at) => one(slot, `${path}[${at}]`)(each)));
  const [storage, metadata, transports, auth] = await Promise.all([
    one("storage", "storage")(plan.storage),
    one("metadata", "metadata")(plan.metadata),
    many("transport", "transports", plan.transports),
    many("auth", "auth", plan.auth),
  ]);
  return {
    storage: storage as StoragePlugin,
    metadata: metadata as MetadataStorePlugin,
    transports: transports as TransportPlugin[],
    auth: auth as AuthPlugin[],
  };
}

async function resolve(
  slot: SlotName,
  path: string,
  given: PlannedSlot,
  plan: StartPlan,
  lookUp: (name: string) => string | undefined,
): Promise<Plugin> {
  const plugin = "use" in given ? await load(slot, path, given as PluginUse, plan, lookUp) : given;
  const { kind, contract, name } = plugin as Partial<Plugin>;
  if (kind !== KINDS[slot]) {
    throw new ConfigError(`${path} must be a ${slot} plugin: found one of kind "${kind}"`);
  }
  if (contract !== 1) {
    throw new ConfigError(`${path} "${name}" must speak contract 1: found ${contract}`);
  }
  return plugin as Plugin;
}

async function load(
  slot: SlotName,
  path: string,
  given: PluginUse,
  plan: StartPlan,
  lookUp: (name: string) => string | undefined,
): Promise<unknown> {
  const { use } = given;
  const options = dereferenced(path, given.options ?? {}, {
    lookUp,
    folder: plan.moduleFolder,
  }) as Options;
  const builtIn = BUILT_IN[slot][use];
  const make = builtIn ?? (await importMaker(slot, path, use, plan.moduleFolder));
  try {
    const made = await make(options, plan);
    if (typeof made === "object" && made !== null) return made;
  } catch (error) {
    throw new ConfigError(`Cannot make ${path} "${use}" of its options: ${textOf(error)}`, {
      cause: error,
    });
  }
  throw new ConfigError(
    `${path}: the default export of "${use}" must be a plugin, or a function from options to one`,
  );
}

/** The default export of a module as a function from options; a plugin object takes none. */
async function importMaker(
  slot: SlotName,
  path: string,
  use: string,
  folder: string,
): Promise<(options: Options, plan: StartPlan) => unknown> {
  if (!/[/.:]/.test(use)) {
    const known = Object.keys(BUILT_IN[slot]);
    throw new ConfigError(`${path} names no built-in ${slot} "${use}"${hint(use, known)}`);
  }
  let module: { default?: unknown };
  try {
    module = await import(specifier(use, folder));
  } catch (error) {
    throw new ConfigError(`Cannot load ${path} "${use}": ${textOf(error)}`, { cause: error });
  }
  const { default: maker } = module;
  return typeof maker === "function" ? (options) => maker(options) : () => maker;
}

/** In the data folder, unless the options name a file or another folder. */
function kvPlace(options: Options, plan: StartPlan): Options {
  return options["path"] === undefined ? { directory: plan.data, ...options } : options;
}

function textOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replaceAll(/\s*\n\s*/g, "; ");
}

/** A relative name is relative to the config file; the rest is left to the host. */
function specifier(use: string, folder: string): string {
  if (!use.startsWith(".") && !use.startsWith("/")) return use;
  const path = process.getBuiltinModule("node:path").resolve(folder, use);
  return process.getBuiltinModule("node:url").pathToFileURL(path).href;
}
