// A KeyValueStore in one table of SQLite, whoever runs the statements: node:sqlite or a Durable Object.
// Invariant: the checks and operations of a commit run in one transaction; after a failed commit or sync
// there is no other, as nobody knows what the failed one left.

import { InvariantError } from "../../src/base/assert.ts";
import { StorageError } from "../../src/contracts/errors.ts";
import type {
  KeyValueBounds,
  KeyValueCheck,
  KeyValueEntry,
  KeyValueOperation,
  KeyValueRange,
  KeyValueStore,
} from "../../src/contracts/key_value.ts";

/** A table with its own rowid: large values stay out of the tree that keys are looked up in. */
export const CREATE_TABLE =
  "CREATE TABLE IF NOT EXISTS millrace_kv (key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL)";

/** Every statement there is; a host may prepare them once. */
export const STATEMENTS = {
  get: "SELECT value FROM millrace_kv WHERE key = ?",
  list: "SELECT key, value FROM millrace_kv WHERE key >= ? AND key < ? ORDER BY key LIMIT ?",
  listReverse:
    "SELECT key, value FROM millrace_kv WHERE key >= ? AND key < ? ORDER BY key DESC LIMIT ?",
  sizes:
    "SELECT key, length(value) FROM millrace_kv WHERE key >= ? AND key < ? ORDER BY key LIMIT ?",
  sizesReverse:
    "SELECT key, length(value) FROM millrace_kv WHERE key >= ? AND key < ? ORDER BY key DESC LIMIT ?",
  put: "INSERT INTO millrace_kv (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
  remove: "DELETE FROM millrace_kv WHERE key = ?",
  removeRange: "DELETE FROM millrace_kv WHERE key >= ? AND key < ?",
} as const;

export type StatementName = keyof typeof STATEMENTS;
export type SqlValue = string | number | Uint8Array;

/** Who runs the statements. Its errors are its own; `errorOf` says what they mean. */
export interface SqlHost {
  /** Rows as arrays of columns. */
  rows(name: StatementName, values: readonly SqlValue[]): readonly (readonly unknown[])[];
  run(name: StatementName, values: readonly SqlValue[]): void;
  /** Runs `work` in a transaction, which is taken back when it throws or answers false. */
  transaction(work: () => boolean): boolean;
  /** A column of bytes, owned by the caller from here on. */
  bytesOf(column: unknown): Uint8Array;
  sync(): Promise<void>;
  close(): void;
  /** @param action E.g. "commit to". */
  errorOf(error: unknown, action: string): StorageError;
}

/** Answers everything but `sync` at once. */
export class SqlKeyValue implements KeyValueStore {
  readonly bounds: KeyValueBounds;
  readonly #host: SqlHost;
  #failure: StorageError | null = null;
  #isClosed = false;

  constructor(host: SqlHost, bounds: KeyValueBounds) {
    this.#host = host;
    this.bounds = bounds;
  }

  get(key: string): Uint8Array | null {
    const rows = this.#rows("get", [key]);
    return rows.length === 0 ? null : this.#host.bytesOf(rows[0]![0]);
  }

  list(range: KeyValueRange): readonly KeyValueEntry[] {
    const rows = this.#rows(range.reverse === true ? "listReverse" : "list", valuesOf(range));
    return rows.map((row) => ({ key: row[0] as string, value: this.#host.bytesOf(row[1]) }));
  }

  listSizes(range: KeyValueRange): readonly { key: string; sizeBytes: number }[] {
    const rows = this.#rows(range.reverse === true ? "sizesReverse" : "sizes", valuesOf(range));
    return rows.map((row) => ({ key: row[0] as string, sizeBytes: Number(row[1]) }));
  }

  commit(operations: readonly KeyValueOperation[], checks: readonly KeyValueCheck[] = []): boolean {
    this.#mustTakeCommits();
    const host = this.#host;
    try {
      return host.transaction(() => {
        for (const check of checks) if (!this.#holds(check)) return false;
        for (const operation of operations) {
          if (operation.kind === "put") host.run("put", [operation.key, operation.value]);
          else if (operation.kind === "remove") host.run("remove", [operation.key]);
          else host.run("removeRange", [operation.from, operation.to]);
        }
        return true;
      });
    } catch (error) {
      throw this.#failed(error, "commit to");
    }
  }

  async sync(): Promise<void> {
    this.#mustTakeCommits();
    try {
      await this.#host.sync();
    } catch (error) {
      throw this.#failed(error, "sync");
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      this.#host.close();
    } catch (error) {
      throw this.#errorOf(error, "close");
    }
  }

  #holds({ key, value }: KeyValueCheck): boolean {
    const found = this.get(key);
    if (found === null || value === null) return found === value;
    return found.byteLength === value.byteLength && found.every((byte, i) => byte === value[i]);
  }

  #rows(name: StatementName, values: readonly SqlValue[]): readonly (readonly unknown[])[] {
    this.#mustBeOpen();
    try {
      return this.#host.rows(name, values);
    } catch (error) {
      throw this.#errorOf(error, "read");
    }
  }

  #failed(error: unknown, action: string): StorageError {
    const failure = this.#errorOf(error, action);
    this.#failure ??= failure;
    return failure;
  }

  #errorOf(error: unknown, action: string): StorageError {
    if (error instanceof StorageError) return error;
    // A defect of ours is not the disk's.
    if (error instanceof InvariantError) throw error;
    return this.#host.errorOf(error, action);
  }

  #mustTakeCommits(): void {
    this.#mustBeOpen();
    if (this.#failure === null) return;
    throw new StorageError(
      "io",
      `Cannot use the key-value store as an earlier commit or sync failed: ${this.#failure.message}`,
      { cause: this.#failure },
    );
  }

  #mustBeOpen(): void {
    if (this.#isClosed) {
      throw new StorageError("closed", "Cannot use the key-value store after its close");
    }
  }
}

function valuesOf({ from, to, limit }: KeyValueRange): readonly SqlValue[] {
  return [from, to, limit];
}
