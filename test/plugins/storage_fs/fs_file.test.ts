import { describe, expect, test } from "bun:test";
import { storageFs } from "../../../plugins/storage-fs/mod.ts";
import { StorageError } from "../../../src/contracts/errors.ts";
import type { SegmentStore } from "../../../src/contracts/storage.ts";
import { pluginContext } from "../../../src/testing/conformance/plugin_context.ts";
import {
  type RecordedFiles,
  recordingFiles,
} from "../../../src/testing/power_loss/recording_files.ts";

const LARGE = 100_000;

describe("a failing disk", () => {
  for (const [code, expected] of [
    ["ENOSPC", "full"],
    ["EDQUOT", "full"],
    ["EFBIG", "full"],
    ["EIO", "io"],
    ["EROFS", "io"],
  ] as const) {
    for (const sizeBytes of [100, LARGE]) {
      test(`append() of ${sizeBytes} bytes turns ${code} into ${expected} and poisons the file`, async () => {
        const { store, layer } = await rigged();
        const file = await store.open("a", { create: true });
        await file.append([bytes(50, 1)]);
        await file.sync();
        fail(layer, "write", code);
        await expectCode(expected, file.append([bytes(sizeBytes, 2)]));
        restore(layer);
        await expectCode("io", file.append([bytes(1, 3)]));
        await expectCode("io", file.sync());
        await expectCode("io", file.truncate(0));
        expect(file.sizeBytes).toBe(50);
        expect(await file.readInto(new Uint8Array(100), 0)).toBe(50);
        await file.close();
        const again = await store.open("a", { create: false });
        await again.append([bytes(1, 3)]);
        await again.sync();
      });
    }
  }

  test("sync() that fails is never retried as if nothing had happened", async () => {
    const { store, layer } = await rigged();
    const file = await store.open("a", { create: true });
    await file.append([bytes(50, 1)]);
    fail(layer, "sync", "EIO");
    const first = file.sync();
    await file.append([bytes(50, 1)]);
    const second = file.sync();
    const third = file.sync();
    await Promise.all([first, second, third].map((sync) => expectCode("io", sync)));
    restore(layer);
    await expectCode("io", file.sync());
    await expectCode("io", file.append([bytes(1, 1)]));
  });

  test("a folder that cannot be synced fails every sync of a new name in it", async () => {
    const { store, layer } = await rigged();
    const file = await store.open("p/a", { create: true });
    await file.append([bytes(50, 1)]);
    fail(layer, "syncDirectory", "EIO");
    await expectCode("io", file.sync());
    restore(layer);
    await expectCode("io", file.sync());
    await expectCode("io", store.remove("p/b"));
  });

  test("commit() fails when one of its files does", async () => {
    const { store, layer } = await rigged();
    const a = await store.open("a", { create: true });
    const b = await store.open("b", { create: true });
    fail(layer, "sync", "ENOSPC");
    const appends = [a, b].map((file) => ({ file, chunks: [bytes(10, 1)] }));
    await expectCode("full", store.commit(appends));
  });

  test("reads and listings that fail are io, and the file goes on", async () => {
    const { store, layer } = await rigged();
    const file = await store.open("a", { create: true });
    await file.append([bytes(50, 1)]);
    fail(layer, "read", "EIO");
    await expectCode("io", (async () => await file.readInto(new Uint8Array(1), 0))());
    fail(layer, "list", "EIO");
    await expectCode("io", store.list(""));
    restore(layer);
    await file.append([bytes(1, 1)]);
    await file.sync();
  });
});

