// storage-kv for hosts without a file system: both plugins over a key-value store that is handed in, and the
// one of a Durable Object. Invariant: nothing that is reached from here imports node:.

export {
  type DurableObjectStorageLike,
  durableObjectKeyValue,
} from "./durable_object_key_value.ts";
export { metadataKv, type OpenedMetadataKvOptions } from "./metadata_kv.ts";
export type { OpenKeyValue } from "./open_key_value.ts";
export { type OpenedStorageKvOptions, storageKv } from "./storage_kv.ts";
