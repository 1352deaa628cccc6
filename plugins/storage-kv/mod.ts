// storage-kv: segments, and a metadata store, over a small key-value store: SQLite by default.
// Invariant: one opener at a time, by SQLite's lock and by the owner key; a commit is all or nothing; what a
// call's promise says is durable survives a power loss. node:sqlite is loaded when a file is opened.

import type { KeyValueStore } from "../../src/contracts/key_value.ts";
import type { MetadataStorePlugin } from "../../src/contracts/metadata_store.ts";
import type { StoragePlugin } from "../../src/contracts/storage.ts";
import { type KeyValueFile, type KeyValuePlace, openerOf } from "./default_store.ts";
import { metadataKv as metadataOver } from "./metadata_kv.ts";
import type { SqliteKeyValueOptions } from "./sqlite_key_value.ts";
import { storageKv as storageOver } from "./storage_kv.ts";

export type { KeyValuePlace } from "./default_store.ts";
export {
  type DurableObjectStorageLike,
  durableObjectKeyValue,
} from "./durable_object_key_value.ts";
export type { OpenKeyValue } from "./open_key_value.ts";
export type { SqliteKeyValueOptions } from "./sqlite_key_value.ts";

const LOG: KeyValueFile = {
  what: "the log",
  pathOf: (brokerId) => `broker-${brokerId}/log.sqlite`,
  takenBy: (brokerId) => `broker-${brokerId}/format.json`,
};
/** Not in the folder of the broker's log, which may be one of files: all that lies there is a segment to storage-fs. */
const METADATA: KeyValueFile = {
  what: "the metadata",
  pathOf: (brokerId) => `metadata/broker-${brokerId}.sqlite`,
};

/** What storageKv takes: exactly one of `directory`, `path` and `open`. */
export interface StorageKvOptions extends KeyValuePlace {}

/** What metadataKv takes: exactly one of `directory`, `path` and `open`. */
export interface MetadataKvOptions extends KeyValuePlace {
  /** Revisions kept in memory for watches that lag; older ones answer "reset". Default 10,000. */
  readonly historyRevisionsMax?: number;
}

/**
 * Segment files in DIRECTORY/broker-N/log.sqlite, in the SQLite file at `path`, or in what `open` gives.
 *
 * @throws {StorageError} at once when not exactly one place is given, or `sizeBytesMax` is below 4 MiB
 * @errors locked (another process or opener), version (a newer format), exists (storage-fs has a log there),
 *   corrupt, full, io
 */
export function storageKv(options: StorageKvOptions): StoragePlugin {
  return storageOver({ open: openerOf(options, LOG) });
}

/**
 * A metadata store in DIRECTORY/metadata/broker-N.sqlite, in the SQLite file at `path`, or in what `open`
 * gives; for clusters of one broker.
 *
 * @throws {StorageError} at once when not exactly one place is given, or `sizeBytesMax` is below 4 MiB
 * @errors locked (another process or opener), version (a newer format), corrupt, unavailable
 */
export function metadataKv(options: MetadataKvOptions): MetadataStorePlugin {
  const { historyRevisionsMax } = options;
  return metadataOver({
    open: openerOf(options, METADATA),
    ...(historyRevisionsMax === undefined ? {} : { historyRevisionsMax }),
  });
}

/**
 * The key-value store of both, alone: opens or makes the SQLite file at `path`.
 *
 * @throws {StorageError} locked, version, corrupt, full, io; io also where the runtime has no `node:sqlite`
 */
export async function sqliteKeyValue(options: SqliteKeyValueOptions): Promise<KeyValueStore> {
  return await (await import("./sqlite_key_value.ts")).sqliteKeyValue(options);
}
