import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { batchOf, LogRig, topic } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";

const topics = [topic("t", 1, { "internal.segment.bytes": "300000" })];
const options = { topics, journalFileBytes: 256 * 1024, journalBytesMax: 0 };

describe("Settler", () => {
  // Simulation seed 6430: the file was removed while only an unsynced entry said that nobody needs it, and a
  // power loss left a state that spoke of it.
  test("keeps the file of a dropped segment until the new log start is synced", async () => {
    const memory = storageMemory();
    let holds = false;
    let deleting: Promise<unknown> | null = null;
    const holder: { rig: LogRig | null } = { rig: null };
    const storage = hookedStorage(memory, (call, name) => {
      if (call === "open" && name.endsWith(".index") && deleting === null) {
        // The state is synced and indexes are being written: now the log start moves, and its entry waits.
        holds = true;
        const { logs } = holder.rig!;
        deleting = logs.deleteRecords(logs.topicNamed("t")!.id, 0, 3);
      }
      if (call === "sync" && name.startsWith("journal/") && holds)
        return new Promise<void>(() => {});
      return undefined;
    });
    const rig = await LogRig.open(storage, options);
    holder.rig = rig;
    for (let i = 0; i < 6; i++) await rig.append(batchOf([`${i}`, "x".repeat(250_000)]));
    void rig.logs.maintain(false);
    for (let turn = 0; turn < 20; turn++) await settle();
    expect(deleting).not.toBeNull();
    expect(rig.logs.status(rig.logs.topicNamed("t")!.id, 0)!.logStartOffset).toBe(3);
    memory.loseUnsynced();

    const again = await LogRig.open(memory, options);
    expect(again.test.events("segment_cut_short")).toEqual([]);
    const status = again.logs.status(again.logs.topicNamed("t")!.id, 0)!;
    expect(status).toMatchObject({ logStartOffset: 0, highWatermark: 12 });
    const records = await again.readAll(0);
    expect(records.map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    await again.close();
  });
});
