// What happens at the same time: slow reads beside each other, beside maintenance, deletion and close.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import { StorageError } from "../../../src/contracts/errors.ts";
import { hookedStorage, type StorageHook } from "../../support/hooked_storage.ts";
import { batchOf, caller, LogRig, recordsIn, topic } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** Reads wait a few turns, drawn by seed. */
function slowReads(seed: number, turnsMax: number): StorageHook {
  const random = SeededRandom.of(seed);
  return (call) => (call === "read" ? turns(1 + random.below(turnsMax)) : undefined);
}

/** A gate that a hook waits at. */
function gate() {
  let open = () => {};
  let isClosed = false;
  let waiting = 0;
  let opened: Promise<void> = Promise.resolve();
  return {
    shut() {
      isClosed = true;
      opened = new Promise((resolve) => {
        open = () => {
          isClosed = false;
          resolve();
        };
      });
    },
    open: () => open(),
    pass(): Promise<void> | undefined {
      if (!isClosed) return undefined;
      waiting++;
      return opened;
    },
    get waiting() {
      return waiting;
    },
  };
}

const value = (i: number, bytes: number) => `${i}:`.padEnd(bytes, String(i % 10));

async function fill(rig: LogRig, count: number, bytes: number, topicName = "t", from = 0) {
  for (let i = from; i < from + count; i++) {
    await rig.append(batchOf([value(i, bytes)]), topicName);
  }
}

async function expectAll(rig: LogRig, count: number, bytes: number, topicName = "t", from = 0) {
  const records = await rig.readAll(from, topicName);
  expect(records.map((r) => r.offset)).toEqual(
    Array.from({ length: count - from }, (_, i) => from + i),
  );
  for (const record of records) {
    if (record.value !== value(record.offset, bytes)) throw new Error(`wrong at ${record.offset}`);
  }
}

