// millrace/contracts: the interfaces a plugin author implements, the Broker a transport calls, and
// the three error classes of the edges.

export type * from "./auth.ts";
export { ANONYMOUS, BEARER_MECHANISM } from "./auth.ts";
export type * from "./broker.ts";
export type { MetadataStoreErrorCode, NetworkErrorCode, StorageErrorCode } from "./errors.ts";
export { MetadataStoreError, NetworkError, StorageError } from "./errors.ts";
export type * from "./key_value.ts";
export type * from "./metadata_store.ts";
export { COMMIT_BYTES_MAX, COMMIT_CONDITIONS_MAX, COMMIT_WRITES_MAX } from "./metadata_store.ts";
export type * from "./plugin.ts";
export type * from "./runtime.ts";
export type * from "./storage.ts";
export type * from "./transport.ts";
