import { describe, expect, test } from "bun:test";
import { storageFs } from "../../../plugins/storage-fs/mod.ts";
import { StorageError } from "../../../src/contracts/errors.ts";
import { SPARE_NAME } from "../../../src/core/log/journal_spare.ts";
import { recordingFiles } from "../../../src/testing/power_loss/recording_files.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { batchOf, LogRig, type RigOptions, topic } from "../../support/log_rig.ts";
import type { TestRuntime } from "../../support/test_runtime.ts";

const topics = [topic("t"), topic("u", 1, { "internal.segment.bytes": "20000" })];
/** Small files: four small syncs ask for a spare. */
const options = { topics, journalFileBytes: 8 * 1024, journalBytesMax: 0 };
const SPARE_PATH = "/data/broker-1/journal/spare";

function lines(test: TestRuntime, event: string) {
  return test.lines.filter((line) => line.event === event);
}

type Disk = ReturnType<typeof recordingFiles>["layer"];

function openOn(files: Disk, rigOptions: RigOptions = options): Promise<LogRig> {
  return LogRig.open(storageFs({ directory: "/data", files }), rigOptions);
}

/** A disk on which one call waits from `hold` until `release`. */
function holdable(call: "sync" | "syncDirectory") {
  const { layer } = recordingFiles();
  const held = Promise.withResolvers<void>();
  let waiting: Promise<void> | null = null;
  const files: Disk = {
    ...layer,
    async [call](...args: unknown[]) {
      await waiting;
      await (layer[call] as (...args: unknown[]) => Promise<void>)(...args);
    },
  };
  return {
    files,
    hold() {
      waiting = held.promise;
    },
    release() {
      held.resolve();
      waiting = null;
    },
  };
}

/** A rig whose spare is ready: the filling ends after the last of its four appends. */
async function rigWithSpare(files: Disk): Promise<LogRig> {
  const rig = await openOn(files);
  for (let i = 0; i < 4; i++) await rig.append(batchOf([`value ${i}`.padEnd(100, ".")]));
  for (let turn = 0; turn < 10; turn++) await rig.test.advance(2);
  expect(rig.logs.journal.spare.isReady).toBe(true);
  return rig;
}

async function appendMany(rig: LogRig, count: number, name = "t"): Promise<void> {
  for (let i = 0; i < count; i++) {
    const outcome = await rig.append(batchOf([`value ${i}`.padEnd(100, ".")]), name);
    if (!outcome.ok) throw new Error(outcome.error.code);
    // The filling pauses on timers.
    await rig.test.advance(10);
  }
}

