// The file of what was aborted in a segment, made again after damage: whoever asks meanwhile, whatever fails meanwhile, and
// however often it fails.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { ok } from "../../../src/base/outcome.ts";
import { StorageError } from "../../../src/contracts/errors.ts";
import type { StoragePlugin } from "../../../src/contracts/storage.ts";
import { AbortedIndex } from "../../../src/core/log/aborted_index.ts";
import {
  ABORTED_BYTES,
  type AbortedTransaction,
  encodeAborted,
} from "../../../src/core/log/aborted_list.ts";
import { EMPTY_READ, type LogReader } from "../../../src/core/log/log_reader.ts";
import { hookedStorage, type StorageHook } from "../../support/hooked_storage.ts";
import { batchOf, caller, LogRig, type RigOptions, topic } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";

const TOPIC = topic("t", 1, { "internal.segment.bytes": "1000000" });
const OPTIONS: RigOptions = {
  topics: [TOPIC],
  journalFileBytes: 16 * 1024,
  journalBytesMax: 0,
  grownBytes: 2000,
  gate: { admit: () => ok(null) },
};
const PRODUCER_ID = 5;
const logOf = (rig: LogRig) => rig.logs.logIn(rig.logs.topicNamed("t")!, 0)!;

/** A settled segment with so many transactions, a batch and a marker each, all of them aborted. */
async function aborted(count: number, plugin: StoragePlugin = storageMemory()): Promise<LogRig> {
  const rig = await LogRig.open(plugin, OPTIONS);
  for (let i = 0; i < count; i++) {
    const of = { producerId: PRODUCER_ID, producerEpoch: i, baseSequence: 0 };
    const [outcome] = await rig.api.append(caller, {
      acks: -1,
      timeoutMs: 1000,
      transactionalId: "tx",
      addsToTransaction: true,
      partitions: [
        { topic: "t", partition: 0, batches: batchOf(["x"], { ...of, isTransactional: true }) },
      ],
    });
    if (!outcome!.ok) throw new Error(outcome!.error.code);
    const verdict = logOf(rig).appendMarker(
      {
        producerId: PRODUCER_ID,
        producerEpoch: i + 1,
        coordinatorEpoch: 0,
        isCommit: false,
        transactionVersion: 2,
      },
      rig.test.wallMs,
    );
    if (verdict.kind === "appended") await verdict.group.settled();
  }
  // What is left in the journal goes with its last file.
  for (let i = 0; i < 3; i++) {
    await rig.append(batchOf(["x".repeat(20_000)]));
    await rig.logs.maintain(false);
  }
  expect(logOf(rig).segments[0]!.abortedCount).toBe(count);
  return rig;
}

/** Overwrites entries of the first segment's file. */
async function damage(rig: LogRig, from: number, entries: Uint8Array): Promise<void> {
  const log = logOf(rig);
  await rig.logs.segmentFiles.useAborted(log, log.segments[0]!, false, async (file) => {
    const bytes = new Uint8Array(file.sizeBytes);
    await file.readInto(bytes, 0);
    bytes.set(entries, from * ABORTED_BYTES);
    await file.truncate(0);
    await file.append([bytes]);
    await file.sync();
  });
}

const garbage = (entries: number) => new Uint8Array(entries * ABORTED_BYTES).fill(0xa5);

/** One that has nothing in memory yet, and reads the log as `read` says. */
function indexOf(rig: LogRig, read?: LogReader["read"]): AbortedIndex {
  const { reader, segmentFiles } = rig.logs;
  const { clock, log } = rig.test.runtime;
  const turned = {
    read: read ?? reader.read.bind(reader),
    release: reader.release.bind(reader),
  } as LogReader;
  return new AbortedIndex({ segmentFiles, reader: turned, clock, log });
}

/** First offsets of what was aborted in [start, end), where those are found. */
async function firstsOf(rig: LogRig, start: number, end: number, index = rig.logs.aborted) {
  const found = await index.collect(logOf(rig), start, end);
  return typeof found === "string" ? found : found.map(({ firstOffset }) => firstOffset);
}

