// The KeyValueStore over the SQLite of a Durable Object: `ctx.storage`. No node: import on this path.
// Invariant: a commit is one transactionSync; `sync` is the object's own, which resolves when all that was
// written is confirmed. The types are structural: no package of the host is imported.

import { StorageError } from "../../src/contracts/errors.ts";
import type { KeyValueStore } from "../../src/contracts/key_value.ts";
import {
  CREATE_TABLE,
  type SqlHost,
  SqlKeyValue,
  type SqlValue,
  STATEMENTS,
  type StatementName,
} from "./sql_key_value.ts";

/** What is needed of a Durable Object's `ctx.storage`. */
export interface DurableObjectStorageLike {
  readonly sql: {
    exec(
      query: string,
      ...bindings: (string | number | ArrayBuffer)[]
    ): { raw(): { toArray(): unknown[][] } };
  };
  transactionSync<T>(work: () => T): T;
  sync(): Promise<void>;
}

/** The host takes 2 MiB for a whole row: this leaves room for the key. */
const VALUE_BYTES_MAX = 2_000_000;
/** It bounds neither; one commit must fit in the memory of the object all the same. */
const OPERATIONS_MAX = 10_000;
const COMMIT_BYTES_MAX = 16 * 1024 * 1024;

/**
 * A store in the table `millrace_kv` of this Durable Object, made when missing. Call it in the object's
 * constructor or later, once for each plugin if they shall close apart from one another.
 *
 * @throws {StorageError} when the table cannot be made: the object has no SQLite (migration `new_sqlite_classes`)
 */
export function durableObjectKeyValue(storage: DurableObjectStorageLike): KeyValueStore {
  const host = new DurableObjectHost(storage);
  try {
    storage.sql.exec(CREATE_TABLE).raw().toArray();
  } catch (error) {
    throw host.errorOf(error, "make a table in");
  }
  return new SqlKeyValue(host, {
    valueBytesMax: VALUE_BYTES_MAX,
    operationsMax: OPERATIONS_MAX,
    commitBytesMax: COMMIT_BYTES_MAX,
  });
}

class DurableObjectHost implements SqlHost {
  readonly #storage: DurableObjectStorageLike;

  constructor(storage: DurableObjectStorageLike) {
    this.#storage = storage;
  }

  rows(name: StatementName, values: readonly SqlValue[]): unknown[][] {
    return this.#storage.sql
      .exec(STATEMENTS[name], ...values.map(bindingOf))
      .raw()
      .toArray();
  }

  run(name: StatementName, values: readonly SqlValue[]): void {
    // A cursor that is not read to its end may not have done its work.
    this.rows(name, values);
  }

  transaction(work: () => boolean): boolean {
    try {
      return this.#storage.transactionSync(() => {
        if (!work()) throw NOT_HELD;
        return true;
      });
    } catch (error) {
      // Only a throw takes the transaction back.
      if (error === NOT_HELD) return false;
      throw error;
    }
  }

  bytesOf(column: unknown): Uint8Array {
    return column instanceof ArrayBuffer ? new Uint8Array(column) : (column as Uint8Array);
  }

  sync(): Promise<void> {
    return this.#storage.sync();
  }

  close(): void {}

  errorOf(error: unknown, action: string): StorageError {
    const reason = error instanceof Error ? error.message : String(error);
    // The host says SQLite's code nowhere but at the end of its message.
    const isFull = /\bSQLITE_FULL\b/.test(reason);
    return new StorageError(
      isFull ? "full" : "io",
      isFull
        ? `Cannot ${action} the Durable Object's storage as it is full: delete topics or records (${reason})`
        : `Cannot ${action} the Durable Object's storage: ${reason}`,
      { cause: error },
    );
  }
}

const NOT_HELD = new Error("a check does not hold");

/** Exactly the bytes of a value as a buffer of its own. */
function bindingOf(value: SqlValue): string | number | ArrayBuffer {
  if (typeof value !== "object") return value;
  const { buffer, byteOffset, byteLength } = value;
  if (buffer instanceof ArrayBuffer && byteOffset === 0 && byteLength === buffer.byteLength) {
    return buffer;
  }
  return value.slice().buffer as ArrayBuffer;
}
