// What a read says of itself: where its batches end, wherever they lie, and whether the store answers at once or later.

import { expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import type { StoragePlugin } from "../../../src/contracts/storage.ts";
import { patchBaseOffset } from "../../../src/record/batch_header.ts";
import { batchesIn } from "../../../src/record/record_batch.ts";
import { CompactedModel, compacted, logOf, overwrite, write } from "../../support/compacted_log.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { filesOf, storeWith, without } from "../../support/log_files.ts";
import { batchOf, LogRig, topic } from "../../support/log_rig.ts";

const BATCHES = 40;

/** Two partitions whose batches alternate; the first one's are partly in segment files when `settles`. */
async function filled(plugin: StoragePlugin, settles: boolean): Promise<LogRig> {
  const rig = await LogRig.open(plugin, {
    topics: [topic("t", 2, { "internal.segment.bytes": "3000" })],
    journalFileBytes: 8 * 1024,
    journalBytesMax: 0,
    grownBytes: 2000,
  });
  for (let i = 0; i < BATCHES; i++) {
    if (settles && i === BATCHES - 10) await rig.logs.maintain(false);
    const values = Array.from({ length: 1 + (i % 4) }, (_, n) => `${i} ${n} ${"x".repeat(i * 5)}`);
    for (const partition of [0, 1]) await rig.append(batchOf(values), "t", partition);
  }
  return rig;
}

const later = (inner: StoragePlugin) =>
  hookedStorage(inner, (call) => (call === "read" ? Promise.resolve() : undefined));
const PLUGINS = { "at once": storageMemory, later: () => later(storageMemory()) };

for (const [answers, plugin] of Object.entries(PLUGINS)) {
  for (const settles of [false, true]) {
    test(`a read says where its batches end: ${answers}, ${settles ? "segments and journal" : "journal alone"}`, async () => {
      const rig = await filled(plugin(), settles);
      const log = rig.logs.logIn(rig.logs.topicNamed("t")!, 0)!;
      expect(log.settledEnd > 0).toBe(settles);
      expect(log.settledEnd).toBeLessThan(log.logEndOffset);
      const bordersOf = async (endOffset: number, bytesMax: number) => {
        for (let offset = 0; offset < endOffset; ) {
          const read = await rig.logs.reader.read(log, offset, endOffset, bytesMax, true);
          const { batches, fault } = batchesIn(read.batches);
          expect([read.fault, fault]).toEqual([null, null]);
          expect(read.endOffset).toBe(batches.at(-1)!.lastOffset + 1);
          expect(read.endOffset).toBeGreaterThan(offset);
          expect(read.endOffset).toBeLessThanOrEqual(endOffset);
          offset = read.endOffset;
          rig.logs.reader.release(read);
        }
      };
      for (const bytesMax of [1, 700, 1 << 20]) {
        await bordersOf(log.highWatermark, bytesMax);
        // as far as a read_committed reader may look: the border of a batch
        const { batches } = await rig.logs.reader.read(log, 20, log.highWatermark, 1, true);
        await bordersOf(batchesIn(batches).batches[0]!.lastOffset + 1, bytesMax);
      }
      await rig.close();
    });
  }
}

// Random cleaning, seed 43: it was reported as damage, by the cleaner that was reading on behind an emptied segment.
test("a topic that goes while it is read has moved, and is not damaged", async () => {
  const rig = await filled(storageMemory(), true);
  const log = rig.logs.logIn(rig.logs.topicNamed("t")!, 0)!;
  const { settledEnd } = log;
  expect(settledEnd).toBeGreaterThan(1);
  await rig.logs.topicDeleted(topic("t", 2));
  const read = await rig.logs.reader.read(log, settledEnd - 1, settledEnd, 1000, true);
  expect(read.fault).toBe("moved");
  expect(rig.test.events("batch_corrupt")).toEqual([]);
  await rig.close();
});

// It got nothing, and no error, for ever: a consumer stood there below the high watermark.
test("a read between the last batch that cleaning has left and a hole is told of the hole", async () => {
  const memory = storageMemory();
  const options = compacted({ "internal.segment.bytes": "5000" });
  const rig = await LogRig.open(memory, options);
  const model = new CompactedModel();
  // The last ones of the first segment are written again.
  await overwrite(rig, model, 200, 1);
  await write(rig, model, [{ key: "key 0", value: "end" }]);
  const { baseOffset } = logOf(rig).segments[1]!;
  const again = Array.from({ length: 30 }, (_, i) => `key ${baseOffset - 30 + i}`);
  for (const key of again) await write(rig, model, [{ key, value: "again" }]);
  logOf(rig).roll(rig.test.wallMs);
  expect(await rig.logs.clean()).toBe(1);
  await rig.close();
  const files = await filesOf(memory);
  const lost = String(baseOffset).padStart(20, "0");
  const name = [...files.keys()].find((each) => each.endsWith(`/${lost}.1.log`))!;
  const damaged = await LogRig.open(await storeWith(without(files, name)), options);
  expect(damaged.test.events("segment_cut_short").length).toBe(1);
  const codeAt = async (offset: number) => {
    const response = await damaged.fetch(offset);
    const [outcome] = response.partitions;
    response.release();
    return outcome!.ok ? outcome!.value.sizeBytes > 0 : outcome!.error.code;
  };
  expect([await codeAt(0), await codeAt(baseOffset)]).toEqual([true, "corrupt_message"]);
  for (let offset = baseOffset - 20; offset < baseOffset; offset++) {
    expect([offset, await codeAt(offset)]).toEqual([offset, "corrupt_message"]);
  }
  await damaged.close();
});

for (const answers of ["at once", "later"] as const) {
  test(`what is appended and not written yet is read from memory: ${answers}`, async () => {
    // Closed: no append to the journal gets through.
    let gate: Promise<void> | undefined;
    let openGate = () => {};
    const plugin = hookedStorage(storageMemory(), (call, name) => {
      if (call === "read" && answers === "later") return Promise.resolve();
      return call === "append" && name.startsWith("journal/") ? gate : undefined;
    });
    const rig = await LogRig.open(plugin, { replicates: () => true, journalFileBytes: 4096 });
    const log = rig.logs.log(topic("t").id, 0)!;
    const replicas = await rig.logs.replicaLogs();
    const sent: Uint8Array[] = [];
    const send = async (count: number) => {
      for (let i = 0; i < count; i++) {
        const bytes = batchOf([`${sent.length} ${"x".repeat((sent.length * 37) % 500)}`]);
        patchBaseOffset(bytes, 0, log.logEndOffset);
        sent.push(bytes);
        expect(replicas.append(log, bytes).kind).toBe("appended");
        // Several groups: one is on its way, and others wait behind it.
        if (i % 5 === 0) await Promise.resolve();
      }
    };
    const readsAll = async () => {
      for (const bytesMax of [1, 900, 3000, 1 << 20]) {
        const found: Uint8Array[] = [];
        for (let offset = 0; offset < log.logEndOffset; ) {
          const read = await rig.logs.reader.read(log, offset, log.logEndOffset, bytesMax, true);
          expect([offset, read.fault, read.buffer === null]).toEqual([offset, null, false]);
          found.push(read.batches.slice());
          offset = read.endOffset;
          rig.logs.reader.release(read);
        }
        expect(Buffer.concat(found).equals(Buffer.concat(sent))).toBe(true);
      }
    };
    await send(12);
    await rig.logs.journal.flush();
    gate = new Promise((resolve) => {
      openGate = resolve;
    });
    // Over the end of a file too: the next one is not there before the gate opens.
    await send(40);
    expect([log.syncedEnd, log.logEndOffset]).toEqual([12, 52]);
    await readsAll();
    // While it becomes written.
    const reading = readsAll();
    gate = undefined;
    openGate();
    await reading;
    await rig.logs.journal.flush();
    expect(log.syncedEnd).toBe(52);
    await readsAll();
    await rig.close();
  });
}
