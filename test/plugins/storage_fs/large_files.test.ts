// Large files that are removed or cut: the name goes at once, the space bit by bit, off the event loop.

import { describe, expect, test } from "bun:test";
import { linkSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storageFs } from "../../../plugins/storage-fs/mod.ts";
import { HELD_FILES_MAX, HELD_STEPS_MAX } from "../../../plugins/storage-fs/shrinker.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import { StorageError } from "../../../src/contracts/errors.ts";
import type { PluginContext } from "../../../src/contracts/plugin.ts";
import type { SegmentStore, Storage } from "../../../src/contracts/storage.ts";
import type { FileLayer } from "../../../src/files/file_layer.ts";
import { nodeFiles } from "../../../src/files/node_files.ts";
import { pluginContext } from "../../../src/testing/conformance/plugin_context.ts";
import { recordingFiles } from "../../../src/testing/power_loss/recording_files.ts";

const STEP = 1_000;

describe("removal of a large file", () => {
  test("takes the name at once, the space in steps with pauses, and then the handle", async () => {
    const rig = await rigged();
    await rig.fill("p/a", 3_500);
    await rig.fill("p/small", STEP);
    await rig.store.remove("p/small");
    expect(rig.cuts).toEqual([]);
    await rig.store.remove("p/a");
    expect(await rig.store.list("")).toEqual([]);
    expect(rig.layer.list("data/broker-1/p")).toBe(null);
    for (const left of [[2_500], [2_500, 1_500], [2_500, 1_500, 500]]) {
      await settled();
      expect(rig.cuts.map(({ sizeBytes }) => sizeBytes)).toEqual(left);
      expect(rig.openHandles()).toBe(1);
      rig.firePauses();
    }
    await settled();
    expect(rig.cuts.at(-1)!.sizeBytes).toBe(0);
    expect(rig.openHandles()).toBe(0);
    expect(rig.pauses.length).toBe(0);
  });

  test("frees nothing before the name is gone durably, and nothing when that fails", async () => {
    const rig = await rigged();
    await rig.fill("a", 3_500);
    const { syncDirectory } = rig.layer;
    const isSyncing = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    rig.layer.syncDirectory = async (path) => {
      isSyncing.resolve();
      await go.promise;
      await syncDirectory(path);
    };
    const removed = rig.store.remove("a");
    await isSyncing.promise;
    await settled();
    expect(rig.cuts).toEqual([]);
    go.resolve();
    await removed;
    await settled();
    expect(rig.cuts.length).toBe(1);

    await rig.fill("b", 3_500);
    const cutsBefore = rig.cuts.length;
    rig.layer.unlink = () => Promise.reject(failure("EIO"));
    await expectCode("io", rig.store.remove("b"));
    while (rig.pauses.length > 0) {
      rig.firePauses();
      await settled();
    }
    expect(rig.cuts.slice(cutsBefore).every(({ sizeBytes }) => sizeBytes < 2_500)).toBe(true);
    expect(rig.openHandles()).toBe(0);
    expect((await rig.store.list("")).map(({ sizeBytes }) => sizeBytes)).toEqual([3_500]);
  });

  test("leaves the file whole or absent, wherever the power goes", async () => {
    const recording = recordingFiles();
    recording.layer.makeDirectory("data");
    const storage = await opened(recording.layer);
    await fill(storage.segments, "p/a", 3_500);
    const from = recording.points();
    await storage.segments.remove("p/a");
    const removedAt = recording.points();
    await storage.close();
    for (let point = from; point <= recording.points(); point++) {
      for (let seed = 0; seed < 20; seed++) {
        const { layer } = recording.rebuild(point, SeededRandom.of(`${point}/${seed}`));
        const { segments } = await opened(layer);
        const found = await segments.list("");
        if (found.length === 0) continue;
        expect({ point, ...found[0] }).toEqual({ point, name: "p/a", sizeBytes: 3_500 });
        expect(point).toBeLessThan(removedAt);
      }
    }
  });

  test("many at once hold a bounded number of handles and bytes, and all are freed", async () => {
    for (const sizeBytes of [STEP + 1, (HELD_STEPS_MAX / 4) * STEP]) {
      const rig = await rigged();
      const names = Array.from({ length: 60 }, (_, i) => `f${i}`);
      for (const name of names) await rig.fill(name, sizeBytes);
      const heldMax = Math.min(HELD_FILES_MAX, Math.floor((HELD_STEPS_MAX * STEP) / sizeBytes));
      rig.forgetHandles();
      await Promise.all(names.map((name) => rig.store.remove(name)));
      expect(rig.openMax()).toBe(heldMax);
      while (rig.openHandles() > 0) {
        rig.firePauses();
        await settled();
      }
      expect(rig.cuts.filter((cut) => cut.sizeBytes === 0).length).toBe(names.length);
    }
  });

  test("one larger than all that may be held is taken alone", async () => {
    const rig = await rigged();
    await rig.fill("a", 5_000);
    await rig.fill("huge", (HELD_STEPS_MAX + 5) * STEP);
    await rig.store.remove("a");
    await rig.store.remove("huge");
    expect(rig.openHandles()).toBe(1);
    await rig.storage.close();
    expect(rig.openHandles()).toBe(0);
    expect(rig.cuts.filter(({ sizeBytes }) => sizeBytes === 0).length).toBe(2);
  });

  test("falls back on the plain removal where there is no handle, or a step fails", async () => {
    const rig = await rigged();
    await rig.fill("a", 3_500);
    await rig.fill("b", 3_500);
    const { open } = rig.layer;
    rig.layer.open = () => {
      throw failure("EMFILE");
    };
    await rig.store.remove("a");
    rig.layer.open = open;
    rig.layer.truncateLater = () => Promise.reject(failure("EIO"));
    await rig.store.remove("b");
    await settled();
    expect(rig.openHandles()).toBe(0);
    expect(rig.warnings).toEqual(["removed_file_not_shrunk"]);
    expect(await rig.store.list("")).toEqual([]);
    expect(await rig.storage.location!.volume()).toEqual({ totalBytes: 9_000, usableBytes: 100 });
  });
});