describe("slow reads", () => {
  test("many at once give the right batches, and every buffer comes back", async () => {
    for (let seed = 0; seed < 20; seed++) {
      const plugin = hookedStorage(storageMemory(), slowReads(seed, 9));
      const rig = await LogRig.open(plugin, { topics: [topic("t"), topic("other")] });
      // Batches of the other topic between them: some are read over, and some make a read of its own.
      for (let i = 0; i < 12; i++) {
        await rig.append(batchOf([value(i, 300 + i)]));
        await rig.append(batchOf(["-".repeat(i % 3 === 0 ? 6000 : 1000)]), "other");
      }
      const seen = await Promise.all(
        Array.from({ length: 12 }, async (_, from) => {
          const response = await rig.fetch(from);
          const outcome = response.partitions[0]!;
          if (!outcome.ok) throw new Error(outcome.error.code);
          // Others read meanwhile: what was answered must stay.
          await turns(3);
          const records = outcome.value.batches.flatMap((bytes) => recordsIn(bytes));
          response.release();
          return records.map((r) => r.value);
        }),
      );
      for (const [from, values] of seen.entries()) {
        expect(values).toEqual(
          Array.from({ length: 12 - from }, (_, i) => value(from + i, 300 + from + i)),
        );
      }
      expect(rig.logs.pool.lentBytes).toBe(0);
      await rig.close();
    }
  });

  test("a file that is being read is not given up, and maintenance still ends", async () => {
    const door = gate();
    const plugin = hookedStorage(storageMemory(), (call, name) =>
      call === "read" && name.startsWith("journal/0000000001") ? door.pass() : undefined,
    );
    const rig = await LogRig.open(plugin, { journalFileBytes: 64 * 1024 });
    await fill(rig, 10, 10_000);
    door.shut();
    const reading = rig.fetch(0);
    const id = rig.logs.topicNamed("t")!.id;
    await rig.logs.deleteRecords(id, 0, 8);
    await rig.logs.maintain(false);
    expect(rig.logs.journal.files.has(1)).toBe(true);
    door.open();
    (await reading).release();
    await rig.logs.maintain(false);
    expect(rig.logs.journal.files.has(1)).toBe(false);
    expect(rig.logs.pool.lentBytes).toBe(0);
    await rig.close();
  });

  test("a segment that is being read is removed once the read is over", async () => {
    const door = gate();
    const plugin = hookedStorage(storageMemory(), (call, name) =>
      call === "read" && name.startsWith("segments/") ? door.pass() : undefined,
    );
    const topics = [topic("t", 1, { "segment.bytes": "1048576" })];
    const options = { topics, journalFileBytes: 256 * 1024, journalBytesMax: 0 };
    const rig = await LogRig.open(plugin, options);
    await fill(rig, 250, 10_000);
    await rig.logs.maintain(false);
    const before = (await rig.storage.segments!.list("segments/")).length;
    expect(before).toBeGreaterThan(2);
    door.shut();
    const reads = [0, 50, 110].map((offset) => rig.fetch(offset, { bytesMax: 30_000 }));
    await settle();
    expect(door.waiting).toBeGreaterThan(0);
    const deleting = rig.logs.deleteRecords(topics[0]!.id, 0, 240);
    const late = rig.fetch(0);
    await settle();
    door.open();
    expect(await deleting).toEqual({ ok: true, logStartOffset: 240 });
    for (const read of reads) (await read).release();
    expect((await late).partitions[0]).toMatchObject({ error: { code: "offset_out_of_range" } });
    expect((await rig.storage.segments!.list("segments/")).length).toBeLessThan(before);
    expect(rig.logs.pool.lentBytes).toBe(0);
    await expectAll(rig, 250, 10_000, "t", 240);
    await rig.close();
  });

  test("readers go on while journal files are given up, segments are removed and topics deleted", async () => {
    for (let seed = 0; seed < 4; seed++) {
      const random = SeededRandom.of(`readers ${seed}`);
      const plugin = hookedStorage(storageMemory(), (call) =>
        call === "read" || call === "sync" ? turns(random.below(4)) : undefined,
      );
      const topics = [topic("t", 1, { "segment.bytes": "1048576" }), topic("small"), topic("gone")];
      const options = { topics, journalFileBytes: 128 * 1024, journalBytesMax: 128 * 1024 };
      const rig = await LogRig.open(plugin, options);
      let isDone = false;
      const reader = async (name: string, bytes: number) => {
        while (!isDone) {
          const from = rig.logs.status(rig.logs.topicNamed(name)!.id, 0)!.logStartOffset;
          const response = await rig.fetch(from + random.below(40), { topic: name });
          const outcome = response.partitions[0]!;
          if (outcome.ok) {
            for (const record of outcome.value.batches.flatMap((each) => recordsIn(each))) {
              if (record.value !== value(record.offset, bytes)) throw new Error("wrong bytes");
            }
          } else expect(outcome.error.code).toBe("offset_out_of_range");
          response.release();
          await turns(1);
        }
      };
      const readers = [reader("t", 9000), reader("t", 9000), reader("small", 500)];
      for (let round = 0; round < 12; round++) {
        await fill(rig, 20, 9000, "t", round * 20);
        await fill(rig, 3, 500, "small", round * 3);
        if (round < 6) await fill(rig, 5, 20_000, "gone", round * 5);
        if (round === 6) void rig.logs.topicDeleted(topics[2]!);
        const maintaining = rig.logs.maintain(false);
        if (round % 3 === 2) await rig.logs.deleteRecords(topics[0]!.id, 0, round * 18);
        await maintaining;
      }
      isDone = true;
      await Promise.all(readers);
      expect(rig.test.failures).toEqual([]);
      expect(rig.test.lines.filter((line) => line.level === "error")).toEqual([]);
      expect(rig.logs.pool.lentBytes).toBe(0);
      await expectAll(rig, 240, 9000, "t", 198);
      await expectAll(rig, 36, 500, "small");
      await rig.logs.maintain(false);
      for (const { name } of await rig.storage.segments!.list("segments/")) {
        expect(name.startsWith(`segments/${rig.logs.topicNamed("t")!.context.idHex}/`)).toBe(true);
      }
      await rig.close();
    }
  });

  test("records that are committed while a read is waited for wake the fetch", async () => {
    const door = gate();
    const plugin = hookedStorage(storageMemory(), (call) =>
      call === "read" ? door.pass() : undefined,
    );
    const rig = await LogRig.open(plugin);
    await rig.append(batchOf(["one"]));
    door.shut();
    const size = batchOf(["one"]).length;
    const fetching = rig.api.fetch(
      {
        principal: { type: "User", name: "ANONYMOUS" },
        peer: { host: "127.0.0.1", listener: "test", tlsPeerCertificate: null },
        clientId: "test",
        listener: "test",
        signal: new AbortController().signal,
      },
      {
        isolation: "read_uncommitted",
        waitMsMax: 60_000,
        bytesMin: size + 1,
        bytesMax: 1024 * 1024,
        partitions: [
          { topic: "t", partition: 0, fetchOffset: 0, bytesMax: 1024 * 1024, leaderEpoch: -1 },
        ],
      },
    );
    await settle();
    await rig.append(batchOf(["two"]));
    door.open();
    await settle();
    const outcome = await Promise.race([fetching, settle().then(() => null)]);
    expect(outcome?.partitions[0]).toMatchObject({ ok: true, value: { sizeBytes: size * 2 } });
    outcome?.release();
    expect(rig.logs.log(rig.logs.topicNamed("t")!.id, 0)!.waiters).toBe(null);
    await rig.close();
  });
});