describe("short calls", () => {
  test("append() goes on after short writes, whatever the sizes of the chunks", async () => {
    for (const takenMax of [1, 7, 4_096]) {
      const { store, layer } = await rigged();
      const file = await store.open("a", { create: true });
      const whole = layer.write;
      layer.write = (fd, parts, position) => whole(fd, firstOf(parts, takenMax), position);
      layer.writeLater = async (fd, parts, position) => layer.write(fd, parts, position);
      const sizes =
        takenMax < 100 ? [3, 0, 20, 9_000, 1, 500] : [3, 20, LARGE, 4_000, 8_000, 9_000];
      const chunks = sizes.map((sizeBytes, i) => bytes(sizeBytes, i + 1));
      await file.append(chunks.slice(0, 3));
      await file.append(chunks.slice(3));
      const expected = chunks.flatMap((chunk) => [...chunk]);
      const found = new Uint8Array(expected.length);
      expect(await file.readInto(found, 0)).toBe(expected.length);
      expect([...found]).toEqual(expected);
    }
  });

  test("append() does not loop when the disk takes nothing", async () => {
    const { store, layer } = await rigged();
    for (const sizeBytes of [10, LARGE]) {
      const file = await store.open(`${sizeBytes}`, { create: true });
      layer.write = () => 0;
      layer.writeLater = async () => 0;
      await expectCode("io", file.append([bytes(sizeBytes, 1)]));
      restore(layer);
    }
  });

  test("readInto() goes on after short reads", async () => {
    const { store, layer } = await rigged();
    const file = await store.open("a", { create: true });
    await file.append([new Uint8Array(1_000).map((_, i) => i)]);
    const whole = layer.read;
    layer.read = (fd, target, position) => whole(fd, target.subarray(0, 7), position);
    layer.readLater = async (fd, target, position) => layer.read(fd, target, position);
    const target = new Uint8Array(990);
    expect(await file.readInto(target, 5)).toBe(990);
    expect([target[0], target[989]]).toEqual([5, 994 & 0xff]);
  });
});

describe("readInto()", () => {
  test("answers at once for what this process wrote lately, and waits for what is cold", async () => {
    const { store, layer, restart } = await rigged({ warmReadBytes: 10_000 });
    let laterCount = 0;
    const later = layer.readLater;
    layer.readLater = (...args) => {
      laterCount++;
      return later(...args);
    };
    const file = await store.open("a", { create: true });
    await file.append([bytes(15_000, 1)]);
    const target = new Uint8Array(100);
    expect(file.readInto(target, 5_000)).toBe(100);
    expect(laterCount).toBe(0);
    expect(await file.readInto(target, 4_999)).toBe(100);
    expect(laterCount).toBe(1);

    const again = await (await restart()).open("a", { create: false });
    expect(await again.readInto(target, 14_900)).toBe(100);
    expect(laterCount).toBe(2);
    await again.append([bytes(200, 2)]);
    expect(again.readInto(target, 15_050)).toBe(100);
    expect(laterCount).toBe(2);
    await again.truncate(14_000);
    await again.append([bytes(200, 3)]);
    expect(again.readInto(target, 14_050)).toBe(100);
    expect(target[0]).toBe(3);
    expect(await again.readInto(target, 13_950)).toBe(100);
    expect([target[49], target[50], laterCount]).toEqual([1, 3, 3]);
  });

  test("of a recycled file never shows what was there before", async () => {
    const { store } = await rigged();
    const old = await store.open("old", { create: true });
    await old.append([bytes(5_000, 9)]);
    await old.close();
    const file = await store.recycle("old", "new");
    await file.append([bytes(10, 1)]);
    const target = new Uint8Array(100);
    expect(await file.readInto(target, 0)).toBe(10);
    expect(await file.readInto(target, 10)).toBe(0);
    await file.close();
    const again = await store.open("new", { create: false });
    expect(again.sizeBytes).toBe(5_000);
  });
});

describe("file handles", () => {
  test("stay within their bound, are not closed dirty or in use, over many files", async () => {
    const { store, layer } = await rigged({ fileHandlesMax: 4 });
    const watched = watchHandles(layer);
    const files = await Promise.all(
      Array.from({ length: 60 }, (_, i) => store.open(`p/${i}`, { create: true })),
    );
    const model = files.map(() => [] as number[]);
    let seed = 1;
    const next = (below: number) => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
      return (seed >>> 8) % below;
    };
    for (let round = 0; round < 40; round++) {
      const chosen = new Set(Array.from({ length: 12 }, () => next(files.length)));
      await Promise.all(
        [...chosen].map(async (i) => {
          const file = files[i]!;
          const value = next(256);
          const sizeBytes = next(4) === 0 ? 70_000 : 10;
          await file.append([bytes(sizeBytes, value)]);
          model[i]!.push(...bytes(sizeBytes, value));
          if (next(3) === 0) await file.sync();
          const position = next(model[i]!.length);
          const target = new Uint8Array(10);
          const count = await file.readInto(target, position);
          expect([...target.subarray(0, count)]).toEqual(model[i]!.slice(position, position + 10));
        }),
      );
      expect(watched.faults).toEqual([]);
    }
    expect(watched.openMax).toBeLessThanOrEqual(4);
    await Promise.all(files.map((file) => file.sync()));
    await Promise.all(files.map((file) => file.close()));
    expect(watched.openCount()).toBe(0);
  });

  test("are given back when the host has none left", async () => {
    const { store, layer } = await rigged();
    const first = await store.open("a", { create: true });
    await (await store.open("b", { create: true })).close();
    const second = await store.open("b", { create: false });
    await first.sync();
    const open = layer.open;
    let refusals = 1;
    layer.open = (path, mode) => {
      if (refusals-- > 0) throw Object.assign(new Error("too many"), { code: "EMFILE" });
      return open(path, mode);
    };
    await second.append([bytes(10, 1)]);
    expect(second.sizeBytes).toBe(10);
  });

  test("close() waits for what runs, and leaves nothing open", async () => {
    const { store, layer } = await rigged();
    const watched = watchHandles(layer);
    const file = await store.open("a", { create: true });
    const append = file.append([bytes(LARGE, 1)]);
    const sync = file.sync();
    const closed = file.close();
    await Promise.all([append, sync, closed]);
    expect(watched.openCount()).toBe(0);
    expect(watched.faults).toEqual([]);
  });
});