describe("space about to be freed", () => {
  test("counts as usable, and an append that finds none waits for it", async () => {
    for (const appendBytes of [500, 100_000]) {
      const rig = await rigged();
      const file = await rig.store.open("live", { create: true });
      await rig.fill("a", 3_500);
      await rig.store.remove("a");
      await settled();
      const { volume } = rig.storage.location!;
      expect(await volume()).toEqual({ totalBytes: 9_000, usableBytes: 2_600 });
      const { write, writeLater } = rig.layer;
      const isFull = () => rig.cuts.at(-1)?.sizeBytes !== 0;
      rig.layer.write = (...args) => {
        if (isFull()) throw failure("ENOSPC");
        return write(...args);
      };
      rig.layer.writeLater = async (...args) => {
        if (isFull()) throw failure("ENOSPC");
        return await writeLater(...args);
      };
      // No pause is ever over here: it does not wait for any.
      expect(await file.append([new Uint8Array(appendBytes).fill(7)])).toBe(0);
      await file.sync();
      expect(file.sizeBytes).toBe(appendBytes);
      const target = new Uint8Array(appendBytes);
      expect(await file.readInto(target, 0)).toBe(appendBytes);
      expect(target.every((byte) => byte === 7)).toBe(true);
      expect(await volume()).toEqual({ totalBytes: 9_000, usableBytes: 100 });
    }
  });

  test("that is not enough leaves the append full, and close() waits for it", async () => {
    const rig = await rigged();
    const file = await rig.store.open("live", { create: true });
    await rig.fill("a", 3_500);
    await rig.store.remove("a");
    rig.layer.write = () => {
      throw failure("ENOSPC");
    };
    rig.layer.writeLater = async () => {
      throw failure("ENOSPC");
    };
    const append = file.append([new Uint8Array(10)]);
    const closed = file.close();
    await expectCode("full", append);
    await closed;
    expect(rig.openHandles()).toBe(0);
  });
});