describe("a parked fetch", () => {
  const parked = (rig: LogRig, signal: AbortSignal, bytesMin: number) =>
    rig.api.fetch(
      { ...caller, signal },
      {
        isolation: "read_uncommitted",
        waitMsMax: 60_000,
        bytesMin,
        bytesMax: 1024 * 1024,
        partitions: ["t", "u"].map((name) => ({
          topic: name,
          partition: 0,
          fetchOffset: 0,
          bytesMax: 1024 * 1024,
          leaderEpoch: -1,
        })),
      },
    );
  const topics = [topic("t"), topic("u")];
  const waiters = (rig: LogRig) => topics.map(({ id }) => rig.logs.log(id, 0)?.waiters?.size ?? 0);

  test("waits until several partitions together have enough", async () => {
    const rig = await LogRig.open(storageMemory(), { topics });
    const size = batchOf(["x"]).length;
    const fetching = parked(rig, caller.signal, size * 3);
    let isAnswered = false;
    void fetching.then(() => {
      isAnswered = true;
    });
    await rig.append(batchOf(["x"]), "t");
    await rig.append(batchOf(["x"]), "u");
    await settle();
    expect(isAnswered).toBe(false);
    await rig.append(batchOf(["x"]), "t");
    const sizes = (await fetching).partitions.map((each) => each.ok && each.value.sizeBytes);
    expect(sizes).toEqual([size * 2, size]);
    (await fetching).release();
    expect(waiters(rig)).toEqual([0, 0]);
    expect(rig.logs.pool.lentBytes).toBe(0);
    await rig.close();
  });

  test("is answered when its client goes, and when a topic of it does", async () => {
    const rig = await LogRig.open(storageMemory(), { topics });
    const gone = new AbortController();
    const first = parked(rig, gone.signal, 1);
    const second = parked(rig, caller.signal, 1);
    await settle();
    expect(waiters(rig)).toEqual([2, 2]);
    gone.abort();
    (await first).release();
    expect(waiters(rig)).toEqual([1, 1]);
    await rig.logs.topicDeleted(topics[1]!);
    expect((await second).partitions[1]).toMatchObject({
      error: { code: "unknown_topic_or_partition" },
    });
    expect(waiters(rig)).toEqual([0, 0]);
    await rig.close();
  });
});

