// What the cleaner makes of bytes that are not what was written: damage gets no new checksum, and what was only read
// wrong holds nothing up.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { Cleaner } from "../../../src/core/log/cleaner.ts";
import { EMPTY_READ, type LogReader } from "../../../src/core/log/log_reader.ts";
import { CLEANER_DEFAULTS } from "../../../src/core/partition/lazy_cleaner.ts";
import {
  CompactedModel,
  compacted,
  logOf,
  overwrite,
  readRows,
} from "../../support/compacted_log.ts";
import { LogRig } from "../../support/log_rig.ts";

/** A bit of every read of the journal that comes past that position of its file is another one. */
function flipJournal(rig: LogRig, at: number): void {
  const file = rig.logs.journal.active.file!;
  const read = file.readInto.bind(file);
  file.readInto = (target, position) => {
    const count = read(target, position) as number;
    if (position <= at && at < position + count) target[at - position]! ^= 4;
    return count;
  };
}

describe("a cleaning of what lies in the journal", () => {
  // Where checksums are dear (workerd), a read does not look at those of what this process wrote: who fetches it does. What
  // the cleaner wrote anew bore a checksum of the damage.
  test("gives nothing that is damaged a checksum of its own, wherever a bit flips", async () => {
    let refused = 0;
    for (let at = 100; at < 8000; at += 131) {
      const rig = await LogRig.open(storageMemory(), compacted());
      const model = new CompactedModel();
      await overwrite(rig, model, 20, 8);
      await overwrite(rig, model, 10, 1);
      expect(rig.test.runtime.crc32c).toBe(undefined);
      expect(logOf(rig).settledEnd).toBe(0);
      flipJournal(rig, at);
      const cleaned = await rig.logs.clean();
      const rows = await readRows(rig).catch((error: unknown) => String(error));
      if (typeof rows === "string") expect(rows).toMatch(/bad_crc|corrupt_message/);
      else expect([at, model.wrongIn(rows)]).toEqual([at, null]);
      if (cleaned === 0) {
        refused++;
        expect(logOf(rig).cleanedEnd).toBe(0);
        expect(rig.test.events("log_not_cleanable").length).toBe(1);
      }
      await rig.close();
    }
    expect(refused).toBeGreaterThan(20);
  }, 30_000);
});

describe("a read that comes out wrong once", () => {
  // It was taken for damage of the log, which is left for ten minutes then.
  test("is done again, whichever it is", async () => {
    for (let at = 0; ; at++) {
      const rig = await LogRig.open(storageMemory(), compacted());
      const model = new CompactedModel();
      await overwrite(rig, model, 30, 15);
      let reads = 0;
      const { reader, journal, segmentFiles, aborted } = rig.logs;
      const cleaner = new Cleaner({
        journal,
        reader: {
          read: (...asked: Parameters<LogReader["read"]>) =>
            reads++ === at ? { ...EMPTY_READ, fault: "corrupt" } : reader.read(...asked),
          release: reader.release.bind(reader),
        } as LogReader,
        segmentFiles,
        aborted,
        runtime: rig.test.runtime,
        decompressedBytesMax: () => 1 << 20,
        settings: () => CLEANER_DEFAULTS,
        usableBytes: async () => -1,
        logs: () => [logOf(rig)],
      });
      expect([at, await cleaner.run()]).toEqual([at, 1]);
      expect(rig.test.events("log_not_cleanable")).toEqual([]);
      expect(model.wrongIn(await readRows(rig))).toBe(null);
      await rig.close();
      if (reads <= at) break;
    }
  });
});
