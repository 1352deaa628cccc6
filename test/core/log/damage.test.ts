// Damaged files: what can be read is right, what cannot is reported, and nothing in between is served.
// MILLRACE_TEST_FULL=1 flips every byte instead of a sample.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import type { TopicImage } from "../../../src/core/cluster/image.ts";
import {
  type Files,
  filesOf,
  flipped,
  replaced,
  storeWith,
  without,
} from "../../support/log_files.ts";
import { batchOf, caller, LogRig, recordsIn, topic } from "../../support/log_rig.ts";
import { TestRuntime } from "../../support/test_runtime.ts";
import { isFullTestRun } from "../../support/test_scale.ts";

const topics = [topic("t", 1, { "segment.bytes": "1048576" }), topic("small")];
const options = { topics, journalFileBytes: 256 * 1024, journalBytesMax: 0 };

const value = (offset: number) => `${offset}:`.padEnd(40 + (offset % 7) * 90, "v");

/** Records with two offsets to a batch, most in segment files, the newest in the journal. */
async function settledLog(records: number, fillerBytes: number): Promise<Files> {
  const plugin = storageMemory();
  const rig = await LogRig.open(plugin, options);
  await rig.append(batchOf(["a small one"]), "small");
  for (let offset = 0; offset < records; offset += 2) {
    await rig.append(batchOf([value(offset), value(offset + 1)]));
    if (fillerBytes > 0) await rig.append(batchOf(["-".repeat(fillerBytes)]), "small");
  }
  await rig.logs.maintain(false);
  await rig.close();
  return await filesOf(plugin);
}

/** Reads as a consumer does that skips, offset by offset, what it is refused. Every record must be right. */
async function consume(rig: LogRig, bytesMax: number, topicName = "t") {
  const seen: number[] = [];
  let refusals = 0;
  let next = rig.logs.status(rig.logs.topicNamed(topicName)!.id, 0)!.logStartOffset;
  const end = rig.logs.status(rig.logs.topicNamed(topicName)!.id, 0)!.highWatermark;
  while (next < end) {
    const response = await rig.fetch(next, { bytesMax, topic: topicName });
    const outcome = response.partitions[0]!;
    if (!outcome.ok) {
      expect(outcome.error.code).toBe("corrupt_message");
      refusals++;
      next++;
      continue;
    }
    const records = outcome.value.batches.flatMap((bytes) => recordsIn(bytes));
    response.release();
    const fresh = records.filter((record) => record.offset >= next);
    // A consumer that gets nothing below the high watermark would wait for ever, and nobody would know.
    if (fresh.length === 0) throw new Error(`nothing at ${next}`);
    for (const record of fresh) {
      if (record.offset !== next) throw new Error(`${record.offset} came instead of ${next}`);
      if (topicName === "t" && record.value !== value(record.offset))
        throw new Error(`wrong ${next}`);
      seen.push(next++);
    }
  }
  return { seen, refusals, end };
}

