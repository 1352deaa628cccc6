// Who may import what, as data: the table of docs/ARCHITECTURE.md, enforced by check_imports.ts.
//
// Think about the layering before you change this file: a change here needs an ADR (docs/adr/0001-rings-and-the-import-table.md).
// A room is the longest prefix below that a path starts with; arrows point down the list, never up.

/** What one room may take from another: everything, types only, only by `import()`, or only the files listed. */
export type Grant = "all" | "types" | "dynamic" | readonly string[];

export interface RoomRule {
  readonly room: string;
  /** Paths from the root of the repository; a folder ends in "/". */
  readonly paths: readonly string[];
  readonly may: Readonly<Record<string, Grant>>;
  /** Packages and node: modules; "node:*" for all of them. A value restricts one to these files. */
  readonly outside?: Readonly<Record<string, readonly string[] | "all">>;
  /** The only files that may import a name they compute. */
  readonly computed?: readonly string[];
}

const bytes = { base: "all", record: "all", protocol: "all" } as const;
const below = { ...bytes, contracts: "all" } as const;
const coreFace = ["src/core/mod.ts"];

/** Core rooms, innermost first: each may use those before it, less what `coreExceptions` takes away. */
export const coreStack: readonly string[] = [
  "core/settings",
  "core/log",
  "core/diskless",
  "core/cluster",
  "core/partition",
  "core/replication",
  "core/coordinator/runtime",
  "core/coordinator/group",
  "core/coordinator/transaction",
  "core/coordinator/share",
  "core/security",
  "core/broker",
];

/** Pairs that the stack would allow and the design does not: they meet in records, or above. */
export const coreExceptions: readonly (readonly [from: string, to: string])[] = [
  ["core/cluster", "core/log"],
  ["core/cluster", "core/diskless"],
  ["core/coordinator/transaction", "core/coordinator/group"],
  ["core/coordinator/share", "core/coordinator/group"],
  ["core/coordinator/share", "core/coordinator/transaction"],
];

function coreRooms(): RoomRule[] {
  return coreStack.map((room, index) => {
    const may: Record<string, Grant> = { ...below };
    for (const lower of coreStack.slice(0, index)) {
      if (!coreExceptions.some(([from, to]) => from === room && to === lower)) may[lower] = "all";
    }
    return { room, paths: [`src/${room}/`], may };
  });
}

/** What each plugin may take from outside; its README says the same. A plugin absent here takes nothing. */
export const pluginOutside: Readonly<Record<string, readonly string[]>> = {
  "storage-kv": ["node:*"],
  "transport-http": ["hono"],
  "transport-tcp": ["cbor-x"],
};

export const rooms: readonly RoomRule[] = [
  {
    room: "base",
    paths: ["src/base/"],
    may: {},
    outside: { "xxhash-wasm": ["src/base/xxhash.ts"] },
  },
  { room: "record", paths: ["src/record/"], may: { base: "all" } },
  { room: "protocol", paths: ["src/protocol/"], may: { base: "all", record: "types" } },
  {
    room: "contracts",
    paths: ["src/contracts/"],
    may: { base: "types", record: "types", protocol: "types" },
  },
  ...coreRooms(),
  {
    room: "core",
    paths: ["src/core/mod.ts", "src/core/host.d.ts"],
    may: { contracts: "all", "core/settings": "all", "core/broker": "all" },
  },
  {
    room: "runtime",
    paths: ["src/runtime/"],
    may: { base: "all", record: "all", contracts: "all" },
    outside: {
      "node:*": "all",
      "@logtape/logtape": "all",
      "@noble/hashes": ["src/runtime/edge_cryptography.ts"],
      "@node-rs/crc32": "all",
    },
  },
  {
    room: "config",
    paths: ["src/config/"],
    // The plugins we ship, by name, each loaded when a slot asks for it.
    may: { base: "all", contracts: "all", "plugins/*": "dynamic" },
    outside: {
      zod: "all",
      "node:*": ["src/config/load_config.ts", "src/config/resolve_plugins.ts"],
    },
    computed: ["src/config/load_config.ts", "src/config/resolve_plugins.ts"],
  },
  {
    // What transports of our own share: records, not batches, over the Broker (ADR 19).
    room: "gateway",
    paths: ["src/gateway/"],
    may: { ...below },
  },
  {
    // What metadata stores with one opener share: commits in groups, sessions, the bounds (ADR 32).
    room: "metadata",
    paths: ["src/metadata/"],
    may: { base: "all", contracts: "all" },
  },
  {
    // What plugins that lie in folders share: file calls, the lock of a folder (ADR 34).
    room: "files",
    paths: ["src/files/"],
    may: { contracts: "types" },
    outside: { "node:*": ["src/files/node_files.ts"] },
  },
  {
    // A broker put together for a host that has no config file and no modules to choose from (ADR 1).
    room: "edge",
    paths: ["src/edge/"],
    may: {
      contracts: "all",
      core: coreFace,
      runtime: ["src/runtime/edge_runtime.ts"],
      "plugins/storage-kv": ["plugins/storage-kv/edge.ts"],
      "plugins/transport-http": ["plugins/transport-http/mod.ts"],
    },
  },
  { room: "client", paths: ["src/client/"], may: { ...bytes, contracts: "all" } },
  {
    room: "testing",
    paths: ["src/testing/"],
    may: {
      ...below,
      core: coreFace,
      client: "all",
      "plugins/storage-memory": "all",
      "plugins/metadata-memory": "all",
      "plugins/transport-kafka": "all",
    },
    outside: { "bun:test": "all" },
  },
  {
    room: "cli",
    paths: ["src/cli/"],
    may: {
      base: "all",
      record: "all",
      contracts: "all",
      runtime: "all",
      config: "all",
      client: "all",
      main: "all",
    },
    outside: { citty: "all", "node:*": "all" },
  },
  {
    room: "main",
    paths: ["src/main.ts"],
    may: { contracts: "all", core: coreFace, runtime: "all", config: "all", cli: "all" },
    outside: { "node:*": "all" },
  },
  {
    room: "face",
    paths: ["mod.ts"],
    may: {
      contracts: "all",
      core: coreFace,
      config: ["src/config/define_config.ts"],
      client: "all",
      main: "all",
    },
  },
];

/** Every plugin: the rooms below, its own folder, and what `pluginOutside` names. Never another plugin. */
export const pluginMay: Readonly<Record<string, Grant>> = {
  ...below,
  gateway: "all",
  metadata: "all",
  files: "all",
};

/** Test code may import any room; of packages only these. Nothing shipped may import test code. */
export const testOutside = [
  "bun:test",
  "node:*",
  "fast-check",
  "kafkajs",
  "@platformatic/kafka",
  "@vitest/expect",
  "chai",
  "lz4js",
  "snappyjs",
];
export const testPaths = ["test/", "scripts/", "bench/", "millrace.config.ts"];

/** Packages that more than one shipped file may import (decision 5). Every other has one importer. */
export const sharedPackages = ["zod", "hono"];

/**
 * Faces that are for the outside; inside the repository the file that defines a thing is imported.
 * `src/protocol/mod.ts` is not among them: it defines the framing of requests and responses itself.
 */
export const faces = [
  "src/client/mod.ts",
  "src/contracts/mod.ts",
  "src/core/mod.ts",
  "src/edge/mod.ts",
  "src/record/mod.ts",
  "src/testing/mod.ts",
];
/** Who may import a face nevertheless: the programs and the faces above them. */
export const faceImporters = ["mod.ts", "src/main.ts", "src/cli/", "src/edge/", "src/testing/"];