describe("settling beside failures and deletions", () => {
  const topics = [topic("t", 1, { "segment.bytes": "1048576" })];
  const options = { topics, journalFileBytes: 256 * 1024, journalBytesMax: 0 };

  test("an index that cannot be written, or a segment that fails once, gives no record twice", async () => {
    for (const [call, ending, nth] of [
      ["open", ".index", 0],
      ["append", ".index", 0],
      ["append", ".log", 0],
      ["append", ".log", 1],
      ["append", ".log", 3],
      ["sync", ".log", 0],
      ["sync", ".log", 1],
      ["truncate", ".log", 0],
    ] as const) {
      const memory = storageMemory();
      let isArmed = false;
      let seen = 0;
      const plugin = hookedStorage(memory, (each, name) => {
        if (!isArmed || each !== call || !name.startsWith("segments/") || !name.endsWith(ending)) {
          return undefined;
        }
        if (seen++ !== nth) return undefined;
        const error = new StorageError("full", "no space left");
        return call === "append" ? { bytes: 100, error } : Promise.reject(error);
      });
      const rig = await LogRig.open(plugin, options);
      await fill(rig, 60, 10_000);
      await rig.logs.maintain(false);
      await fill(rig, 190, 10_000, "t", 60);
      isArmed = true;
      await rig.logs.maintain(false);
      await expectAll(rig, 250, 10_000);
      await fill(rig, 50, 10_000, "t", 250);
      await rig.logs.maintain(false);
      await rig.logs.maintain(false);
      expect(rig.logs.log(topics[0]!.id, 0)!.settledEnd).toBeGreaterThan(200);
      expect(rig.test.events("batch_corrupt")).toEqual([]);
      await expectAll(rig, 300, 10_000);
      for (const offset of [0, 59, 60, 61, 104, 105, 149, 230, 299]) {
        expect((await rig.readAll(offset))[0]!.offset).toBe(offset);
      }
      expect(rig.offlineReason).toBe(null);
      memory.loseUnsynced();
      const again = await LogRig.open(plugin, options);
      await expectAll(again, 300, 10_000);
      await again.close();
    }
  });

  test("segments dropped while they are being written leave no file behind", async () => {
    for (const upTo of [100, 150, 250, "topic"] as const) {
      const door = gate();
      const plugin = hookedStorage(storageMemory(), (call, name) =>
        call === "append" && name.startsWith("segments/") ? door.pass() : undefined,
      );
      const rig = await LogRig.open(plugin, options);
      await fill(rig, 250, 10_000);
      door.shut();
      const maintaining = rig.logs.maintain(false);
      await settle();
      expect(door.waiting).toBe(1);
      const dropping =
        upTo === "topic"
          ? rig.logs.topicDeleted(topics[0]!)
          : rig.logs.deleteRecords(topics[0]!.id, 0, upTo);
      await settle();
      door.open();
      await dropping;
      await maintaining;
      await rig.logs.maintain(false);
      const kept = rig.logs.log(topics[0]!.id, 0)?.segments.map((each) => each.baseOffset) ?? [];
      for (const { name } of await rig.storage.segments!.list("segments/")) {
        expect(kept).toContain(Number(/(\d{20})\.(?:log|index)$/.exec(name)![1]));
      }
      expect(rig.test.events("log_maintenance_failed")).toEqual([]);
      if (upTo !== "topic") await expectAll(rig, 250, 10_000, "t", upTo);
      await rig.close();
    }
  });

  // The sync in between was asked for while the append still held the file: it waited for the removal, and that for it.
  test("segments settled in part, and dropped while more is added, hold nobody up", async () => {
    const large = [topic("t", 1, { "segment.bytes": "8388608" })];
    for (const upTo of [850, "topic"] as const) {
      const door = gate();
      let appends = 0;
      const plugin = hookedStorage(storageMemory(), (call, name) => {
        if (call !== "append" || !name.startsWith("segments/")) return undefined;
        // The second slice is the one that is synced.
        return ++appends === 2 ? door.pass() : undefined;
      });
      const rig = await LogRig.open(plugin, {
        topics: large,
        journalFileBytes: 2.5 * 1024 * 1024,
        journalBytesMax: 0,
      });
      await fill(rig, 300, 10_000);
      await rig.logs.maintain(false);
      expect(rig.logs.log(large[0]!.id, 0)!.segments[0]!.settledBytes).toBeGreaterThan(0);
      await fill(rig, 600, 10_000, "t", 300);
      appends = 0;
      door.shut();
      let done = 0;
      const isDone = () => void done++;
      const maintaining = rig.logs.maintain(false).then(isDone);
      for (let turn = 0; turn < 50 && door.waiting === 0; turn++) await settle();
      expect(door.waiting).toBe(1);
      const dropping = (
        upTo === "topic"
          ? rig.logs.topicDeleted(large[0]!)
          : rig.logs.deleteRecords(large[0]!.id, 0, upTo)
      ).then(isDone);
      await settle();
      door.open();
      for (let turn = 0; turn < 200 && done < 2; turn++) await settle();
      expect(done).toBe(2);
      await Promise.all([maintaining, dropping]);
      expect(rig.test.events("log_maintenance_failed")).toEqual([]);
      await rig.close();
    }
  });

  test("maintenance ends when the states alone are larger than a journal file", async () => {
    const many = Array.from({ length: 700 }, (_, i) => topic(`many${i}`));
    const rig = await LogRig.open(storageMemory(), {
      topics: many,
      journalFileBytes: 64 * 1024,
      journalBytesMax: 0,
    });
    for (let i = 0; i < many.length; i++) {
      await rig.append(
        batchOf(["x"], { producerId: i, producerEpoch: 0, baseSequence: 0 }),
        many[i]!.name,
      );
      await rig.logs.deleteRecords(many[i]!.id, 0, -1);
    }
    for (let round = 0; round < 3; round++) await rig.logs.maintain(false);
    const before = rig.logs.journal.active.number;
    await rig.logs.maintain(false);
    expect(rig.logs.journal.active.number).toBe(before);
    expect(rig.logs.journal.files.size).toBeLessThan(12);
    await rig.close();
  });

  test("small partitions are moved many batches to a sync", async () => {
    let syncs = 0;
    const plugin = hookedStorage(storageMemory(), (call) => {
      if (call === "sync") syncs++;
      return undefined;
    });
    const small = Array.from({ length: 100 }, (_, i) => topic(`small${i}`));
    const rig = await LogRig.open(plugin, {
      topics: [...small, topic("big")],
      journalFileBytes: 256 * 1024,
      journalBytesMax: 0,
    });
    for (const each of small) await rig.append(batchOf([each.name]), each.name);
    await fill(rig, 150, 10_000, "big");
    syncs = 0;
    await rig.logs.maintain(false);
    expect(rig.logs.journal.files.has(1)).toBe(false);
    expect(syncs).toBeLessThan(40);
    for (const each of small) {
      expect((await rig.readAll(0, each.name)).map((r) => r.value)).toEqual([each.name]);
    }
    expect(rig.logs.pool.lentBytes).toBe(0);
    await rig.close();
  });
});