describe("a damaged segment file", () => {
  test("a flipped bit anywhere is reported, and never served", async () => {
    const files = await settledLog(7200, 0);
    const name = [...files.keys()].find((each) => /segments.*\.log$/.test(each))!;
    const bytes = files.get(name)!;
    expect(files.has(name.replace(/\.log$/, ".index"))).toBe(true);
    const random = SeededRandom.of("flips");
    const spots: number[] = [];
    if (isFullTestRun) for (let at = 0; at < bytes.length; at++) spots.push(at);
    // All of some batch headers, and some bytes anywhere.
    else {
      for (let at = 0; at < 61; at += 3) spots.push(at);
      const border = headersIn(bytes)[700]!;
      for (let at = border; at < border + 61; at++) spots.push(at);
      for (let i = 0; i < 15; i++) spots.push(random.below(bytes.length));
    }
    for (const hasIndex of [true, false]) {
      const around = hasIndex ? files : without(files, name.replace(/\.log$/, ".index"));
      for (const at of spots) {
        const damaged = replaced(around, name, flipped(bytes, at, random.below(8)));
        const rig = await LogRig.open(await storeWith(damaged), options);
        const near = Math.max(0, offsetAtByte(bytes, at) - 60);
        const { seen, refusals, end } = await consumeFrom(rig, near, near + 120);
        const isEpoch = refusals === 0;
        if (!isEpoch) {
          expect(rig.test.events("batch_corrupt").length).toBeGreaterThan(0);
          // The damaged batch, and where its length is wrong others up to the next index entry.
          if (hasIndex) expect(seen.length).toBeGreaterThan(40);
        } else expect(seen.length).toBe(end - near);
        await rig.close();
      }
    }
  });

  test("a file that is cut short or gone is said to be so at the start, and when it is read", async () => {
    const files = await settledLog(2400, 0);
    const name = [...files.keys()].find((each) => /segments.*\.log$/.test(each))!;
    const bytes = files.get(name)!;
    for (const cut of [bytes.length - 1, bytes.length - 100, 70_000, 61, 5, 0, -1]) {
      const damaged = cut < 0 ? without(files, name) : replaced(files, name, bytes.slice(0, cut));
      const rig = await LogRig.open(await storeWith(damaged), options);
      expect(rig.test.events("segment_cut_short").length).toBe(1);
      const whole = headersIn(bytes.subarray(0, Math.max(cut, 0))).length * 2;
      const { seen } = await consumeUntilRefused(rig);
      expect(seen).toBe(Math.min(whole, 2400));
      await rig.close();
    }
  });

  test("an index that is damaged, cut or gone is rebuilt", async () => {
    // Two segments: the first has an index of its own.
    const plugin = storageMemory();
    let rig = await LogRig.open(plugin, options);
    for (let i = 0; i < 140; i++) await rig.append(batchOf([`${i}`.padEnd(9000, "i")]));
    await rig.logs.maintain(false);
    await rig.close();
    const files = await filesOf(plugin);
    const name = [...files.keys()].find((each) => each.endsWith(".index"))!;
    const bytes = files.get(name)!;
    const variants: Files[] = [without(files, name), replaced(files, name, new Uint8Array(0))];
    for (let at = 0; at < bytes.length; at += isFullTestRun ? 1 : 61) {
      variants.push(replaced(files, name, flipped(bytes, at, at % 8)));
      if (at % 3 === 0) variants.push(replaced(files, name, bytes.slice(0, at)));
    }
    for (const variant of variants) {
      rig = await LogRig.open(await storeWith(variant), options);
      for (const offset of [0, 1, 57, 115, 116, 139]) {
        const response = await rig.fetch(offset, { bytesMax: 1 });
        const outcome = response.partitions[0]!;
        if (!outcome.ok) throw new Error(outcome.error.code);
        const [record] = outcome.value.batches.flatMap((each) => recordsIn(each));
        expect(record!.offset).toBe(offset);
        response.release();
      }
      expect(rig.test.events("batch_corrupt")).toEqual([]);
      await rig.close();
    }
  });
});

