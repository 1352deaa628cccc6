import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../src/base/prng.ts";
import type { Survivors } from "../../../src/testing/power_loss/rebuild.ts";
import {
  type RecordedFiles,
  type Recording,
  recordingFiles,
} from "../../../src/testing/power_loss/recording_files.ts";

const SECTOR = 512;

describe("recordingFiles()", () => {
  test("reads back what was written, synced or not", async () => {
    const { layer } = recordingFiles();
    const fd = layer.open("a", "create");
    layer.write(fd, [bytes(10, 1), bytes(5, 2)], 0);
    await layer.writeLater(fd, [bytes(3, 3)], 20);
    layer.truncate(fd, 22);
    expect(contentOf(layer, "a")).toEqual([
      ...bytes(10, 1),
      ...bytes(5, 2),
      ...bytes(5, 0),
      ...bytes(2, 3),
    ]);
    expect(layer.sizeOf("a")).toBe(22);
    expect(layer.sizeOf("b")).toBe(null);
  });

  test("fails as a file system does", () => {
    const { layer } = recordingFiles();
    layer.makeDirectory("p");
    const fd = layer.open("p/a", "create");
    layer.close(fd);
    const codeOf = (call: () => unknown) => {
      try {
        call();
      } catch (error) {
        return (error as { code: string }).code;
      }
      return "none";
    };
    expect(codeOf(() => layer.open("p/a", "create"))).toBe("EEXIST");
    expect(codeOf(() => layer.open("p/b", "update"))).toBe("ENOENT");
    expect(codeOf(() => layer.open("q/b", "create"))).toBe("ENOENT");
    expect(codeOf(() => layer.open("p/a/b", "create"))).toBe("ENOTDIR");
    expect(codeOf(() => layer.read(fd, new Uint8Array(1), 0))).toBe("EBADF");
    expect(codeOf(() => layer.removeDirectory("p"))).toBe("ENOTEMPTY");
    expect(codeOf(() => layer.makeDirectory("q/r"))).toBe("ENOENT");
    expect(codeOf(() => layer.rename("p/b", "p/c"))).toBe("ENOENT");
    const reading = layer.open("p/a", "read");
    expect(codeOf(() => layer.write(reading, [bytes(1, 1)], 0))).toBe("EBADF");
    expect(layer.makeDirectory("p")).toBe(false);
    expect(layer.list("nowhere")).toBe(null);
  });
});

