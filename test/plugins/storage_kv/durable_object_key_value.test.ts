// The store over a Durable Object's storage, on a stand-in that is as strict as the host: commits that fail in
// the middle, full storage, two plugins in one object, and no way to a node: module.

import { afterEach, describe, expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { durableObjectKeyValue, metadataKv, storageKv } from "../../../plugins/storage-kv/edge.ts";
import { StorageError } from "../../../src/contracts/errors.ts";
import { pluginContext } from "../../../src/testing/conformance/plugin_context.ts";
import {
  durableObjectStorage,
  type FakeDurableObjectStorage,
} from "../../support/durable_object_storage.ts";

const made: FakeDurableObjectStorage[] = [];
afterEach(() => {
  for (const storage of made.splice(0)) storage.dispose();
});

function object(): FakeDurableObjectStorage {
  const storage = durableObjectStorage();
  made.push(storage);
  return storage;
}

async function refusal(call: () => unknown): Promise<StorageError> {
  try {
    await call();
  } catch (error) {
    if (error instanceof StorageError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

const bytes = (sizeBytes: number, value: number) => new Uint8Array(sizeBytes).fill(value);

describe("the storage of a Durable Object", () => {
  test("takes nothing of a commit that fails in its middle, and no more commits after it", async () => {
    for (const failAt of [0, 1, 2]) {
      const storage = object();
      const kv = durableObjectKeyValue(storage);
      const put = (key: string, value: number) =>
        ({ kind: "put", key, value: bytes(3, value) }) as const;
      await kv.commit([put("a", 1)]);
      let left = failAt;
      storage.onStatement = (kind) => {
        if (kind === "INSERT" && left-- === 0) throw new Error("disk I/O error: SQLITE_IOERR");
      };
      const error = await refusal(() => kv.commit([put("a", 2), put("b", 2), put("c", 2)]));
      expect(error.code).toBe("io");
      storage.onStatement = () => {};
      expect((await refusal(() => kv.commit([put("d", 3)]))).code).toBe("io");
      expect((await refusal(() => kv.sync())).code).toBe("io");
      expect([...(await kv.get("a"))!]).toEqual([1, 1, 1]);
      // The next instance of the object goes on from there.
      const next = durableObjectKeyValue(storage);
      expect(await next.listSizes({ from: "", to: "~", limit: 9 })).toEqual([
        { key: "a", sizeBytes: 3 },
      ]);
      expect(await next.commit([put("d", 3)])).toBe(true);
    }
  });

  test("takes nothing of a commit whose check does not hold", async () => {
    const kv = durableObjectKeyValue(object());
    const put = (key: string, value: number) =>
      ({ kind: "put", key, value: bytes(3, value) }) as const;
    expect(kv.commit([put("a", 1)], [{ key: "a", value: null }])).toBe(true);
    expect(kv.commit([put("a", 2), put("b", 2)], [{ key: "a", value: null }])).toBe(false);
    expect(kv.commit([put("b", 2)], [{ key: "a", value: bytes(3, 7) }])).toBe(false);
    expect(kv.get("b")).toBe(null);
    expect(kv.commit([put("b", 3)], [{ key: "a", value: bytes(3, 1) }])).toBe(true);
    expect(kv.get("b")).toEqual(bytes(3, 3));
  });

  test("that is full, or whose sync fails, says so", async () => {
    const storage = object();
    storage.onStatement = (kind) => {
      if (kind === "INSERT") throw new Error("database or disk is full: SQLITE_FULL");
    };
    const kv = durableObjectKeyValue(storage);
    const error = await refusal(() => kv.commit([{ kind: "put", key: "a", value: bytes(3, 1) }]));
    expect(error.code).toBe("full");
    expect(error.message).toContain("delete topics or records");
    storage.onStatement = () => {};
    storage.onSync = () => {
      throw new Error("Network connection lost.");
    };
    expect((await refusal(() => durableObjectKeyValue(storage).sync())).code).toBe("io");
  });

  test("without SQLite is refused", async () => {
    const storage = object();
    storage.onStatement = () => {
      throw new Error("SQL is not enabled for this Durable Object class.");
    };
    expect((await refusal(() => durableObjectKeyValue(storage))).message).toContain("SQL is not");
  });

  test("holds values that are parts of larger buffers", async () => {
    const kv = durableObjectKeyValue(object());
    const whole = Uint8Array.from({ length: 100 }, (_, i) => i);
    await kv.commit([
      { kind: "put", key: "part", value: whole.subarray(10, 14) },
      { kind: "put", key: "none", value: whole.subarray(10, 10) },
      { kind: "put", key: "all", value: whole },
    ]);
    expect([...(await kv.get("part"))!]).toEqual([10, 11, 12, 13]);
    expect((await kv.get("none"))!.length).toBe(0);
    expect((await kv.get("all"))!.length).toBe(100);
  });

  test("has room for the log and the metadata, which do not see one another", async () => {
    const storage = object();
    const open = () => durableObjectKeyValue(storage);
    for (let instance = 0; instance < 3; instance++) {
      const metadata = await metadataKv({ open }).open(pluginContext());
      const log = await storageKv({ open }).open(pluginContext());
      const file = await log.segments!.open("a", { create: true });
      expect(file.sizeBytes).toBe(instance * 100_000);
      await file.append([bytes(100_000, instance)]);
      await file.sync();
      const key = `k${instance}`;
      await metadata.commit({ conditions: [], writes: [{ key, value: bytes(1, instance) }] });
      expect((await metadata.read("")).entries.length).toBe(instance + 1);
      await metadata.close();
      const before = storage.syncCount;
      await file.append([]);
      await file.sync();
      expect(storage.syncCount).toBe(before);
      await log.close();
    }
  });
});

test("nothing that edge.ts reaches imports a module of Node or of npm", () => {
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const source = fs.readFileSync(file, "utf8");
    for (const [, from] of source.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)) {
      if (!from!.startsWith(".")) throw new Error(`${file} imports ${from}`);
      visit(path.resolve(path.dirname(file), from!));
    }
  };
  visit(fileURLToPath(new URL("../../../plugins/storage-kv/edge.ts", import.meta.url)));
  expect(seen.size).toBeGreaterThan(10);
});
