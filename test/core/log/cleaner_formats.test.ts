// What a Millrace from before the cleaner makes of a folder: it reads one in which nothing was cleaned, and refuses any other.
// It takes a state that it cannot read for damage, and goes on: with offsets that were given already, and
// without the cleaned files.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { FILE_HEADER_BYTES } from "../../../src/core/log/journal_format.ts";
import { CompactedModel, keyedBatch, readRows } from "../../support/compacted_log.ts";
import { LogRig, type RigOptions, topic } from "../../support/log_rig.ts";

const OPTIONS: RigOptions = {
  topics: [
    topic("t", 1, {
      "cleanup.policy": "compact",
      "internal.segment.bytes": "4000",
      "min.cleanable.dirty.ratio": "0.01",
    }),
    topic("u"),
  ],
  journalFileBytes: 16 * 1024,
  journalBytesMax: 0,
};

const PLAIN_STATE = 1;
const CLEANED_STATE = 2;

async function write(rig: LogRig, model: CompactedModel, count: number, name = "t") {
  for (let i = 0; i < count; i++) {
    const entries = [{ key: `${i % 5}`, value: `${i}`.padEnd(100, ".") }];
    if (name === "t") model.write(entries);
    const outcome = await rig.append(keyedBatch(entries), name);
    if (!outcome.ok) throw new Error(outcome.error.code);
  }
}

/** Of every journal file: the version in its header, and those of the states in it. */
async function versions(rig: LogRig): Promise<{ header: number; states: Set<number> }[]> {
  const found: { header: number; states: Set<number> }[] = [];
  for (const { file } of rig.logs.journal.files.values()) {
    if (file === null) continue;
    const bytes = new Uint8Array(file.sizeBytes);
    await file.readInto(bytes, 0);
    const view = new DataView(bytes.buffer);
    const states = new Set<number>();
    for (let at = FILE_HEADER_BYTES; at + 48 <= bytes.length; at += 48 + view.getUint32(at + 16)) {
      if (view.getUint8(at + 12) === 3) states.add(view.getUint8(at + 48));
    }
    found.push({ header: view.getUint32(4), states });
  }
  return found;
}

/** Files that a Millrace from before would open, and not understand. */
const misread = (files: Awaited<ReturnType<typeof versions>>) =>
  files.filter(({ header, states }) => header < 2 && states.has(CLEANED_STATE));

describe("the format of a folder", () => {
  test("is as before while nothing was cleaned", async () => {
    const rig = await LogRig.open(storageMemory(), OPTIONS);
    await write(rig, new CompactedModel(), 400);
    await rig.logs.logIn(rig.logs.topicNamed("t")!, 0)!.writeState().settled();
    const files = await versions(rig);
    expect(files.some(({ states }) => states.has(PLAIN_STATE))).toBe(true);
    for (const { header, states } of files) {
      expect(header).toBe(1);
      expect(states.has(CLEANED_STATE)).toBe(false);
    }
    await rig.close();
  });

  test("says in each journal file that speaks of cleaned segments that it is newer, for good", async () => {
    const memory = storageMemory();
    const model = new CompactedModel();
    const rig = await LogRig.open(memory, OPTIONS);
    await write(rig, model, 150);
    expect(await rig.logs.clean()).toBe(1);
    const files = await versions(rig);
    expect(files.some(({ states }) => states.has(CLEANED_STATE))).toBe(true);
    expect(misread(files)).toEqual([]);
    await rig.close();

    for (let start = 0; start < 3; start++) {
      const again = await LogRig.open(memory, OPTIONS);
      expect(model.wrongIn(await readRows(again))).toBe(null);
      await write(again, model, 200, "u");
      await write(again, model, 20);
      for (let i = 0; i < 3; i++) await again.logs.maintain(false);
      const later = await versions(again);
      expect(misread(later)).toEqual([]);
      expect(later.at(-1)!.header).toBe(2);
      expect(again.test.lines.filter(({ level }) => level === "error")).toEqual([]);
      await again.close();
    }
  });

  test("is newer at once in a journal that has no file yet", async () => {
    const memory = storageMemory();
    const model = new CompactedModel();
    const first = await LogRig.open(memory, OPTIONS);
    await write(first, model, 150);
    await first.close();
    const rig = await LogRig.open(memory, OPTIONS);
    expect(await rig.logs.clean()).toBe(1);
    expect(misread(await versions(rig))).toEqual([]);
    expect(model.wrongIn(await readRows(rig))).toBe(null);
    await rig.close();
  });
});
