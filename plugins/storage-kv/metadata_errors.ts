// What a key-value store reports, as the closed set of MetadataStoreError codes.

import { InvariantError } from "../../src/base/assert.ts";
import {
  MetadataStoreError,
  type MetadataStoreErrorCode,
  StorageError,
} from "../../src/contracts/errors.ts";

/** Codes that say the same in both; all others are "unavailable". */
const SAME = new Set<string>(["locked", "version", "corrupt", "closed"]);

/** @param action E.g. "open the metadata store". */
export function metadataErrorOf(error: unknown, action: string): MetadataStoreError {
  if (error instanceof MetadataStoreError) return error;
  // A defect of ours is not the store's.
  if (error instanceof InvariantError) throw error;
  const isSame = error instanceof StorageError && SAME.has(error.code);
  const code = isSame ? (error.code as MetadataStoreErrorCode) : "unavailable";
  const reason = error instanceof Error ? error.message : String(error);
  return new MetadataStoreError(code, `Cannot ${action}: ${reason}`, { cause: error });
}
