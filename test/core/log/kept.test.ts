// Once it was said that there is a log, no crash leaves the folder without a journal file: a start on metadata that
// knows of a log and storage that has none is refused.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import type { StoragePlugin } from "../../../src/contracts/storage.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { batchOf, LogRig, topic } from "../../support/log_rig.ts";
import { TestRuntime } from "../../support/test_runtime.ts";

const { runtime } = new TestRuntime();
const topics = [topic("t"), topic("short")];
const small = { journalFileBytes: 8192, journalBytesMax: 0 };

/** The journal files with their sizes. */
async function journalOf(storage: StoragePlugin): Promise<string[]> {
  const opened = await storage.open({ runtime, brokerId: 1 });
  const files = await opened.segments!.list("journal/0");
  await opened.close();
  return files.map(({ name, sizeBytes }) => `${name} ${sizeBytes > 0 ? "written" : "empty"}`);
}

describe("LogManager", () => {
  test("says that it keeps a log at the first sync, and at every start that finds one", async () => {
    const memory = storageMemory();
    let kept = 0;
    const onKept = () => kept++;
    const first = await LogRig.open(memory, { onKept });
    expect(kept).toBe(0);
    const appended = first.append(batchOf(["a"]));
    expect(kept).toBe(0);
    expect((await appended).ok).toBe(true);
    await first.append(batchOf(["b"]));
    await first.close();
    expect(kept).toBe(1);
    const second = await LogRig.open(memory, { onKept });
    expect(kept).toBe(2);
    await second.close();
  });

  test("records in memory alone are no log before they are synced", async () => {
    const memory = storageMemory();
    let kept = 0;
    const inMemory = [topic("t", 1, { "millrace.durability": "memory" })];
    const rig = await LogRig.open(memory, { topics: inMemory, onKept: () => kept++ });
    expect((await rig.append(batchOf(["a"]))).ok).toBe(true);
    expect(kept).toBe(0);
    await rig.close();
    expect(kept).toBe(1);
    expect(await journalOf(memory)).toEqual(["journal/0000000001.log written"]);
  });

  test("the last file stays while the next one was only begun, also where nobody needs it", async () => {
    const memory = storageMemory();
    const first = await LogRig.open(memory, { topics });
    await first.append(batchOf(["a"]));
    await first.close();
    const opened = await memory.open({ runtime, brokerId: 1 });
    const next = await opened.segments!.open("journal/0000000002.log", { create: true });
    await next.sync();
    await opened.close();
    const rig = await LogRig.open(memory, { topics: [topics[1]!], ...small });
    await rig.logs.maintain(false);
    memory.loseUnsynced();
    expect(await journalOf(memory)).toContain("journal/0000000001.log written");

    // It goes as soon as the next one is there.
    const again = await LogRig.open(memory, { topics: [topics[1]!], ...small });
    expect((await again.append(batchOf(["b"]), "short")).ok).toBe(true);
    await again.logs.maintain(false);
    expect(await again.readAll(0, "short")).toHaveLength(1);
    await again.close();
    expect(await journalOf(memory)).toEqual(["journal/0000000002.log written"]);
  });

  test("whenever the power goes, a journal file is there once it was said", async () => {
    let saidCount = 0;
    let isDone = false;
    let point = 0;
    for (; !isDone; point++) {
      const memory = storageMemory();
      let calls = 0;
      let isSaid = false;
      const dying = hookedStorage(
        memory,
        () => (calls++ >= point ? Promise.reject(new Error("no power")) : undefined),
        { prefersRecycling: point % 2 === 0 },
      );
      try {
        const onKept = () => {
          isSaid = true;
        };
        for (let starts = 0; starts < 2; starts++) {
          const rig = await LogRig.open(dying, { topics, ...small, onKept });
          for (let i = 0; i < 8; i++) {
            await rig.append(batchOf(["v".repeat(3000)]), i % 3 === 0 ? "t" : "short");
            if (i === 5) await rig.logs.topicDeleted(topics[1]!);
            if (i % 2 === 0) await rig.logs.maintain(false);
          }
          await rig.close();
        }
        isDone = calls <= point;
      } catch (error) {
        expect(String(error)).toContain("no power");
      }
      memory.loseUnsynced();
      if (!isSaid) continue;
      saidCount++;
      expect((await journalOf(memory)).some((each) => each.endsWith("written"))).toBe(true);
    }
    expect(saidCount).toBeGreaterThan(20);
    expect(point).toBeGreaterThan(saidCount);
  });
});