describe("on a real disk", () => {
  test("a process that dies between two steps leaves nothing behind", async () => {
    await withFolder(async (directory) => {
      const isCutting = Promise.withResolvers<void>();
      const files = {
        ...nodeFiles(),
        truncateLater() {
          isCutting.resolve();
          return new Promise<void>(() => {});
        },
      };
      const fds: number[] = [];
      const open = files.open;
      files.open = (path, mode) => {
        const fd = open(path, mode);
        fds.push(fd);
        return fd;
      };
      const first = await opened(files, directory);
      await fill(first.segments, "journal/1", 5_000);
      await first.segments.remove("journal/1");
      await isCutting.promise;
      // The next one takes the dead one's lock over.
      const next = { ...nodeFiles(), ownProcess: () => "1-1-1", isRunning: () => false };
      const second = await opened(next, directory);
      expect(await second.segments.list("")).toEqual([]);
      expect(readdirSync(`${directory}/broker-1`)).toContain("format.json");
      expect(readdirSync(`${directory}/broker-1`)).not.toContain("journal");
      // A new file of the name is no business of what is being freed.
      await fill(second.segments, "journal/1", 3_000);
      expect(await second.segments.list("")).toEqual([{ name: "journal/1", sizeBytes: 3_000 }]);
      await second.close();
      nodeFiles().close(fds.at(-1)!);
    });
  });

  test("the space comes free, and a hard link that somebody made keeps its bytes", async () => {
    await withFolder(async (directory) => {
      const freed: number[] = [];
      const files = nodeFiles();
      const { close } = files;
      const watched: FileLayer = {
        ...files,
        async truncateLater(fd, sizeBytes) {
          await files.truncateLater(fd, sizeBytes);
          freed.push(sizeBytes);
        },
        close,
      };
      const storage = await opened(watched, directory);
      await fill(storage.segments, "a", 3_500);
      await fill(storage.segments, "b", 3_500);
      const copy = `${directory}/copy`;
      linkSync(`${directory}/broker-1/a`, copy);
      await storage.segments.remove("a");
      await storage.segments.remove("b");
      await storage.close();
      expect(freed).toEqual([2_500, 1_500, 500, 0]);
      expect(statSync(copy).nlink).toBe(1);
      expect(readFileSync(copy).equals(Buffer.alloc(3_500, 1))).toBe(true);
    });
  });

  test("close() does not wait long for a disk that takes its time", async () => {
    await withFolder(async (directory) => {
      const go = Promise.withResolvers<void>();
      const isClosed = Promise.withResolvers<void>();
      const files = nodeFiles();
      let shrunkFd = -1;
      const slow: FileLayer = {
        ...files,
        async truncateLater(fd, sizeBytes) {
          shrunkFd = fd;
          await go.promise;
          await files.truncateLater(fd, sizeBytes);
        },
        close(fd) {
          files.close(fd);
          if (fd === shrunkFd) isClosed.resolve();
        },
      };
      const storage = await opened(slow, directory);
      await fill(storage.segments, "a", 3_500);
      await storage.segments.remove("a");
      await storage.close();
      // Somebody else has the folder by now; what is left has no name there.
      const next = await opened(nodeFiles(), directory);
      await fill(next.segments, "a", 2_000);
      go.resolve();
      await isClosed.promise;
      expect(await next.segments.list("")).toEqual([{ name: "a", sizeBytes: 2_000 }]);
      expect(statSync(`${directory}/broker-1/a`).size).toBe(2_000);
      await next.close();
    });
  });

  test("a recycled file is cut in steps to what was appended", async () => {
    await withFolder(async (directory) => {
      const cuts: number[] = [];
      const files = nodeFiles();
      const watched: FileLayer = {
        ...files,
        truncate() {
          throw new Error("not on the event loop");
        },
        async truncateLater(fd, sizeBytes) {
          await files.truncateLater(fd, sizeBytes);
          cuts.push(sizeBytes);
        },
      };
      const storage = await opened(watched, directory);
      await fill(storage.segments, "old", 3_500);
      const file = await storage.segments.recycle("old", "new");
      await file.append([new Uint8Array(800).fill(9)]);
      await file.truncate(800);
      expect(cuts).toEqual([2_500, 1_500, 800]);
      expect(statSync(`${directory}/broker-1/new`).size).toBe(800);
      await file.append([new Uint8Array(10).fill(8)]);
      await file.sync();
      await storage.close();
      const expected = Buffer.concat([Buffer.alloc(800, 9), Buffer.alloc(10, 8)]);
      expect(readFileSync(`${directory}/broker-1/new`).equals(expected)).toBe(true);
    });
  });
});

