import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { compacted, keyedBatch, logOf } from "../../support/compacted_log.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { batchOf, caller, LogRig, type RigOptions, topic } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";

const START_MS = 1_600_000_000_000;

async function newest(rig: LogRig): Promise<readonly [number, number]> {
  const [outcome] = await rig.api.offsetFor(caller, [
    {
      topic: "t",
      partition: 0,
      at: "max_timestamp",
      isolation: "read_uncommitted",
      leaderEpoch: -1,
    },
  ]);
  if (!outcome!.ok) throw new Error(outcome!.error.code);
  return [outcome!.value.offset, outcome!.value.timestampMs];
}

/** Appends one batch for each timestamp. */
async function fill(rig: LogRig, timestampsMs: readonly number[], valueBytes = 10): Promise<void> {
  for (const timestampMs of timestampsMs) {
    await rig.append(
      batchOf(["a", "x".repeat(valueBytes)], { timestampMs: START_MS + timestampMs }),
    );
  }
}

describe("findOffset() of the greatest timestamp", () => {
  // Simulation seed 17: it answered -1 once DeleteRecords had taken the record with the greatest timestamp.
  test("looks among what is left when the newest record was deleted", async () => {
    for (const cut of [2, 3]) {
      const rig = await LogRig.open(storageMemory());
      await fill(rig, [900, 100, 300, 200]);
      expect(await newest(rig)).toEqual([0, START_MS + 900]);
      const id = rig.logs.topicNamed("t")!.id;
      expect(await rig.logs.deleteRecords(id, 0, cut)).toEqual({ ok: true, logStartOffset: cut });
      expect(await newest(rig)).toEqual([4, START_MS + 300]);
      await rig.logs.deleteRecords(id, 0, 6);
      expect(await newest(rig)).toEqual([6, START_MS + 200]);
      await rig.logs.deleteRecords(id, 0, 8);
      expect(await newest(rig)).toEqual([-1, -1]);
      await rig.close();
    }
  });

  test("opens the batch that the log start cuts, in segment files too", async () => {
    const options: RigOptions = { journalFileBytes: 256 * 1024, journalBytesMax: 0 };
    const rig = await LogRig.open(storageMemory(), options);
    await fill(rig, [900, 800, 400, 300], 400_000);
    await rig.logs.maintain(false);
    const log = rig.logs.log(rig.logs.topicNamed("t")!.id, 0)!;
    expect(log.settledEnd).toBeGreaterThan(3);
    // Offset 3 is the second record of the batch of 800.
    await rig.logs.deleteRecords(rig.logs.topicNamed("t")!.id, 0, 3);
    expect(await newest(rig)).toEqual([3, START_MS + 800]);
    await rig.logs.deleteRecords(rig.logs.topicNamed("t")!.id, 0, 5);
    expect(await newest(rig)).toEqual([5, START_MS + 400]);
    await rig.close();
  });

  // The header of a producer's last batch stays when its records go, with the greatest timestamp they had: none was found.
  test("passes over batches that cleaning has emptied", async () => {
    const both = { "cleanup.policy": "compact,delete", "retention.ms": "-1" };
    const rig = await LogRig.open(storageMemory(), compacted(both));
    const producer = { producerId: 5, producerEpoch: 0, baseSequence: 0 };
    const put = async (key: string, ms: number, own = {}) => {
      await rig.append(keyedBatch([{ key, value: "x" }], { timestampMs: START_MS + ms, ...own }));
    };
    await put("first", 900);
    await put("again", 1000, producer);
    await put("third", 100);
    await put("fourth", 200);
    logOf(rig).roll(rig.test.wallMs);
    await put("again", 50);
    logOf(rig).roll(rig.test.wallMs);
    expect(await rig.logs.clean()).toBe(1);
    expect(await newest(rig)).toEqual([0, START_MS + 900]);
    const id = rig.logs.topicNamed("t")!.id;
    expect((await rig.logs.deleteRecords(id, 0, 1)).ok).toBe(true);
    expect(await newest(rig)).toEqual([3, START_MS + 200]);
    await rig.close();
  });

  test("leaves out what is not committed yet", async () => {
    let release: (() => void) | null = null;
    let holds = false;
    const storage = hookedStorage(storageMemory(), (call) =>
      call === "sync" && holds
        ? new Promise<void>((resolve) => {
            release = resolve;
          })
        : undefined,
    );
    const rig = await LogRig.open(storage);
    await fill(rig, [100, 300, 200]);
    holds = true;
    const pending = rig.append(batchOf(["late"], { timestampMs: START_MS + 999 }));
    await settle();
    expect(await newest(rig)).toEqual([2, START_MS + 300]);
    holds = false;
    release!();
    expect((await pending).ok).toBe(true);
    expect(await newest(rig)).toEqual([6, START_MS + 999]);
    await rig.close();
  });
});

describe("Journal", () => {
  // Simulation seed 5097: after a failed sync nothing unsynced of the file can be trusted, whatever another says.
  test("commits nothing by a sync that succeeds beside one that failed", async () => {
    const syncs: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
    let holds = false;
    const storage = hookedStorage(storageMemory(), (call) =>
      call === "sync" && holds
        ? new Promise<void>((resolve, reject) => {
            syncs.push({ resolve, reject });
          })
        : undefined,
    );
    const topics = [topic("t"), topic("relaxed", 1, { "millrace.durability": "interval" })];
    const rig = await LogRig.open(storage, { topics });
    await rig.append(batchOf(["first"]));
    holds = true;
    expect((await rig.append(batchOf(["relaxed"]), "relaxed")).ok).toBe(true);
    await rig.test.advance(60);
    expect(syncs.length).toBe(1);
    const pending = rig.append(batchOf(["second"]));
    await settle();
    expect(syncs.length).toBe(2);
    syncs[0]!.reject(new Error("the disk refused"));
    await settle();
    syncs[1]!.resolve();
    const outcome = await pending;
    expect(outcome.ok ? "acknowledged" : outcome.error.code).toBe("kafka_storage_error");
    expect(rig.offlineReason).toBe("the disk refused");
    holds = false;
    await rig.close();
  });
});