describe("a rebuilt power loss", () => {
  test("keeps synced bytes and names, and loses the rest or not", async () => {
    const recording = await synced();
    const fd = recording.layer.open("a", "update");
    recording.layer.write(fd, [bytes(10, 2)], 10);
    recording.layer.close(recording.layer.open("b", "create"));
    expect(diskOf(recording, "nothing")).toEqual({ a: [...bytes(10, 1)] });
    expect(diskOf(recording, "everything")).toEqual({
      a: [...bytes(10, 1), ...bytes(10, 2)],
      b: [],
    });
  });

  test("at an earlier point knows nothing of what came later", async () => {
    const recording = await synced();
    expect(diskOf(recording, "everything", 0)).toEqual({});
    expect(diskOf(recording, "everything", 1)).toEqual({ a: [] });
    expect(diskOf(recording, "everything", 2)).toEqual({ a: [...bytes(10, 1)] });
    expect(diskOf(recording, "nothing", recording.points() - 1)).toEqual({});
    expect(diskOf(recording, "nothing")).toEqual({ a: [...bytes(10, 1)] });
  });

  test("a sync covers what had ended before it began", async () => {
    let release: () => void = () => {};
    let isHeld = false;
    const recording = recordingFiles({
      pause: () =>
        isHeld
          ? new Promise((resolve) => {
              release = resolve;
            })
          : Promise.resolve(),
    });
    const { layer } = recording;
    const fd = layer.open("a", "create");
    await layer.syncDirectory("/");
    layer.write(fd, [bytes(4, 1)], 0);
    isHeld = true;
    const sync = layer.sync(fd, "data");
    layer.write(fd, [bytes(4, 2)], 4);
    expect(diskOf(recording, "nothing")).toEqual({ a: [] });
    release();
    await sync;
    expect(diskOf(recording, "nothing")).toEqual({ a: [...bytes(4, 1)] });
    const write = layer.writeLater(fd, [bytes(4, 3)], 8);
    const releaseWrite = release;
    const early = layer.sync(fd, "data");
    release();
    await early;
    releaseWrite();
    await write;
    expect(diskOf(recording, "nothing")).toEqual({ a: [...bytes(4, 1), ...bytes(4, 2)] });
  });

  test("a data sync does not bring a truncation, a full one does", async () => {
    const recording = await synced();
    const { layer } = recording;
    const fd = layer.open("a", "update");
    layer.truncate(fd, 4);
    await layer.sync(fd, "data");
    expect(diskOf(recording, "nothing")).toEqual({ a: [...bytes(10, 1)] });
    await layer.sync(fd, "all");
    expect(diskOf(recording, "nothing")).toEqual({ a: [...bytes(4, 1)] });
  });

  test("a synced file whose name is not synced is missing", async () => {
    const recording = recordingFiles();
    const { layer } = recording;
    layer.makeDirectory("p");
    const fd = layer.open("p/a", "create");
    layer.write(fd, [bytes(3, 1)], 0);
    await layer.sync(fd, "all");
    await layer.syncDirectory("p");
    expect(diskOf(recording, "nothing")).toEqual({});
    await layer.syncDirectory("/");
    expect(diskOf(recording, "nothing")).toEqual({ "p/a": [...bytes(3, 1)] });
  });

  test("a rename within a folder is there or not, never half; a removal may come back", async () => {
    const recording = await synced();
    const { layer } = recording;
    layer.rename("a", "b");
    const seen = statesOf(recording, 40);
    expect(seen).toEqual(new Set(["a", "b"]));
    await layer.syncDirectory("/");
    await layer.unlink("b");
    expect(statesOf(recording, 40)).toEqual(new Set(["b", ""]));
    await layer.syncDirectory("/");
    expect(statesOf(recording, 10)).toEqual(new Set([""]));
  });

  test("a rename across folders may lose the file until the new folder is synced", async () => {
    const recording = await synced();
    const { layer } = recording;
    layer.makeDirectory("p");
    await layer.syncDirectory("/");
    layer.rename("a", "p/a");
    await layer.syncDirectory("/");
    expect(statesOf(recording, 40)).toEqual(new Set(["", "p/a"]));
    await layer.syncDirectory("p");
    expect(statesOf(recording, 10)).toEqual(new Set(["p/a"]));
  });

  test("an unsynced write is torn at sectors, and its size may come without its bytes", async () => {
    const recording = recordingFiles();
    const { layer } = recording;
    const fd = layer.open("a", "create");
    await layer.syncDirectory("/");
    layer.write(fd, [bytes(100, 1)], 0);
    await layer.sync(fd, "all");
    layer.write(fd, [bytes(3 * SECTOR, 2)], 100);
    let tornCount = 0;
    let zeroTailCount = 0;
    for (let seed = 0; seed < 200; seed++) {
      const content = diskOf(recording, SeededRandom.of(seed))["a"]!;
      expect(content.slice(0, 100)).toEqual([...bytes(100, 1)]);
      // Within a sector all bytes of the write are there, or none.
      for (let at = 100; at < content.length; at++) {
        if (at % SECTOR !== 0 && at > 100) expect(content[at]).toBe(content[at - 1]!);
      }
      const rest = content.slice(100);
      if (rest.includes(2) && (rest.includes(0) || rest.length < 3 * SECTOR)) tornCount++;
      if (rest.at(-1) === 0) zeroTailCount++;
    }
    expect(tornCount).toBeGreaterThan(10);
    expect(zeroTailCount).toBeGreaterThan(5);
  });

  test("unsynced writes to two files are reordered", async () => {
    const recording = await synced();
    const { layer } = recording;
    const b = layer.open("b", "create");
    await layer.syncDirectory("/");
    const a = layer.open("a", "update");
    layer.write(a, [bytes(1, 5)], 10);
    layer.write(b, [bytes(1, 6)], 0);
    const seen = new Set<string>();
    for (let seed = 0; seed < 100; seed++) {
      const disk = diskOf(recording, SeededRandom.of(seed));
      seen.add(`${disk["a"]!.length > 10} ${disk["b"]!.length > 0}`);
    }
    expect([...seen].sort()).toEqual(["false false", "false true", "true false", "true true"]);
  });

  test("is the same for the same seed, and leaves the recording alone", async () => {
    const recording = await synced();
    const fd = recording.layer.open("a", "update");
    for (let i = 0; i < 20; i++) recording.layer.write(fd, [bytes(300, i)], i * 300);
    const disks = [1, 1, 2].map((seed) => JSON.stringify(diskOf(recording, SeededRandom.of(seed))));
    expect(disks[0]).toBe(disks[1]!);
    expect(disks[0]).not.toBe(disks[2]!);
    expect(recording.layer.sizeOf("a")).toBe(20 * 300);
  });

  test("is a disk of its own, that records again", async () => {
    const recording = await synced();
    const next = recording.rebuild(recording.points(), "nothing");
    const fd = next.layer.open("a", "update");
    next.layer.write(fd, [bytes(5, 9)], 10);
    expect(diskOf(next, "nothing")).toEqual({ a: [...bytes(10, 1)] });
    await next.layer.sync(fd, "data");
    expect(diskOf(next, "nothing")).toEqual({ a: [...bytes(10, 1), ...bytes(5, 9)] });
    expect(next.layer.isRunning(recording.layer.ownProcess())).toBe(false);
    expect(recording.layer.sizeOf("a")).toBe(10);
  });
});