describe("truncate()", () => {
  test("lets nobody read meanwhile what goes, and is not taken for synced by a sync that runs", async () => {
    const rig = await rigged();
    const file = await rig.store.open("a", { create: true });
    await file.append([new Uint8Array(3_500).fill(1)]);
    const { truncateLater, sync } = rig.layer;
    const go = Promise.withResolvers<void>();
    rig.layer.truncateLater = async (fd, sizeBytes) => {
      await go.promise;
      await truncateLater(fd, sizeBytes);
    };
    const syncs: string[] = [];
    rig.layer.sync = (fd, what) => {
      syncs.push(what);
      return sync(fd, what);
    };
    const truncated = file.truncate(700);
    await settled();
    expect(file.sizeBytes).toBe(700);
    expect(await file.readInto(new Uint8Array(5_000), 0)).toBe(700);
    await file.sync();
    go.resolve();
    await truncated;
    expect(syncs).toEqual(["data", "all"]);
    expect(rig.cuts.map(({ sizeBytes }) => sizeBytes)).toEqual([2_500, 1_500, 700]);
  });

  test("that fails says so, and the file takes nothing more", async () => {
    const rig = await rigged();
    const file = await rig.store.open("a", { create: true });
    await file.append([new Uint8Array(3_500).fill(1)]);
    rig.layer.truncateLater = () => Promise.reject(failure("EIO"));
    await expectCode("io", file.truncate(700));
    expect(file.sizeBytes).toBe(3_500);
    await expectCode("io", file.append([new Uint8Array(1)]));
    await expectCode("io", file.sync());
  });
});

type Opened = Storage & { segments: SegmentStore };

async function opened(
  files: FileLayer,
  directory = "data",
  context: PluginContext = pluginContext(),
): Promise<Opened> {
  const options = { directory, files, freedAtOnceBytes: STEP };
  return (await storageFs(options).open(context)) as Opened;
}

async function fill(store: SegmentStore, name: string, sizeBytes: number): Promise<void> {
  const file = await store.open(name, { create: true });
  await file.append([new Uint8Array(sizeBytes).fill(1)]);
  await file.sync();
  await file.close();
}

/** A store over recorded files, whose pauses are over when the test says so. */
async function rigged() {
  const recording = recordingFiles().layer;
  const layer: FileLayer = { ...recording };
  const cuts: { fd: number; sizeBytes: number }[] = [];
  const pauses: (() => void)[] = [];
  const warnings: string[] = [];
  const handles = new Set<number>();
  let openMax = 0;
  layer.volume = async () => ({ totalBytes: 9_000, usableBytes: 100 });
  layer.truncateLater = async (fd, sizeBytes) => {
    await recording.truncateLater(fd, sizeBytes);
    cuts.push({ fd, sizeBytes });
  };
  layer.open = (path, mode) => {
    const fd = recording.open(path, mode);
    handles.add(fd);
    openMax = Math.max(openMax, handles.size);
    return fd;
  };
  layer.close = (fd) => {
    recording.close(fd);
    handles.delete(fd);
  };
  const context = pluginContext();
  const { scheduler, log } = context.runtime;
  const storage = await opened(layer, "data", {
    ...context,
    runtime: {
      ...context.runtime,
      log: { ...log, warn: (event) => void warnings.push(event) },
      scheduler: {
        ...scheduler,
        after(_delayMs, _label, task) {
          pauses.push(task);
          return { cancel: () => void pauses.splice(pauses.indexOf(task), 1) };
        },
      },
    },
  });
  return {
    layer,
    storage,
    store: storage.segments,
    cuts,
    pauses,
    warnings,
    fill: (name: string, sizeBytes: number) => fill(storage.segments, name, sizeBytes),
    firePauses() {
      for (const task of pauses.splice(0)) task();
    },
    openHandles: () => handles.size,
    openMax: () => openMax,
    forgetHandles() {
      openMax = 0;
    },
  };
}

/** Everything that waits for nothing but promises has run. */
function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

async function withFolder(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "millrace-large-"));
  try {
    await run(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function failure(code: string): Error {
  return Object.assign(new Error(`${code}: as the test wants it`), { code });
}

async function expectCode(code: string, call: Promise<unknown>): Promise<void> {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(StorageError);
  expect((error as StorageError).code).toBe(code as never);
}