describe("damage in the journal", () => {
  test("a reader is stopped at a hole, in the middle and at the end, and the evidence is kept", async () => {
    const plugin = storageMemory();
    let rig = await LogRig.open(plugin, options);
    const ends: number[] = [];
    for (let offset = 0; offset < 12; offset += 2) {
      await rig.append(batchOf([value(offset), value(offset + 1)]));
      ends.push(rig.logs.journal.active.endPosition);
    }
    await rig.close();
    const files = await filesOf(plugin);
    const name = "journal/0000000001.log";
    for (const hit of [0, 2, 3]) {
      const at = (hit === 0 ? 64 : ends[hit - 1]!) + 10;
      const damaged = await storeWith(replaced(files, name, flipped(files.get(name)!, at, 3)));
      rig = await LogRig.open(damaged, options);
      const { seen, refusals } = await consume(rig, 1024 * 1024);
      expect(refusals).toBe(2);
      expect(seen.length).toBe(10);
      expect(rig.test.events("journal_corrupt").length).toBe(1);
      expect(rig.test.events("log_has_a_hole").length).toBe(1);
      // It stays so whatever is written on top, and over restarts.
      for (let i = 0; i < 80; i++) await rig.append(batchOf(["x".repeat(20_000)]));
      await rig.logs.maintain(false);
      expect(rig.logs.journal.files.has(1)).toBe(true);
      await rig.close();
      rig = await LogRig.open(damaged, options);
      expect(rig.test.events("log_has_a_hole").length).toBe(1);
      expect((await rig.fetch(hit * 2)).partitions[0]).toMatchObject({
        error: { code: "corrupt_message" },
      });
      expect((await rig.fetch(91)).partitions[0]).toMatchObject({ ok: true });
      await rig.close();
    }
  });

  test("the newest batches lost before a state that knows of them are a hole too", async () => {
    const plugin = storageMemory();
    let rig = await LogRig.open(plugin, options);
    for (let offset = 0; offset < 6; offset += 2) {
      await rig.append(batchOf([value(offset), value(offset + 1)]), "small");
    }
    const at = rig.logs.journal.active.endPosition - 100;
    const log = rig.logs.log(topics[1]!.id, 0)!;
    await log.writeState().settled();
    await rig.append(batchOf(["another"]));
    await rig.close();
    const files = await filesOf(plugin);
    const name = "journal/0000000001.log";
    // The last header byte before the payload: the entry is not believed any more.
    const bytes = files.get(name)!;
    const header = lastHeaderBefore(bytes, at);
    const damaged = await storeWith(replaced(files, name, flipped(bytes, header + 20, 1)));
    rig = await LogRig.open(damaged, options);
    expect(rig.logs.status(topics[1]!.id, 0)).toMatchObject({ highWatermark: 6 });
    expect(rig.test.events("log_has_a_hole").length).toBe(1);
    const { seen, refusals } = await consume(rig, 1024 * 1024, "small");
    expect([seen, refusals]).toEqual([[0, 1, 2, 3], 2]);
    await rig.append(batchOf(["after"]), "small");
    // Once more: what was written behind the state does not hide what is missing before it.
    for (const _ of ["now", "after another start"]) {
      expect((await rig.readAll(6, "small")).map((r) => r.value)).toEqual(["after"]);
      const { partitions } = await rig.fetch(4, { topic: "small" });
      expect(partitions[0]).toMatchObject({ error: { code: "corrupt_message" } });
      await rig.close();
      rig = await LogRig.open(damaged, options);
      expect(rig.test.events("log_has_a_hole").length).toBe(1);
    }
    await rig.close();
  });

  test("a damaged state does not make its segment files orphans", async () => {
    const files = await settledLog(2400, 0);
    const segments = [...files.keys()].filter((each) => each.startsWith("segments/"));
    for (const name of [...files.keys()].filter((each) => each.startsWith("journal/"))) {
      const bytes = files.get(name)!;
      for (
        let at = 64;
        at < bytes.length;
        at += 1 + Math.floor(bytes.length / (isFullTestRun ? 4000 : 60))
      ) {
        const plugin = await storeWith(replaced(files, name, flipped(bytes, at, 5)));
        const rig = await LogRig.open(plugin, options);
        const left = (await rig.storage.segments!.list("segments/")).map((each) => each.name);
        expect(left).toEqual(segments);
        await rig.close();
      }
    }
  });

  test("a file header that rots is reported, nothing is added to that file, and all else is read", async () => {
    const plugin = storageMemory();
    let rig = await LogRig.open(plugin, options);
    for (let offset = 0; offset < 12; offset += 2) {
      await rig.append(batchOf([value(offset), value(offset + 1)]));
    }
    await rig.close();
    const files = await filesOf(plugin);
    const name = "journal/0000000001.log";
    const bytes = files.get(name)!;
    const zeroed = bytes.slice().fill(0, 0, 64);
    for (const header of [
      zeroed,
      ...Array.from({ length: 64 }, (_, at) => flipped(bytes, at, 2)),
    ]) {
      const damaged = await storeWith(replaced(files, name, header));
      for (const count of [6, 7]) {
        rig = await LogRig.open(damaged, options);
        expect(rig.test.events("journal_header_corrupt").length).toBe(1);
        expect((await rig.readAll()).length).toBe(count * 2);
        await rig.append(batchOf([value(count * 2), value(count * 2 + 1)]));
        await rig.close();
      }
    }
  });

  test("an entry that a client made up inside a record is not taken for one", async () => {
    const plugin = storageMemory();
    let rig = await LogRig.open(plugin, options);
    await rig.append(batchOf([value(0), value(1)]));
    await rig.logs.deleteRecords(topics[0]!.id, 0, 1);
    await rig.close();
    const before = await filesOf(plugin);
    // A start entry of this very log, as an insider would copy it, but without this file's salt.
    const entry = startEntryIn(before.get("journal/0000000001.log")!);
    const forged = storageMemory();
    const test = new TestRuntime();
    Object.assign(test.runtime, { random: SeededRandom.of("another draw") });
    rig = await LogRig.open(forged, { ...options, test });
    for (let offset = 0; offset < 4; offset += 2) {
      await rig.append(batchOf([value(offset), value(offset + 1)]));
    }
    const lie = String.fromCharCode(...entry);
    const bytes = batchOf(["?".repeat(entry.length)]);
    // Uncompressed, so that the bytes stand in the file as they are.
    const at = new TextDecoder("latin1").decode(bytes).indexOf("?".repeat(entry.length));
    for (let i = 0; i < lie.length; i++) bytes[at + i] = lie.charCodeAt(i);
    const { patchCrc } = await import("../../../src/record/batch_header.ts");
    patchCrc(bytes, 0, bytes.length);
    expect(await rig.append(bytes, "small")).toMatchObject({ ok: true });
    const damagedAt = rig.logs.journal.active.endPosition - bytes.length - 10;
    await rig.append(batchOf([value(4), value(5)]));
    await rig.close();
    const files = await filesOf(forged);
    const name = "journal/0000000001.log";
    rig = await LogRig.open(
      await storeWith(replaced(files, name, flipped(files.get(name)!, damagedAt, 0))),
      options,
    );
    expect(rig.test.events("journal_corrupt").length).toBe(1);
    expect(rig.logs.status(topics[0]!.id, 0)).toMatchObject({
      logStartOffset: 0,
      highWatermark: 6,
    });
    await rig.close();
  });

  test("look-ups by time say what is damaged, and never a wrong offset", async () => {
    const files = await settledLog(2400, 0);
    const name = [...files.keys()].find((each) => /segments.*\.log$/.test(each))!;
    const bytes = files.get(name)!;
    const rig = await LogRig.open(
      await storeWith(replaced(files, name, flipped(bytes, 80, 1))),
      options,
    );
    const [outcome] = await rig.api.offsetFor(caller, [
      {
        topic: "t",
        partition: 0,
        at: { timestampMs: 1 },
        isolation: "read_uncommitted",
        leaderEpoch: -1,
      },
    ]);
    expect(outcome).toMatchObject({ error: { code: "corrupt_message" } });
    await rig.close();
  });
});

