// Recovery: the torn tail is cut at the last whole entry and nothing acknowledged before it is
// lost; damage in the middle is reported and never served.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { batchOf, LogRig, type ReadRecord, recordsIn } from "../../support/log_rig.ts";
import { TestRuntime } from "../../support/test_runtime.ts";

const JOURNAL = "journal/0000000001.log";

/** A store whose only journal file holds `bytes`. */
async function storeWith(bytes: Uint8Array) {
  const plugin = storageMemory();
  const storage = await plugin.open({ runtime: new TestRuntime().runtime, brokerId: 1 });
  const file = await storage.segments!.open(JOURNAL, { create: true });
  await file.append([bytes]);
  await file.sync();
  await file.close();
  await storage.close();
  return plugin;
}

async function bytesOf(rig: LogRig): Promise<Uint8Array> {
  const file = rig.logs.journal.files.get(1)!.file!;
  const bytes = new Uint8Array(file.sizeBytes);
  await file.readInto(bytes, 0);
  return bytes;
}

/** Journal bytes with six batches; `ends[i]` is where batch i ends in the file. */
async function journal(options: { readonly closed: boolean }) {
  const plugin = storageMemory();
  const rig = await LogRig.open(plugin);
  const ends: number[] = [];
  for (let i = 0; i < 6; i++) {
    await rig.append(
      batchOf([`value ${i}`, `more ${i}`], {
        producerId: 7,
        producerEpoch: 0,
        baseSequence: i * 2,
      }),
    );
    ends.push(rig.logs.journal.active.endPosition);
  }
  let bytes = await bytesOf(rig);
  await rig.close();
  if (options.closed) {
    const again = await plugin.open({ runtime: rig.test.runtime, brokerId: 1 });
    const file = await again.segments!.open(JOURNAL, { create: false });
    bytes = new Uint8Array(file.sizeBytes);
    await file.readInto(bytes, 0);
  }
  return { bytes, ends };
}

describe("recovery", () => {
  test("a file cut at any byte keeps every whole batch before the cut, and goes on from there", async () => {
    const { bytes, ends } = await journal({ closed: false });
    for (let cut = 0; cut <= bytes.length; cut++) {
      const rig = await LogRig.open(await storeWith(bytes.subarray(0, cut)));
      const whole = ends.filter((end) => end <= cut).length;
      const records = await rig.readAll();
      expect(records.map((r) => r.offset)).toEqual(Array.from({ length: whole * 2 }, (_, i) => i));
      // The next append takes the next offset, the next sequence is known, and both survive.
      const next = batchOf(["next"], { producerId: 7, producerEpoch: 0, baseSequence: whole * 2 });
      const appended = await rig.append(next);
      expect(appended).toMatchObject({ ok: true, value: { baseOffset: whole * 2 } });
      expect((await rig.readAll(whole * 2)).map((r) => r.value)).toEqual(["next"]);
      expect(rig.test.events("journal_corrupt")).toEqual([]);
      expect(rig.test.events("log_has_a_hole")).toEqual([]);
      await rig.close();
    }
  });

  test("garbage or zeros after a cut are cut off as well", async () => {
    const { bytes, ends } = await journal({ closed: false });
    for (const fill of [0, 0x4d, 0xff]) {
      for (const cut of [ends[2]!, ends[3]! - 5, ends[4]! - 40]) {
        const torn = new Uint8Array(bytes.length + 4096).fill(fill);
        torn.set(bytes.subarray(0, cut));
        const rig = await LogRig.open(await storeWith(torn));
        const whole = ends.filter((end) => end <= cut).length;
        expect((await rig.readAll()).length).toBe(whole * 2);
        expect(await rig.append(batchOf(["next"]))).toMatchObject({ ok: true });
        await rig.close();
      }
    }
  });

  test("after a clean stop, a flipped bit anywhere is reported, and no other record is lost or changed", async () => {
    const { bytes, ends } = await journal({ closed: true });
    const intact = new Map<number, string>();
    for (let i = 0; i < 6; i++) {
      intact.set(i * 2, `value ${i}`);
      intact.set(i * 2 + 1, `more ${i}`);
    }
    const starts = [64, ...ends];
    for (let at = 64; at < ends[5]!; at++) {
      const damaged = bytes.slice();
      damaged[at]! ^= 0x10;
      const rig = await LogRig.open(await storeWith(damaged));
      const hit = starts.findIndex((start, i) => at >= start && at < starts[i + 1]!);
      const seen: ReadRecord[] = [];
      let refused = 0;
      for (let offset = 0; offset < 12; offset += 2) {
        try {
          seen.push(...(await rig.readAll(offset)).filter((r) => r.offset < offset + 2));
        } catch {
          seen.push(...(await firstBatch(rig, offset)));
          refused++;
        }
      }
      for (const record of seen) expect(record.value).toBe(intact.get(record.offset)!);
      const lost = [...intact.keys()].filter((offset) => !seen.some((r) => r.offset === offset));
      expect(lost).toEqual([hit * 2, hit * 2 + 1]);
      // Of the very last batch nothing but the report is left: no later offset shows the gap.
      if (hit < 5) expect(refused).toBeGreaterThan(0);
      const said = [...rig.test.events("journal_corrupt"), ...rig.test.events("batch_corrupt")];
      expect(said.length).toBeGreaterThan(0);
      await rig.close();
    }
  });
});

/** The batch at `offset` alone: a later damaged one must not spoil it. */
async function firstBatch(rig: LogRig, offset: number): Promise<ReadRecord[]> {
  const response = await rig.fetch(offset, { bytesMax: 1 });
  const outcome = response.partitions[0]!;
  if (!outcome.ok) return [];
  const records = outcome.value.batches.flatMap((bytes) => recordsIn(bytes));
  response.release();
  return records.filter((r) => r.offset >= offset && r.offset < offset + 2);
}
