// SQLite files: their lock, what they refuse to open, full disks, killed processes, and what is left of the
// write-ahead log after a power loss.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { metadataKv, sqliteKeyValue, storageKv } from "../../../plugins/storage-kv/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import { MetadataStoreError, StorageError } from "../../../src/contracts/errors.ts";
import { pluginContext } from "../../../src/testing/conformance/plugin_context.ts";

let directory: string;
let file: string;
const children = new Set<ChildProcess>();
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-sqlite-"));
  file = `${directory}/a.sqlite`;
});
afterEach(async () => {
  for (const child of children) await killed(child);
  fs.rmSync(directory, { recursive: true, force: true });
});

const bytes = (sizeBytes: number, value: number) => new Uint8Array(sizeBytes).fill(value);

async function refusal(call: () => Promise<unknown>): Promise<StorageError> {
  try {
    await call();
  } catch (error) {
    if (error instanceof StorageError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

describe("an SQLite file", () => {
  test("lies where the options say, and is made with its folders", async () => {
    const storage = await storageKv({ directory: `${directory}/new/data/` }).open(pluginContext(7));
    const metadata = await metadataKv({ directory: `${directory}/new/data` }).open(
      pluginContext(7),
    );
    expect(fs.existsSync(`${directory}/new/data/broker-7/log.sqlite`)).toBe(true);
    expect(fs.existsSync(`${directory}/new/data/metadata/broker-7.sqlite`)).toBe(true);
    await metadata.close();
    await storage.close();
    await (await storageKv({ path: `${directory}/other/x.db` }).open(pluginContext())).close();
    expect(fs.existsSync(`${directory}/other/x.db`)).toBe(true);
  });

  test("has exactly one place", async () => {
    expect((await refusal(async () => storageKv({}))).message).toContain("exactly one");
    const both = { directory, path: file };
    expect((await refusal(async () => storageKv(both))).message).toContain("found 2");
    expect((await refusal(async () => metadataKv(both))).code).toBe("io");
  });

  test("is open once in a process, and again after its close", async () => {
    const first = await sqliteKeyValue({ path: file });
    const error = await refusal(() => sqliteKeyValue({ path: file }));
    expect(error.code).toBe("locked");
    expect(error.message).toContain(file);
    expect(error.message).toContain("this process has it open already");
    await first.close();
    await (await sqliteKeyValue({ path: file })).close();
  });

  test("of the log is not the metadata's, and who is in the way is named", async () => {
    // It blamed another process, which nobody could find.
    const storage = await storageKv({ path: file }).open(pluginContext());
    const linked = `${directory}/link.sqlite`;
    fs.symlinkSync(file, linked);
    for (const each of [file, linked]) {
      const opening = metadataKv({ path: each }).open(pluginContext());
      const error = await opening.then(
        () => null,
        (reason: MetadataStoreError) => reason,
      );
      expect(error?.code).toBe("locked");
      expect(error?.message).toContain("this process has it open already, for the log");
      expect(error?.message).toContain("give the metadata a path of its own");
    }
    await storage.close();
    await (await metadataKv({ path: file }).open(pluginContext())).close();
  });

  test("has room for records: a size that takes none is refused at once", async () => {
    for (const sizeBytesMax of [0, 1000, 4 * 1024 * 1024 - 1, 2 ** 30 + 0.5, Number.NaN]) {
      for (const make of [storageKv, metadataKv]) {
        const error = await refusal(async () => make({ path: file, sizeBytesMax }));
        expect(error.message).toContain("at least 4194304 (4 MiB)");
        expect(error.message).toContain(`found ${sizeBytesMax}`);
      }
    }
    const storage = await storageKv({ path: file, sizeBytesMax: 4 * 1024 * 1024 }).open(
      pluginContext(),
    );
    const segment = await storage.segments!.open("a", { create: true });
    await segment.append([bytes(1_000_000, 1)]);
    await segment.sync();
    await storage.close();
  });

  test("is open in one process; a killed one leaves no lock", async () => {
    const child = start("hold");
    expect(await firstLine(child)).toBe("held");
    const error = await refusal(() => storageKv({ directory }).open(pluginContext()));
    expect(error.code).toBe("locked");
    expect(error.message).toContain("another process");
    await killed(child);
    await (await storageKv({ directory }).open(pluginContext())).close();
  }, 20_000);

  test("of another program, a newer format, or damaged is refused and left alone", async () => {
    const cases: readonly [string, () => void, string][] = [
      ["text", () => fs.writeFileSync(file, "no database at all ".repeat(1_000)), "corrupt"],
      ["a strange table", () => withSqlite("CREATE TABLE t (a)"), "corrupt"],
      ["a strange mark", () => withSqlite("PRAGMA application_id = 77"), "corrupt"],
      ["a folder", () => fs.mkdirSync(file), "io"],
    ];
    for (const [what, make, code] of cases) {
      fs.rmSync(file, { recursive: true, force: true });
      make();
      const before = fs.statSync(file).isDirectory() ? "" : fs.readFileSync(file, "latin1");
      const error = await refusal(() => sqliteKeyValue({ path: file }));
      expect([what, error.code]).toEqual([what, code]);
      expect(error.message).toContain(file);
      if (before !== "") expect(fs.readFileSync(file, "latin1") === before).toBe(true);
    }
    fs.rmSync(file, { recursive: true, force: true });
    await (await sqliteKeyValue({ path: file })).close();
    withSqlite("PRAGMA user_version = 2");
    expect((await refusal(() => sqliteKeyValue({ path: file }))).code).toBe("version");
  });

  test("with damaged pages answers corrupt", async () => {
    const kv = await sqliteKeyValue({ path: file });
    for (let i = 0; i < 200; i++) {
      await kv.commit([{ kind: "put", key: `k${1_000 + i}`, value: bytes(3_000, i) }]);
    }
    await kv.close();
    const image = fs.readFileSync(file);
    for (let page = 2; page < image.length / 4096; page++)
      image.fill(0xff, page * 4096, page * 4096 + 200);
    fs.writeFileSync(file, image);
    const error = await refusal(async () => {
      const again = await sqliteKeyValue({ path: file });
      try {
        for (let i = 0; i < 200; i++) await again.get(`k${1_000 + i}`);
      } finally {
        await again.close();
      }
    });
    expect(error.code).toBe("corrupt");
    expect(error.message).toContain("backup");
  });

  test("that is full takes nothing more, keeps what it has, and goes on with more room", async () => {
    const context = pluginContext();
    const open = () => sqliteKeyValue({ path: file, sizeBytesMax: 400_000 });
    const storage = await storageKv({ open }).open(context);
    const segment = await storage.segments!.open("a", { create: true });
    let appended = 0;
    const error = await refusal(async () => {
      for (;;) {
        await segment.append([bytes(50_000, appended)]);
        appended++;
      }
    });
    expect(error.code).toBe("full");
    expect(error.message).toContain("free space");
    expect(appended).toBeGreaterThan(3);
    expect((await refusal(() => segment.append([bytes(1, 1)]))).code).toBe("io");
    expect((await refusal(() => segment.sync())).code).toBe("io");
    expect(await segment.readInto(new Uint8Array(10), 50_000)).toBe(10);
    await storage.close();
    const again = await storageKv({ path: file }).open(context);
    const found = await again.segments!.open("a", { create: false });
    expect(found.sizeBytes).toBe(appended * 50_000);
    await found.append([bytes(100_000, 9)]);
    await found.sync();
    await again.close();
  });

  test("does without node:sqlite what it can: it says what to do", async () => {
    const load = () => Promise.reject(new Error("No such built-in module: node:sqlite"));
    const error = await refusal(() => sqliteKeyValue({ path: file, load }));
    expect(error.code).toBe("io");
    expect(error.message).toContain("no node:sqlite");
    expect(error.message).toContain("storage-fs");
  });

  test("that cannot be written is refused with what to do", async () => {
    const codes: Record<number, [string, string]> = {
      8: ["io", "read-only"],
      10: ["io", "disk failed"],
      266: ["io", "disk failed"],
      13: ["full", "no room"],
      11: ["corrupt", "damaged"],
    };
    for (const [errcode, [code, words]] of Object.entries(codes)) {
      class Failing {
        prepare(): never {
          throw Object.assign(new Error("it says no"), {
            code: "ERR_SQLITE_ERROR",
            errcode: Number(errcode),
          });
        }
        exec(): void {}
        close(): void {}
      }
      const load = async () => ({ DatabaseSync: Failing }) as never;
      const error = await refusal(() => sqliteKeyValue({ path: file, load }));
      expect([errcode, error.code]).toEqual([errcode, code]);
      expect(error.message).toContain(words);
    }
  });

  test("gives the metadata store errors of its own kind", async () => {
    fs.writeFileSync(file, "no database at all ".repeat(1_000));
    let error: unknown = null;
    try {
      await metadataKv({ path: file }).open(pluginContext());
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(MetadataStoreError);
    expect((error as MetadataStoreError).code).toBe("corrupt");
  });
});

describe("a commit", () => {
  test("is done in order, and not at all where a check fails or a statement does", async () => {
    const kv = await sqliteKeyValue({ path: file });
    const put = (key: string, value: number) =>
      ({ kind: "put", key, value: bytes(2, value) }) as const;
    expect(await kv.commit([put("a", 1), { kind: "remove", key: "a" }, put("b", 2)])).toBe(true);
    expect(await kv.get("a")).toBe(null);
    const none = { key: "a", value: null };
    expect(await kv.commit([put("a", 3)], [none, { key: "b", value: bytes(2, 2) }])).toBe(true);
    for (const check of [
      none,
      { key: "b", value: bytes(3, 2) },
      { key: "c", value: bytes(0, 0) },
    ]) {
      expect(await kv.commit([put("a", 9), put("d", 9)], [check])).toBe(false);
    }
    expect(await kv.get("d")).toBe(null);
    expect([...(await kv.get("a"))!]).toEqual([3, 3]);
    const wrong = { kind: "put", key: "e", value: null as unknown as Uint8Array } as const;
    await refusal(async () => await kv.commit([put("d", 4), wrong]));
    expect(await kv.get("d")).toBe(null);
    expect((await refusal(async () => await kv.commit([put("d", 4)]))).code).toBe("io");
    expect((await refusal(() => kv.sync())).code).toBe("io");
    await kv.close();
    expect((await refusal(async () => await kv.get("a"))).code).toBe("closed");
  });

  test("lists in the order of the bytes of keys, both ways, page by page", async () => {
    const kv = await sqliteKeyValue({ path: file });
    const keys = ["a", "a!", "a-", "a.1", "a/", "a0", "aZ", "a_", "aa", "b"];
    for (const key of [...keys].reverse()) {
      await kv.commit([{ kind: "put", key, value: bytes(key.length, 1) }]);
    }
    const range = { from: "a", to: "b", limit: 4 };
    expect((await kv.list(range)).map(({ key }) => key)).toEqual(keys.slice(0, 4));
    const reversed = (await kv.listSizes({ ...range, reverse: true })).map(({ key }) => key);
    expect(reversed).toEqual(["aa", "a_", "aZ", "a0"]);
    await kv.commit([{ kind: "remove_range", from: "a!", to: "aZ" }]);
    expect(await kv.listSizes({ from: "", to: "~", limit: 9 })).toEqual([
      { key: "a", sizeBytes: 1 },
      { key: "aZ", sizeBytes: 2 },
      { key: "a_", sizeBytes: 2 },
      { key: "aa", sizeBytes: 2 },
      { key: "b", sizeBytes: 1 },
    ]);
    await kv.close();
  });
});

describe("sync()", () => {
  test("is a transaction with an fsync of the log; commits have none", async () => {
    // 1 is NORMAL, 2 is FULL. That they do what they say was seen by strace, on Bun and on Deno.
    const levels: string[] = [];
    class Watched extends DatabaseSync {
      override prepare(sql: string): ReturnType<DatabaseSync["prepare"]> {
        const statement = super.prepare(sql);
        if (!/^(UPDATE|COMMIT)/.test(sql)) return statement;
        const run = statement.run.bind(statement);
        const level = () => super.prepare("PRAGMA synchronous").get();
        statement.run = (...values: unknown[]) => {
          const { synchronous } = level() as { synchronous: number };
          levels.push(`${sql.split(" ")[0]} ${synchronous}`);
          return (run as (...all: unknown[]) => ReturnType<typeof run>)(...values);
        };
        return statement;
      }
    }
    const load = async () => ({ DatabaseSync: Watched }) as never;
    const kv = await sqliteKeyValue({ path: file, load });
    levels.length = 0;
    for (let round = 0; round < 2; round++) {
      await kv.commit([{ kind: "put", key: "a", value: bytes(3, 1) }]);
      await kv.commit([{ kind: "put", key: "b", value: bytes(3, 1) }]);
      await kv.sync();
    }
    const round = ["COMMIT 1", "COMMIT 1", "UPDATE 2"];
    expect(levels).toEqual([...round, ...round]);
    await kv.close();
  });

  test("lets timers and connections have their turn", async () => {
    const kv = await sqliteKeyValue({ path: file });
    let hasFired = false;
    setTimeout(() => {
      hasFired = true;
    }, 0);
    // Whoever appends as soon as the append before is answered.
    for (let i = 0; i < 2000 && !hasFired; i++) {
      await kv.commit([{ kind: "put", key: "a", value: bytes(3, 1) }]);
      await kv.sync();
    }
    expect(hasFired).toBe(true);
    await kv.close();
  });
});

describe("the write-ahead log", () => {
  test("is moved into the file now and then: both stay bounded", async () => {
    const kv = await sqliteKeyValue({ path: file });
    const MIB = 1024 * 1024;
    let grown = 0;
    for (let mib = 0; mib < 96; mib++) {
      const puts = Array.from({ length: 16 }, (_, i) => ({
        kind: "put" as const,
        key: `${String(mib).padStart(4, "0")}/${i}`,
        value: bytes(64 * 1024, mib),
      }));
      // The newest 8 MiB are kept, as retention does; every other round syncs.
      const to = `${String(mib - 8).padStart(4, "0")}/`;
      await kv.commit(mib < 8 ? puts : [...puts, { kind: "remove_range", from: "0", to }]);
      if (mib % 2 === 0) await kv.sync();
      if (mib === 48) grown = fs.statSync(file).size;
      expect(fs.statSync(`${file}-wal`).size).toBeLessThan(24 * MIB);
    }
    expect(grown).toBeGreaterThan(8 * MIB);
    expect(fs.statSync(file).size).toBeLessThan(grown + 4 * MIB);
    await kv.close();
  }, 60_000);

  test("that cannot be moved ends the store: SQLite by itself would go on as if nothing was", async () => {
    for (const last of ["commit", "sync"]) {
      let isFailing = false;
      class Failing extends DatabaseSync {
        override prepare(sql: string): ReturnType<DatabaseSync["prepare"]> {
          const statement = super.prepare(sql);
          if (!sql.startsWith("PRAGMA wal_checkpoint")) return statement;
          const get = statement.get.bind(statement);
          statement.get = () => {
            if (isFailing) throw Object.assign(new Error("disk I/O error"), { errcode: 1034 });
            return get();
          };
          return statement;
        }
      }
      const load = async () => ({ DatabaseSync: Failing }) as never;
      const kv = await sqliteKeyValue({ path: `${directory}/${last}.sqlite`, load });
      isFailing = true;
      const value = bytes(64 * 1024, 1);
      let acknowledged = 0;
      const failure = await refusal(async () => {
        for (let i = 0; i < 1000; i++) {
          await kv.commit([{ kind: "put", key: "a", value }]);
          if (last === "sync") await kv.sync();
          acknowledged++;
        }
      });
      expect([failure.code, failure.message]).toEqual(["io", expect.stringContaining("disk")]);
      expect(acknowledged).toBeGreaterThan(50);
      isFailing = false;
      expect((await refusal(() => kv.sync())).code).toBe("io");
      await refusal(async () => await kv.commit([{ kind: "put", key: "b", value }]));
      expect((await kv.get("a"))?.byteLength).toBe(value.byteLength);
      await kv.close();
    }
  });
});

describe("a killed process", () => {
  test("leaves every commit whole, all that it acknowledged, and no lock", async () => {
    let acknowledged = -1;
    for (let round = 0; round < 4; round++) {
      const child = start("write");
      const stopAt = acknowledged + 150 + round * 97;
      for await (const line of linesOf(child)) {
        const n = Number(line);
        expect(n).toBeGreaterThan(acknowledged);
        acknowledged = n;
        if (n >= stopAt) child.kill("SIGKILL");
      }
      await killed(child);
      const storage = await storageKv({ directory }).open(pluginContext());
      const read = async (name: string, stride: number): Promise<number> => {
        const segment = await storage.segments!.open(name, { create: false });
        const count = segment.sizeBytes / stride;
        expect(Number.isInteger(count)).toBe(true);
        const four = new Uint8Array(4);
        for (let n = 0; n < count; n++) {
          await segment.readInto(four, n * stride);
          if (new DataView(four.buffer).getUint32(0) !== n) throw new Error(`${name} at ${n}`);
        }
        await segment.close();
        return count;
      };
      const count = await read("a", 4);
      expect(await read("b", 20_004)).toBe(count);
      expect(count).toBeGreaterThan(acknowledged);
      // Also what nobody synced: it was with the operating system.
      const unsynced = (await storage.segments!.list("c"))[0]!.sizeBytes / 4;
      expect(unsynced).toBeGreaterThan(acknowledged - round);
      await storage.close();
      acknowledged = count - 1;
    }
  }, 60_000);
});

describe("a power loss", () => {
  test("leaves commits in order and whole, and at least those that were synced", async () => {
    const kv = await sqliteKeyValue({ path: file });
    const random = SeededRandom.of("wal");
    const wal = `${file}-wal`;
    let count = 0;
    const commit = async (): Promise<void> => {
      count++;
      const key = `k${count}`;
      const value = new TextEncoder().encode(String(count));
      await kv.commit([
        { kind: "put", key, value: bytes(random.below(9_000), count) },
        { kind: "put", key: "first", value },
        { kind: "remove", key: `k${count - 2}` },
        { kind: "put", key: "second", value },
      ]);
    };
    let lostCount = 0;
    for (let round = 0; round < 10; round++) {
      for (let i = random.below(4); i >= 0; i--) await commit();
      await kv.sync();
      const [synced, syncedBytes] = [count, fs.statSync(wal).size];
      for (let i = random.below(6); i >= 0; i--) await commit();
      const image = fs.readFileSync(wal);
      const main = fs.readFileSync(file);
      for (let loss = 0; loss < 4; loss++) {
        const left = `${directory}/left-${round}-${loss}.sqlite`;
        // What was not synced is there, is not, or is torn, a sector at a time.
        const tornBytes = syncedBytes + random.below(image.length - syncedBytes + 1);
        const torn = new Uint8Array(image.subarray(0, tornBytes));
        for (let at = syncedBytes; at < torn.length; at += 512) {
          if (random.below(loss + 1) > 0) torn.fill(0, at, Math.min(torn.length, at + 512));
        }
        fs.writeFileSync(left, main);
        fs.writeFileSync(`${left}-wal`, torn);
        const after = await sqliteKeyValue({ path: left });
        const found = Number(new TextDecoder().decode((await after.get("first"))!));
        expect(found).toBeGreaterThanOrEqual(synced);
        expect(found).toBeLessThanOrEqual(count);
        if (found < count) lostCount++;
        expect(new TextDecoder().decode((await after.get("second"))!)).toBe(String(found));
        const keys = (await after.listSizes({ from: "k", to: "k~", limit: 9 })).map(
          ({ key }) => key,
        );
        const expected = [found - 1, found].filter((n) => n > 0).map((n) => `k${n}`);
        expect(keys).toEqual(expected.sort());
        await after.close();
      }
    }
    expect(lostCount).toBeGreaterThan(5);
    await kv.close();
  }, 60_000);
});

function withSqlite(sql: string): void {
  const database = new DatabaseSync(file);
  database.exec(sql);
  database.close();
}

const exits = new WeakMap<ChildProcess, Promise<void>>();

function start(mode: "hold" | "write"): ChildProcess {
  const script = fileURLToPath(new URL("./hold_sqlite.ts", import.meta.url));
  const run = "Deno" in globalThis ? ["run", "-A", "--no-check", script] : [script];
  const child = spawn(process.execPath, [...run, mode, directory], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  exits.set(child, new Promise((resolve) => child.once("exit", () => resolve())));
  children.add(child);
  return child;
}

async function killed(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await exits.get(child);
  children.delete(child);
}

async function* linesOf(child: ChildProcess): AsyncIterable<string> {
  let rest = "";
  child.stdout!.setEncoding("utf8");
  for await (const part of child.stdout!) {
    const lines = (rest + part).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

async function firstLine(child: ChildProcess): Promise<string> {
  return await new Promise((resolve, reject) => {
    let text = "";
    child.stdout!.setEncoding("utf8");
    child.stdout!.on("data", (part: string) => {
      text += part;
      if (text.includes("\n")) resolve(text.slice(0, text.indexOf("\n")));
    });
    child.once("exit", (code) => reject(new Error(`the process ended with ${code}: ${text}`)));
  });
}