/** Of transactions at 0, 2, 4 and so on. */
const firstsFrom = (start: number, end: number) =>
  Array.from({ length: Math.ceil((end - start) / 2) }, (_, i) => start + 2 * i);

/** Once a write to a file has failed, it takes no other until it was closed: as files of storage-fs do. */
function failing(mayFail: StorageHook): StorageHook {
  const poisoned = new Set<string>();
  return (call, name) => {
    if (call === "close" || call === "remove") poisoned.delete(name);
    if (poisoned.has(name) && ["append", "sync", "truncate"].includes(call)) {
      return Promise.reject(new StorageError("io", "a write failed before"));
    }
    const verdict = mayFail(call, name);
    if (verdict !== undefined) poisoned.add(name);
    return verdict;
  };
}

describe("a file of what was aborted that is made again", () => {
  // Pages were kept under the segment's name: of an index that had become shorter, an old one and a new one were put
  // together, and what had moved from the one to the other was shown.
  test("is not read together with pages of the old one", async () => {
    const count = 2100;
    const rig = await aborted(count);
    const end = 2 * count;
    // Pages of 1024: the first two are in memory now.
    expect(await firstsOf(rig, 0, 100)).toEqual(firstsFrom(0, 100));
    expect(await firstsOf(rig, 0, 4000)).toEqual(firstsFrom(0, 4000));
    await rig.logs.deleteRecords(TOPIC.id, 0, 600);
    await damage(rig, count - 40, garbage(40));
    expect(await firstsOf(rig, 600, end)).toEqual(firstsFrom(600, end));
    expect(rig.test.events("aborted_index_rebuilt").length).toBe(1);
    expect(logOf(rig).segments[0]!.abortedCount).toBe(count - 300);
    for (const start of [600, 1000, 2646, 2648, 2700, 3000, 4000]) {
      expect(await firstsOf(rig, start, end)).toEqual(firstsFrom(start, end));
    }
    await rig.close();
  }, 30_000);

  test("is not read together with the old one by who is in the middle of it", async () => {
    let held: (() => void) | null = null;
    let reads = 0;
    let holdsAt = -1;
    const plugin = hookedStorage(storageMemory(), (call, name) => {
      if (call !== "read" || !name.endsWith(".aborted") || ++reads !== holdsAt) return undefined;
      return new Promise((resolve) => {
        held = resolve;
      });
    });
    const count = 4300;
    const rig = await aborted(count, plugin);
    await rig.logs.deleteRecords(TOPIC.id, 0, 40);
    // The pages in the middle, then to the left of it, are looked at first; the fourth is read after them.
    reads = 0;
    holdsAt = 4;
    const reading = firstsOf(rig, 100, 8000);
    for (let turn = 0; turn < 50 && held === null; turn++) await settle();
    expect(held).not.toBe(null);
    await damage(rig, count - 10, garbage(10));
    expect(await firstsOf(rig, 2 * count - 30, 2 * count)).not.toBe("unreadable");
    held!();
    expect(await reading).toEqual(firstsFrom(100, 8000));
    await rig.close();
  }, 30_000);

  // The file was left open, and a file that has failed to take a write takes none any more: until the next start all of
  // the segment's read_committed fetches were refused.
  test("is made once a write that failed can be done", async () => {
    for (const call of ["truncate", "append", "sync"] as const) {
      let fails = false;
      const plugin = hookedStorage(
        storageMemory(),
        failing((what, name) => {
          if (!fails || what !== call || !name.endsWith(".aborted")) return undefined;
          fails = false;
          return Promise.reject(new StorageError("io", "the disk says no"));
        }),
      );
      const rig = await aborted(50, plugin);
      await damage(rig, 7, garbage(1));
      fails = true;
      expect([call, await firstsOf(rig, 0, 100)]).toEqual([call, "unreadable"]);
      rig.test.monotonicMs += 60_000;
      expect([call, await firstsOf(rig, 0, 100)]).toEqual([call, firstsFrom(0, 100)]);
      await rig.close();
    }
  });

  test("is not tried again by every fetch while the log cannot be read", async () => {
    const rig = await aborted(50);
    let reads = 0;
    let isReadable = false;
    const { reader } = rig.logs;
    const index = indexOf(rig, (...asked) => {
      reads++;
      return isReadable ? reader.read(...asked) : { ...EMPTY_READ, fault: "corrupt" };
    });
    await damage(rig, 7, garbage(1));
    for (let second = 0; second < 3600; second++) {
      for (let fetch = 0; fetch < 5; fetch++) {
        expect(await firstsOf(rig, 0, 100, index)).toBe("unreadable");
      }
      rig.test.monotonicMs += 1000;
    }
    const tries = reads;
    // At 0, 1, 3, 7 … 511 seconds, and every ten minutes from there.
    expect(tries).toBeLessThan(18);
    expect(tries).toBeGreaterThan(8);
    expect(rig.test.events("aborted_index_lost").length).toBe(tries);
    isReadable = true;
    rig.test.monotonicMs += 600_000;
    expect(await firstsOf(rig, 0, 100, index)).toEqual(firstsFrom(0, 100));
    // The next damage is another one.
    await damage(rig, 3, garbage(1));
    expect(await firstsOf(rig, 2, 90, index)).toEqual(firstsFrom(2, 90));
    await rig.close();
  });

  test("is made from a log that is cleaned meanwhile", async () => {
    const rig = await aborted(50);
    const { reader } = rig.logs;
    let moves = 3;
    const index = indexOf(rig, (...asked) =>
      moves-- > 0 ? { ...EMPTY_READ, fault: "moved" } : reader.read(...asked),
    );
    await damage(rig, 7, garbage(1));
    expect(await firstsOf(rig, 0, 100, index)).toEqual(firstsFrom(0, 100));
    expect(rig.test.events("aborted_index_lost")).toEqual([]);
    await rig.close();
  });

  test("that reads otherwise than it was written each time is given up", async () => {
    let isBad = false;
    const plugin = hookedStorage(storageMemory(), (call, name) =>
      isBad && call === "read" && name.endsWith(".aborted")
        ? Promise.reject(new StorageError("io", "the disk says no"))
        : undefined,
    );
    const rig = await aborted(50, plugin);
    isBad = true;
    expect(await firstsOf(rig, 0, 100)).toBe("unreadable");
    await rig.close();
  });

  test("keeps what has no marker, as far as its entries are whole", async () => {
    const rig = await aborted(50);
    const own = (firstOffset: number): AbortedTransaction => ({
      producerId: PRODUCER_ID,
      firstOffset,
      lastOffset: firstOffset + 1,
      lastStableOffset: firstOffset + 2,
    });
    // The ends of two are lost, and both are hidden up to one offset: where a marker of another stands.
    const lost = [1, 2].map((producerId) => ({
      ...own(10),
      producerId,
      firstOffset: 4,
      lastStableOffset: 4,
    }));
    await damage(rig, 5, encodeAborted([...lost, own(10)]));
    expect(await firstsOf(rig, 10, 11)).toEqual([4, 4, 10]);
    expect(rig.test.events("aborted_index_rebuilt")).toEqual([]);
    await damage(rig, 40, garbage(1));
    const found = await indexOf(rig).collect(logOf(rig), 0, 100);
    expect(rig.test.events("aborted_index_rebuilt").length).toBe(1);
    const entries = found as readonly AbortedTransaction[];
    expect(entries.map(({ firstOffset }) => firstOffset)).toEqual([
      ...firstsFrom(0, 12),
      4,
      4,
      ...firstsFrom(12, 100),
    ]);
    for (const [i, { lastStableOffset }] of entries.entries()) {
      const later = entries.slice(i + 1).map(({ firstOffset }) => firstOffset);
      expect(lastStableOffset).toBeLessThanOrEqual(Math.min(100, ...later));
    }
    expect(await firstsOf(rig, 8, 9)).toContain(4);
    await rig.close();
  });
});