describe("the journal's spare file", () => {
  test("is filled after small syncs, taken by the next file, and cut at close", async () => {
    const disk = recordingFiles();
    const rig = await openOn(disk.layer);
    await appendMany(rig, 12);
    expect(rig.logs.journal.active.number).toBeGreaterThan(1);
    expect(rig.logs.journal.active.isRecycled).toBe(true);
    const path = `/data/broker-1/journal/${`${rig.logs.journal.active.number}`.padStart(10, "0")}.log`;
    expect(disk.layer.sizeOf(path)).toBe(8 * 1024);
    const { endPosition } = rig.logs.journal.active;
    await rig.close();
    // Two entries more at most: the voucher of the close.
    const sizeBytes = disk.layer.sizeOf(path)!;
    expect(sizeBytes).toBeGreaterThanOrEqual(endPosition);
    expect(sizeBytes).toBeLessThan(endPosition + 100);

    const again = await openOn(disk.layer);
    expect((await again.readAll(0)).length).toBe(12);
    expect(lines(again.test, "journal_tail_cut")).toEqual([]);
    expect(lines(again.test, "journal_space_cut")).toEqual([]);
    await again.close();
  });

  test("left in use by a kill, has its space cut without a word of damage", async () => {
    const disk = recordingFiles();
    const rig = await openOn(disk.layer);
    await appendMany(rig, 12);
    expect(rig.logs.journal.active.isRecycled).toBe(true);
    disk.restartProcess();

    const again = await openOn(disk.layer);
    expect((await again.readAll(0)).map(({ offset }) => offset)).toEqual([...Array(12).keys()]);
    expect(lines(again.test, "journal_space_cut").length).toBe(1);
    expect(again.test.lines.filter(({ level }) => level === "warn" || level === "error")).toEqual(
      [],
    );
    await appendMany(again, 1);
    await again.close();
  });

  test("is what a given-up file becomes, and its old entries are never read again", async () => {
    const disk = recordingFiles();
    const rig = await openOn(disk.layer);
    const first = rig.logs.journal.active.number;
    await appendMany(rig, 40, "u");
    const { id } = rig.logs.topicNamed("u")!;
    await rig.logs.deleteRecords(id, 0, 35);
    await rig.logs.maintain(false);
    expect(rig.logs.journal.files.has(first)).toBe(false);
    await appendMany(rig, 30, "u");
    expect([...rig.logs.journal.files.values()].some(({ isRecycled }) => isRecycled)).toBe(true);
    disk.restartProcess();

    const again = await openOn(disk.layer);
    const offsets = (await again.readAll(35, "u")).map(({ offset }) => offset);
    expect(offsets).toEqual([...Array(35).keys()].map((i) => i + 35));
    expect(again.logs.status(id, 0)).toMatchObject({ logStartOffset: 35, highWatermark: 70 });
    await again.close();
  });

  test("taken and never synced since, is taken for a file that holds nothing", async () => {
    const disk = recordingFiles();
    const rig = await openOn(disk.layer);
    const first = disk.points();
    for (let round = 0; round < 3; round++) {
      await appendMany(rig, 40, "u");
      const { id } = rig.logs.topicNamed("u")!;
      await rig.logs.deleteRecords(id, 0, round * 40 + 35);
      await rig.logs.maintain(false);
    }
    let seen = 0;
    for (let point = first; point <= disk.points(); point++) {
      const left = disk.rebuild(point, "nothing");
      const after = await openOn(left.layer);
      seen += after.logs.journal.active.isLeftBehind ? 1 : 0;
      const complaints = after.test.lines.filter(({ level }) => level === "error");
      expect([point, complaints]).toEqual([point, []]);
      await after.close();
    }
    expect(seen).toBeGreaterThan(0);
    await rig.close();
  });

  test("on a full disk is given up, and the journal grows its files", async () => {
    const disk = recordingFiles();
    const layer: typeof disk.layer = {
      ...disk.layer,
      write(fd, parts, position) {
        if (parts[0]!.length >= 4096 && parts[0]!.every((byte) => byte === 0)) {
          throw Object.assign(new Error("no space left"), { code: "ENOSPC" });
        }
        return disk.layer.write(fd, parts, position);
      },
    };
    const rig = await openOn(layer);
    await appendMany(rig, 60);
    expect(lines(rig.test, "journal_spare_failed").length).toBe(1);
    expect(rig.offlineReason).toBe(null);
    expect(disk.layer.sizeOf(SPARE_PATH)).toBe(null);
    expect((await rig.readAll(0)).length).toBe(60);
    await rig.close();
  });

  test("is not filled where the volume has little room, and given up where it runs short meanwhile", async () => {
    for (const limit of [8 * 1024 * 1024 - 1, 8 * 1024 * 1024 + 100]) {
      const disk = recordingFiles();
      let largest = 0;
      const usableBytes = async () => {
        largest = Math.max(largest, disk.layer.sizeOf(SPARE_PATH) ?? 0);
        return limit - (disk.layer.sizeOf(SPARE_PATH) ?? 0);
      };
      const rig = await openOn(disk.layer, {
        ...options,
        journalFileBytes: 2 * 1024 * 1024,
        usableBytes,
      });
      rig.logs.journal.spare.prepare(2 * 1024 * 1024);
      for (let turn = 0; turn < 20; turn++) await rig.test.advance(10);
      expect(disk.layer.sizeOf(SPARE_PATH)).toBe(null);
      expect(rig.logs.journal.spare.isReady).toBe(false);
      expect(largest > 0).toBe(limit > 8 * 1024 * 1024);
      await rig.close();
    }
  });

  test("once ready is not gone on in before there is something to append", async () => {
    const disk = recordingFiles();
    const rig = await rigWithSpare(disk.layer);
    for (let turn = 0; turn < 3; turn++) await rig.test.advance(300);
    // A sealed file without one after it would have nothing to vouch for its end.
    const { active } = rig.logs.journal;
    expect([active.number, active.isSealed]).toEqual([1, false]);
    expect(active.vouchedBytes).toBe(active.endPosition);
    await appendMany(rig, 1);
    expect(rig.logs.journal.active.number).toBe(2);
    await rig.close();
  });

  test("taken away by hand is not missed", async () => {
    const disk = recordingFiles();
    const rig = await rigWithSpare(disk.layer);
    await disk.layer.unlink(SPARE_PATH);
    await appendMany(rig, 20);
    expect(rig.offlineReason).toBe(null);
    expect((await rig.readAll(0)).length).toBe(24);
    await rig.close();
  });

  test("that cannot be kept is removed: a file that was given up leaves nothing behind", async () => {
    const disk = recordingFiles();
    let failures = 0;
    const storage = hookedStorage(
      storageFs({ directory: "/data", files: disk.layer }),
      (call, name) => {
        if (call !== "recycle" || name !== SPARE_NAME) return undefined;
        failures++;
        return Promise.reject(new StorageError("io", "the disk says no"));
      },
    );
    const rig = await LogRig.open(storage, { ...options, journalFileBytes: 128 * 1024 });
    const { id } = rig.logs.topicNamed("u")!;
    // Too large to ask for a spare.
    for (let i = 0; i < 4; i++) await rig.append(batchOf(["x".repeat(70_000)]), "u");
    await rig.logs.deleteRecords(id, 0, -1);
    await rig.logs.maintain(false);
    expect(failures).toBe(1);
    expect(lines(rig.test, "log_maintenance_failed")).toEqual([]);
    const found = await rig.storage.segments!.list("journal/");
    expect(found.length).toBe(rig.logs.journal.files.size);
    await rig.close();
  });

  test("of another size is kept only where it suits the files of today", async () => {
    for (const [sizeBytes, isKept] of [
      [3 * 1024, false],
      [4 * 1024, true],
      [16 * 1024, true],
      [17 * 1024, false],
    ] as const) {
      const disk = recordingFiles();
      const plugin = storageFs({ directory: "/data", files: disk.layer });
      const before = await LogRig.open(plugin, options);
      await before.close();
      const storage = await plugin.open({ runtime: before.test.runtime, brokerId: 1 });
      const file = await storage.segments!.open(SPARE_NAME, { create: true });
      await file.append([new Uint8Array(sizeBytes)]);
      await file.sync();
      await storage.close();
      const rig = await LogRig.open(plugin, options);
      expect([sizeBytes, rig.logs.journal.spare.isReady]).toEqual([sizeBytes, isKept]);
      expect(disk.layer.sizeOf(SPARE_PATH)).toBe(isKept ? sizeBytes : null);
      await rig.close();
    }
  });

  test("half filled at a stop is removed; whole, it serves the next run", async () => {
    const disk = recordingFiles();
    const files = { ...options, journalFileBytes: 1024 * 1024 };
    const rig = await openOn(disk.layer, files);
    rig.logs.journal.spare.prepare(1024 * 1024);
    await rig.test.advance(5);
    expect(disk.layer.sizeOf(SPARE_PATH)).toBeGreaterThan(0);
    await rig.close();
    expect(disk.layer.sizeOf(SPARE_PATH)).toBe(null);

    const second = await openOn(disk.layer, files);
    second.logs.journal.spare.prepare(1024 * 1024);
    for (let turn = 0; turn < 20; turn++) await second.test.advance(10);
    expect(second.logs.journal.spare.isReady).toBe(true);
    await second.close();
    const third = await openOn(disk.layer, files);
    expect(third.logs.journal.spare.isReady).toBe(true);
    const names = (await third.storage.segments!.list("journal/")).map(({ name }) => name);
    expect(names).toContain(SPARE_NAME);
    await third.close();
  });
});

