// What a Durable Object's `ctx.storage` does, over node:sqlite in memory: exec with a cursor that works only
// when it is read, values as ArrayBuffers of their own, transactions that nest nothing, writes refused at
// more than 2 MiB. The real host is tried by test/edge.

import { DatabaseSync } from "node:sqlite";
import type { DurableObjectStorageLike } from "../../plugins/storage-kv/mod.ts";

const ROW_BYTES_MAX = 2 * 1024 * 1024;

export interface FakeDurableObjectStorage extends DurableObjectStorageLike {
  /** Called before each statement of a kind ("INSERT", …) runs; what it throws, the statement throws. */
  onStatement: (kind: string) => void;
  /** Called for each sync; what it throws, the sync rejects with. */
  onSync: () => void;
  syncCount: number;
  dispose(): void;
}

type Binding = string | number | ArrayBuffer;

export function durableObjectStorage(): FakeDurableObjectStorage {
  const database = new DatabaseSync(":memory:");
  let isInTransaction = false;
  const storage: FakeDurableObjectStorage = {
    onStatement: () => {},
    onSync: () => {},
    syncCount: 0,
    sql: {
      exec(query: string, ...bindings: Binding[]) {
        if (/^\s*(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|PRAGMA)/i.test(query)) {
          throw new Error("not authorized: SQLITE_AUTH");
        }
        for (const binding of bindings) {
          const isView = ArrayBuffer.isView(binding);
          if (isView) throw new TypeError("a binding must be a string, a number or an ArrayBuffer");
          if (binding instanceof ArrayBuffer && binding.byteLength >= ROW_BYTES_MAX) {
            throw new Error("string or blob too big: SQLITE_TOOBIG");
          }
        }
        storage.onStatement(query.trim().split(" ")[0]!);
        const statement = database.prepare(query);
        statement.setReturnArrays(true);
        const values = bindings.map((binding) =>
          binding instanceof ArrayBuffer ? new Uint8Array(binding) : binding,
        );
        return {
          raw: () => ({
            toArray: () =>
              (statement.all(...values) as unknown as unknown[][]).map((row) =>
                row.map((column) =>
                  column instanceof Uint8Array ? column.slice().buffer : column,
                ),
              ),
          }),
        };
      },
    },
    transactionSync<T>(work: () => T): T {
      if (isInTransaction) throw new Error("transactionSync does not nest here");
      isInTransaction = true;
      database.exec("BEGIN");
      try {
        const result = work();
        database.exec("COMMIT");
        return result;
      } catch (error) {
        database.exec("ROLLBACK");
        throw error;
      } finally {
        isInTransaction = false;
      }
    },
    async sync() {
      storage.syncCount++;
      storage.onSync();
    },
    dispose: () => database.close(),
  };
  return storage;
}
