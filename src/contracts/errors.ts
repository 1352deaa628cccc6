// The three ways an edge can fail, each with a closed set of codes. No error is recognised by its
// text: rooms look at `code`, people read `message`.

/**
 * How storage fails: "range" a position beyond the end; "full" and "io" the disk; "locked" another process or opener has it;
 * "version" a newer format; "corrupt" the plugin's own files; "closed" a use after close.
 */
export type StorageErrorCode =
  | "not_found"
  | "exists"
  | "range"
  | "full"
  | "io"
  | "locked"
  | "version"
  | "corrupt"
  | "closed"
  | "invalid_name";

/** A storage plugin could not do what was asked. "io" and "full" take the log directory offline. */
export class StorageError extends Error {
  readonly code: StorageErrorCode;
  constructor(code: StorageErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "StorageError";
    this.code = code;
  }
}

/** How the network fails: "in_use" a port taken; "denied" a port not allowed; "reset" the peer broke off; "closed" a use after close. */
export type NetworkErrorCode =
  | "refused"
  | "unreachable"
  | "timeout"
  | "tls"
  | "reset"
  | "in_use"
  | "denied"
  | "closed";

/** The network could not do what was asked. "in_use" and "denied" come from listen. */
export class NetworkError extends Error {
  readonly code: NetworkErrorCode;
  constructor(code: NetworkErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "NetworkError";
    this.code = code;
  }
}

/** How a metadata store fails: "unavailable" may pass and be tried again; "too_large" a commit over its bounds; the rest as in storage. */
export type MetadataStoreErrorCode =
  | "unavailable"
  | "too_large"
  | "locked"
  | "version"
  | "corrupt"
  | "closed";

/** The metadata store could not do what was asked. */
export class MetadataStoreError extends Error {
  readonly code: MetadataStoreErrorCode;
  constructor(code: MetadataStoreErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "MetadataStoreError";
    this.code = code;
  }
}