// Under load a given-up file was made the spare while the one before was still being renamed: the store refused
// two changes of one name, and there was no spare any more until the next start.
test("the next spare waits until the name of the last one is free", async () => {
  const disk = holdable("syncDirectory");
  const rig = await openOn(disk.files);
  const { spare } = rig.logs.journal;
  const store = rig.storage.segments!;
  for (const name of ["journal/a", "journal/b"]) {
    const file = await store.open(name, { create: true });
    await file.append([new Uint8Array(8 * 1024)]);
    await file.sync();
    await file.close();
  }
  await spare.removeOrKeep("journal/a", 8 * 1024);
  expect(spare.isReady).toBe(true);
  disk.hold();
  const taking = spare.take("journal/c");
  const removing = spare.removeOrKeep("journal/b", 8 * 1024);
  disk.release();
  await (await taking)!.file.close();
  await removing;
  expect(lines(rig.test, "journal_spare_failed")).toEqual([]);
  const names = (await store.list("journal/")).map(({ name }) => name);
  expect(names).not.toContain("journal/b");
  await rig.close();
});

describe("DeleteRecords while the disk is slow", () => {
  for (const [what, before, then] of [
    // Simulation seed 1403: retention had moved the start further, which was not yet synced, when DeleteRecords
    // was answered with it; after a crash what was said to be deleted was there again.
    ["answers with the start that is synced", [3, 3], [[7, 7]]],
    [
      "answers with the start that it waited for, where all of it is deleted already",
      [5, 5],
      [
        [3, 5],
        [8, 8],
      ],
    ],
  ] as const) {
    test(what, async () => {
      const disk = holdable("sync");
      const rig = await openOn(disk.files, { topics });
      await appendMany(rig, 10);
      const { id } = rig.logs.topicNamed("t")!;
      disk.hold();
      const first = rig.logs.deleteRecords(id, 0, before[0]);
      await rig.test.advance(1);
      const later = then.map(([offset]) => rig.logs.deleteRecords(id, 0, offset));
      disk.release();
      expect(await first).toEqual({ ok: true, logStartOffset: before[1] });
      for (const [i, [, logStartOffset]] of then.entries()) {
        expect(await later[i]).toEqual({ ok: true, logStartOffset });
      }
      await rig.close();
    });
  }
});
