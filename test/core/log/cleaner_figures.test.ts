// What the cleaner says of a log, before, during and after it cleans, and where it cannot.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import type { CleaningFigures } from "../../../src/core/log/cleaner_figures.ts";
import {
  CompactedModel,
  compacted,
  logOf,
  overwrite,
  readRows,
} from "../../support/compacted_log.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { LogRig, topic } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";

async function figuresOf(rig: LogRig): Promise<CleaningFigures> {
  const [figures] = await rig.logs.cleaning(rig.logs.topicNamed("t")!.id);
  return figures!;
}

describe("figures of cleaning", () => {
  test("tell of the dirty part, and of the last cleaning what it came to", async () => {
    const rig = await LogRig.open(storageMemory(), compacted());
    const model = new CompactedModel();
    expect(await rig.logs.cleaning(rig.logs.topicNamed("t")!.id)).toEqual([]);
    await overwrite(rig, model, 20, 20);
    const bytesBefore = logOf(rig).sizeBytes;
    const before = await figuresOf(rig);
    expect(before).toMatchObject({ partition: 0, cleanedEnd: 0, cleanBytes: 0, cleanings: 0 });
    expect(before).toMatchObject({ dirtyBytes: bytesBefore, dirtyRatio: 1, last: null });
    // The last segment still grows.
    expect(before.cleanableBytes).toBe(bytesBefore - logOf(rig).segments.at(-1)!.sizeBytes);
    expect(await rig.logs.clean()).toBe(1);
    const after = await figuresOf(rig);
    const rows = (await readRows(rig)).filter(({ offset }) => offset < after.cleanedEnd);
    expect(after).toMatchObject({ cleanings: 1, running: null, uncleanable: null });
    expect(after.last).toMatchObject({
      startOffset: 0,
      endOffset: after.cleanedEnd,
      bytesBefore,
      bytesAfter: logOf(rig).sizeBytes,
      recordsBefore: after.cleanedEnd,
      recordsAfter: rows.length,
      tombstonesRemoved: 0,
      endedMs: rig.test.wallMs,
    });
    expect(after.cleanBytes + after.dirtyBytes).toBe(logOf(rig).sizeBytes);
    expect(after.dirtyRatio).toBe(after.dirtyBytes / logOf(rig).sizeBytes);
    expect(after.cleanableBytes).toBe(0);
    await rig.close();
  });

  test("tell how far one under way has come, phase by phase", async () => {
    let isSlow = false;
    const plugin = hookedStorage(storageMemory(), () => (isSlow ? settle() : undefined));
    const rig = await LogRig.open(plugin, compacted());
    await overwrite(rig, new CompactedModel(), 100, 60);
    isSlow = true;
    const phases: string[] = [];
    let isDone = false;
    const cleaning = rig.logs.clean().then(() => {
      isDone = true;
    });
    let last = { phase: "", offset: 0 };
    while (!isDone) {
      const { running } = await figuresOf(rig);
      if (running !== null) {
        if (phases.at(-1) !== running.phase) phases.push(running.phase);
        else expect(running.offset).toBeGreaterThanOrEqual(last.offset);
        expect(running.offset).toBeLessThanOrEqual(running.endOffset);
        last = running;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await cleaning;
    expect(phases).toEqual(["keys", "rewrite"]);
    expect((await figuresOf(rig)).running).toBe(null);
    await rig.close();
  });

  test("say why a log is left as it is and when it is tried again, until it was cleaned", async () => {
    const cleaner = { keysBytesMax: 1 };
    const options = compacted({ "internal.segment.bytes": "400" });
    const rig = await LogRig.open(storageMemory(), { ...options, cleaner });
    await overwrite(rig, new CompactedModel(), 300, 2);
    expect(await rig.logs.clean()).toBe(0);
    const { uncleanable, cleanings } = await figuresOf(rig);
    expect(uncleanable!.reason).toContain("log.cleaner.dedupe.buffer.size");
    expect(uncleanable!.retryMs).toBe(rig.test.wallMs + 600_000);
    expect(cleanings).toBe(0);
    await rig.close();
  });

  test("are none of a topic that is not compacted", async () => {
    const rig = await LogRig.open(storageMemory(), { topics: [topic("t")] });
    await overwrite(rig, new CompactedModel(), 10, 1);
    expect(await rig.logs.cleaning(rig.logs.topicNamed("t")!.id)).toEqual([]);
    expect(await rig.logs.cleaning("nobody")).toEqual([]);
    await rig.close();
  });
});
