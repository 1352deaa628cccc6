// What node:fs reports, as the closed set of StorageError codes.

import { InvariantError } from "../../src/base/assert.ts";
import { StorageError, type StorageErrorCode } from "../../src/contracts/errors.ts";
import { codeOf } from "../../src/files/file_layer.ts";

/** Out of space, over quota, over the largest file: the caller can tell its own callers. */
const FULL = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

/** Whether a failed write may go through once space has come free. */
export function isOutOfSpace(error: unknown): boolean {
  const code = codeOf(error);
  return code === "ENOSPC" || code === "EDQUOT";
}

/** A failed file call as a StorageError: "full", or "io". @param action E.g. `sync segment "a"`. */
export function storageErrorOf(error: unknown, action: string): StorageError {
  if (error instanceof StorageError) return error;
  // A defect of ours is not the disk's.
  if (error instanceof InvariantError) throw error;
  const found = codeOf(error);
  const code: StorageErrorCode = FULL.has(found) ? "full" : "io";
  const reason = error instanceof Error ? error.message : String(error);
  return new StorageError(code, `Cannot ${action}: ${reason}`, { cause: error });
}