describe("the end of things", () => {
  test("a second deleteRecords() to the same offset waits for the disk as the first does", async () => {
    const door = gate();
    const plugin = hookedStorage(storageMemory(), (call) =>
      call === "sync" ? door.pass() : undefined,
    );
    const rig = await LogRig.open(plugin);
    await fill(rig, 5, 10);
    const { id } = rig.logs.topicNamed("t")!;
    door.shut();
    const first = rig.logs.deleteRecords(id, 0, 3);
    let isAnswered = false;
    const second = rig.logs.deleteRecords(id, 0, 3).then((outcome) => {
      isAnswered = true;
      return outcome;
    });
    await settle();
    expect(isAnswered).toBe(false);
    door.open();
    expect(await first).toEqual({ ok: true, logStartOffset: 3 });
    expect(await second).toEqual({ ok: true, logStartOffset: 3 });
    await rig.close();
  });

  test("appends during and after close() are refused, and the folder is not said to be offline", async () => {
    const door = gate();
    const memory = storageMemory();
    const plugin = hookedStorage(memory, (call) => (call === "sync" ? door.pass() : undefined));
    const rig = await LogRig.open(plugin);
    await fill(rig, 3, 10);
    door.shut();
    const pending = rig.append(batchOf([value(3, 10)]));
    await settle();
    const closing = rig.logs.close();
    const during = rig.append(batchOf(["late"]));
    await settle();
    door.open();
    await closing;
    const after = rig.append(batchOf(["later"]));
    expect(await pending).toMatchObject({ ok: true, value: { baseOffset: 3 } });
    expect(await during).toMatchObject({ error: { code: "kafka_storage_error" } });
    expect(await after).toMatchObject({ error: { code: "kafka_storage_error" } });
    expect((await rig.fetch(0)).partitions[0]).toMatchObject({
      error: { code: "kafka_storage_error" },
    });
    expect(rig.offlineReason).toBe(null);
    expect(rig.test.failures).toEqual([]);
    await rig.storage.close();
    const again = await LogRig.open(plugin);
    await expectAll(again, 4, 10);
    await again.close();
  });
});