describe("dropSync", () => {
  test("takes out one sync by its number, or those a predicate names", async () => {
    const second = await synced({ dropSync: 1 });
    expect(second.syncs().map(({ what, path }) => [what, path])).toEqual([
      ["data", "a"],
      ["directory", "/"],
    ]);
    expect(diskOf(second, "nothing")).toEqual({});
    const first = await synced({ dropSync: ({ what }) => what === "data" });
    expect(diskOf(first, "nothing")).toEqual({ a: [] });
  });
});

describe("restartProcess()", () => {
  test("keeps the page cache, takes the handles, and names another process", async () => {
    const recording = await synced();
    const { layer } = recording;
    const fd = layer.open("a", "update");
    layer.write(fd, [bytes(2, 7)], 10);
    const process = layer.ownProcess();
    recording.restartProcess();
    expect(layer.isRunning(process)).toBe(false);
    expect(layer.isRunning(layer.ownProcess())).toBe(true);
    expect(() => layer.read(fd, new Uint8Array(1), 0)).toThrow("EBADF");
    expect(contentOf(layer, "a").length).toBe(12);
    expect(diskOf(recording, "nothing")["a"]!.length).toBe(10);
  });
});

/** A disk with ten synced bytes in "a". */
async function synced(options: Parameters<typeof recordingFiles>[0] = {}): Promise<Recording> {
  const recording = recordingFiles(options);
  const { layer } = recording;
  const fd = layer.open("a", "create");
  layer.write(fd, [bytes(10, 1)], 0);
  await layer.sync(fd, "data");
  await layer.syncDirectory("/");
  layer.close(fd);
  return recording;
}

/** All files after a power loss, by path. */
function diskOf(
  recording: Recording,
  survivors: Survivors,
  point = recording.points(),
): Record<string, number[]> {
  const { layer } = recording.rebuild(point, survivors);
  const found: Record<string, number[]> = {};
  const walk = (path: string): void => {
    for (const { name, isDirectory } of layer.list(path) ?? []) {
      if (isDirectory) walk(`${path}${name}/`);
      else found[`${path}${name}`] = contentOf(layer, `${path}${name}`);
    }
  };
  walk("");
  return found;
}

/** The sets of names that random power losses leave. */
function statesOf(recording: Recording, seedCount: number): Set<string> {
  const seen = new Set<string>();
  for (let seed = 0; seed < seedCount; seed++) {
    seen.add(Object.keys(diskOf(recording, SeededRandom.of(seed))).join(" "));
  }
  return seen;
}

function contentOf(layer: RecordedFiles, path: string): number[] {
  const fd = layer.open(path, "read");
  const content = new Uint8Array(layer.sizeOf(path)!);
  layer.read(fd, content, 0);
  layer.close(fd);
  return [...content];
}

function bytes(sizeBytes: number, value: number): Uint8Array {
  return new Uint8Array(sizeBytes).fill(value);
}
