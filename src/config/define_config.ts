// The shape of millrace.config.ts, and the function that gives it types. Data first: the same tree
// as JSON works too (docs/config.schema.json is its schema).

import type { AuthPlugin } from "../contracts/auth.ts";
import type { MetadataStorePlugin } from "../contracts/metadata_store.ts";
import type { StoragePlugin } from "../contracts/storage.ts";
import type { TransportPlugin } from "../contracts/transport.ts";

/** Names the environment variable that holds a secret, so that the file itself holds none. */
export interface EnvReference {
  readonly env: string;
}

/** Names the file that holds a secret, relative to the config file; one newline at its end is not part of it. */
export interface FileReference {
  readonly file: string;
}

/**
 * A plugin by name: a bare word is a built-in one (its options are those of its plugin, less addresses: these
 * are BuiltInListening); with a `/`, `.` or `:` it is a module, whose default export is the plugin or a
 * function from options to it.
 */
export interface PluginUse {
  readonly use: string;
  /**
   * Checked by the plugin's own schema where it is a built-in one. Values may be `{ env: "NAME" }` or
   * `{ file: "PATH" }`.
   */
  readonly options?: Readonly<Record<string, unknown>>;
}

/** A built-in plugin with the types of its options, for an editor to complete. */
export interface BuiltIn<Word extends string, Options> {
  readonly use: Word;
  readonly options?: Options;
}

/** A value in the file, or where to find it. */
export type Referable<Value> = Value | EnvReference | FileReference;

/** A certificate chain with its key, as PEM text: `{ certificatePem: { file: "tls.crt" }, … }`. */
export interface BuiltInTls {
  readonly certificatePem: Referable<string>;
  readonly privateKeyPem: Referable<string>;
  /** Then clients must show a certificate that it signed. */
  readonly clientCaPem?: Referable<string>;
}

/** Where a built-in transport listens: one address, or several with names. */
export interface BuiltInListening {
  /** HOST:PORT; port 0 picks a free one. Kafka 127.0.0.1:9092, HTTP 127.0.0.1:8080, TCP 127.0.0.1:9094. */
  readonly listen?: Referable<string>;
  /** What clients are told, where it differs. */
  readonly advertise?: Referable<string>;
  readonly tls?: BuiltInTls;
  /** Instead of the above. */
  readonly listeners?: readonly {
    readonly name: string;
    readonly listen: Referable<string>;
    readonly advertise?: Referable<string>;
    readonly tls?: BuiltInTls;
  }[];
}

/** Options in which any text may be a reference; words from a list stay what they are. */
type Referring<T> = T extends string
  ? string extends T
    ? Referable<T>
    : T
  : T extends readonly (infer Each)[]
    ? readonly Referring<Each>[]
    : T extends object
      ? { readonly [Key in keyof T]: Referring<T[Key]> }
      : T;
type Bounds<Options> = Omit<Options, "listeners" | "host" | "port" | "tls">;
type KafkaOptions = import("../../plugins/transport-kafka/mod.ts").TransportKafkaOptions;
type PeerTls = NonNullable<KafkaOptions["peerTls"]>;
type KafkaUse = BuiltIn<
  "kafka",
  BuiltInListening &
    Omit<Bounds<KafkaOptions>, "peerTls"> & { readonly peerTls?: Referring<PeerTls> }
>;
type HttpUse = BuiltIn<
  "http",
  BuiltInListening & Bounds<import("../../plugins/transport-http/mod.ts").TransportHttpOptions>
>;
type TcpUse = BuiltIn<
  "tcp",
  BuiltInListening & Bounds<import("../../plugins/transport-tcp/mod.ts").TransportTcpOptions>
>;
type FsUse = BuiltIn<"fs", Partial<import("../../plugins/storage-fs/mod.ts").FsStorageOptions>>;
type KvUse = BuiltIn<
  "kv",
  Omit<import("../../plugins/storage-kv/mod.ts").StorageKvOptions, "open">
>;
type KvMetadataUse = BuiltIn<
  "kv",
  Omit<import("../../plugins/storage-kv/mod.ts").MetadataKvOptions, "open">
>;
type EtcdUse = BuiltIn<
  "etcd",
  Referring<import("../../plugins/metadata-etcd/mod.ts").MetadataEtcdOptions>
>;
type TokenUse = BuiltIn<
  "token",
  Referring<import("../../plugins/auth-token/mod.ts").AuthTokenOptions>
>;

/** A bare name, a name with options, or a plugin made in the file. */
export type Slot<Plugin, Use = never> = string | Use | PluginUse | Plugin;

/** The value of a setting; numbers and booleans stand for their text. */
export type SettingValue = string | number | boolean;

/** What millrace.config.ts and .json hold. Every key may be left out: then the default stands. */
export interface MillraceConfig {
  /** Where an editor finds the schema of a JSON file. */
  readonly $schema?: string;
  /** Folder of the data, relative to this file; "./data" when left out. */
  readonly data?: string;
  readonly broker?: {
    /** From 0; 1 when left out. */
    readonly id?: number;
    /** 22 characters of base64url as Kafka makes them, or any name; drawn at the first start when left out. */
    readonly clusterId?: string;
    readonly rack?: string;
  };
  /** "fs" when left out. */
  readonly storage?: Slot<StoragePlugin, FsUse | KvUse>;
  /** "file" when left out. */
  readonly metadata?: Slot<MetadataStorePlugin, KvMetadataUse | EtcdUse>;
  /** Kafka on 127.0.0.1:9092 and HTTP on 127.0.0.1:8080 when left out. */
  readonly transports?: readonly Slot<TransportPlugin, KafkaUse | HttpUse | TcpUse>[];
  readonly auth?: readonly Slot<AuthPlugin, TokenUse>[];
  /** Broker settings by Kafka's names, e.g. { "log.segment.bytes": 1048576 }. */
  readonly settings?: Readonly<Record<string, SettingValue>>;
  readonly topics?: {
    /** What topics get that do not say otherwise, by the names of topic settings. */
    readonly defaults?: Readonly<Record<string, SettingValue>>;
  };
  readonly log?: {
    /** "info" when left out. */
    readonly level?: "debug" | "info" | "warn" | "error" | "off";
    /** "auto" when left out: text on a terminal, JSON lines elsewhere. */
    readonly format?: "auto" | "json" | "text";
  };
  /** Allows listening off loopback without authentication. */
  readonly insecure?: boolean;
}

/** Gives a configuration its types; returns it as it is. */
export function defineConfig(config: MillraceConfig): MillraceConfig {
  return config;
}