/** A store over recorded files whose calls a test can replace one by one. */
async function rigged(options: { fileHandlesMax?: number; warmReadBytes?: number } = {}) {
  const recording = recordingFiles();
  const layer: RecordedFiles = { ...recording.layer };
  originals.set(layer, recording.layer);
  const plugin = storageFs({ directory: "data", files: layer, ...options });
  let storage = await plugin.open(pluginContext());
  return {
    layer,
    store: storage.segments as SegmentStore,
    restart: async () => {
      await storage.close();
      storage = await plugin.open(pluginContext());
      return storage.segments as SegmentStore;
    },
  };
}

const originals = new WeakMap<RecordedFiles, RecordedFiles>();

function restore(layer: RecordedFiles): void {
  Object.assign(layer, originals.get(layer));
}

/** Makes a call, and its sibling off the loop, fail with this code. */
function fail(
  layer: RecordedFiles,
  call: "write" | "read" | "sync" | "syncDirectory" | "list",
  code: string,
) {
  const error = Object.assign(new Error(`${code}: as the test wants it`), { code });
  const now = () => {
    throw error;
  };
  const later = () => Promise.reject(error);
  const calls = { write: now, read: now, list: now, sync: later, syncDirectory: later };
  layer[call] = calls[call] as never;
  if (call === "write") layer.writeLater = later;
  if (call === "read") layer.readLater = later;
}

/** Counts open handles, and notes those closed while dirty or in use. */
function watchHandles(layer: RecordedFiles) {
  const open = new Map<number, { dirty: number; busy: number }>();
  const watched = { openMax: 0, faults: [] as string[], openCount: () => open.size };
  const { open: openFile, close, write, writeLater, sync, readLater } = layer;
  layer.open = (path, mode) => {
    const fd = openFile(path, mode);
    open.set(fd, { dirty: 0, busy: 0 });
    watched.openMax = Math.max(watched.openMax, open.size);
    return fd;
  };
  layer.close = (fd) => {
    const { dirty, busy } = open.get(fd)!;
    if (dirty > 0) watched.faults.push(`${fd} closed dirty`);
    if (busy > 0) watched.faults.push(`${fd} closed in use`);
    open.delete(fd);
    close(fd);
  };
  layer.write = (fd, parts, position) => {
    open.get(fd)!.dirty++;
    return write(fd, parts, position);
  };
  const during = async <T>(fd: number, call: Promise<T>): Promise<T> => {
    const handle = open.get(fd)!;
    handle.busy++;
    const result = await call;
    handle.busy--;
    return result;
  };
  layer.writeLater = (fd, parts, position) => {
    open.get(fd)!.dirty++;
    return during(fd, writeLater(fd, parts, position));
  };
  layer.readLater = (fd, target, position) => during(fd, readLater(fd, target, position));
  layer.sync = async (fd, what) => {
    const { dirty } = open.get(fd)!;
    await during(fd, sync(fd, what));
    open.get(fd)!.dirty -= dirty;
  };
  return watched;
}

function firstOf(parts: readonly Uint8Array[], sizeBytes: number): Uint8Array[] {
  const taken: Uint8Array[] = [];
  let left = sizeBytes;
  for (const part of parts) {
    taken.push(part.subarray(0, left));
    left -= Math.min(left, part.byteLength);
  }
  return taken;
}

function bytes(sizeBytes: number, value: number): Uint8Array {
  return new Uint8Array(sizeBytes).fill(value);
}

async function expectCode(code: string, call: Promise<unknown>): Promise<void> {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(StorageError);
  expect((error as StorageError).code).toBe(code as never);
}