/** Positions of the batches that stand back to back in `bytes`; only whole ones. */
function headersIn(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: number[] = [];
  for (let at = 0; at + 61 <= bytes.length; ) {
    const sizeBytes = view.getInt32(at + 8) + 12;
    if (at + sizeBytes > bytes.length) break;
    found.push(at);
    at += sizeBytes;
  }
  return found;
}

function offsetAtByte(bytes: Uint8Array, at: number): number {
  const headers = headersIn(bytes);
  return headers.findLastIndex((each) => each <= at) * 2;
}

const ENTRY_MAGIC = 0x4d52_4a45;

function lastHeaderBefore(bytes: Uint8Array, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let header = at; header >= 0; header--) {
    if (view.getUint32(header) === ENTRY_MAGIC) return header;
  }
  throw new Error("no entry there");
}

function startEntryIn(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 64; at + 56 <= bytes.length; at++) {
    if (view.getUint32(at) === ENTRY_MAGIC && bytes[at + 12] === 4) return bytes.slice(at, at + 56);
  }
  throw new Error("no start entry");
}

async function consumeFrom(rig: LogRig, from: number, to: number) {
  const seen: number[] = [];
  let refusals = 0;
  const { highWatermark } = rig.logs.status((topics[0] as TopicImage).id, 0)!;
  const end = Math.min(to, highWatermark);
  let next = from;
  while (next < end) {
    const response = await rig.fetch(next, { bytesMax: 3000 });
    const outcome = response.partitions[0]!;
    if (!outcome.ok) {
      expect(outcome.error.code).toBe("corrupt_message");
      refusals++;
      next++;
      continue;
    }
    const records = outcome.value.batches.flatMap((bytes) => recordsIn(bytes));
    response.release();
    const fresh = records.filter((record) => record.offset >= next);
    if (fresh.length === 0) throw new Error(`nothing at ${next}`);
    for (const record of fresh) {
      if (record.offset !== next) throw new Error(`${record.offset} came instead of ${next}`);
      if (record.value !== value(record.offset)) throw new Error(`wrong value at ${next}`);
      next++;
      if (record.offset < end) seen.push(record.offset);
    }
  }
  return { seen, refusals, end };
}

/** How many records a consumer gets before the first refusal. */
async function consumeUntilRefused(rig: LogRig): Promise<{ seen: number }> {
  let next = 0;
  const { highWatermark } = rig.logs.status((topics[0] as TopicImage).id, 0)!;
  while (next < highWatermark) {
    const response = await rig.fetch(next, { bytesMax: 100_000 });
    const outcome = response.partitions[0]!;
    if (!outcome.ok) break;
    const records = outcome.value.batches.flatMap((bytes) => recordsIn(bytes));
    response.release();
    if (records.length === 0) throw new Error(`nothing at ${next}`);
    next = records.at(-1)!.offset + 1;
  }
  return { seen: next };
}
