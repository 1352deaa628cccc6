// Two and more openers of one store that keeps nobody out, in the middle of appends: what any of them acknowledged is
// there for the last one, once and at its offset, and nobody acknowledges what is not.

import { describe, expect, test } from "bun:test";
import { storageKv } from "../../../plugins/storage-kv/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import { memoryKeyValue } from "../../../src/testing/memory_key_value.ts";
import { batchOf, LogRig } from "../../support/log_rig.ts";

const RIG = { journalFileBytes: 16 * 1024, journalBytesMax: 64 * 1024 };

/** Lanes that append until their broker refuses; what was acknowledged, by offset. */
function load(rig: LogRig, name: string, acked: Map<number, string>): Promise<unknown> {
  const lane = async (which: number): Promise<void> => {
    for (let i = 0; i < 400; i++) {
      const value = `${name} ${which}/${i} `.padEnd(700, "x");
      const outcome = await rig.append(batchOf([value]));
      if (!outcome.ok) return;
      expect(acked.has(outcome.value.baseOffset)).toBe(false);
      acked.set(outcome.value.baseOffset, value);
    }
  };
  return Promise.all([0, 1, 2].map(lane));
}

describe("openers that take over from one another amid appends", () => {
  for (const answersLater of [false, true]) {
    test(`lose nothing and double nothing (answers ${answersLater ? "later" : "at once"})`, async () => {
      let fencedCount = 0;
      for (let seed = 0; seed < 12; seed++) {
        const random = SeededRandom.of(`takeover ${seed}`);
        const memory = memoryKeyValue({ answersLater });
        const acked = new Map<number, string>();
        const rigs: LogRig[] = [];
        const loads: Promise<unknown>[] = [];
        for (let opener = 0; opener < 4; opener++) {
          // The earlier ones append while this one recovers.
          const rig = await LogRig.open(storageKv({ open: memory.open }), RIG);
          rigs.push(rig);
          loads.push(load(rig, `opener ${opener}`, acked));
          for (let turns = random.below(400); turns > 0; turns--) await Promise.resolve();
        }
        await Promise.all(loads);
        const last = rigs.pop()!;
        for (const rig of rigs) {
          const late = await rig.append(batchOf(["late"]));
          expect(late.ok).toBe(false);
          if (rig.offlineReason !== null) fencedCount++;
          await rig.close().catch(() => {});
        }
        const check = async (rig: LogRig): Promise<void> => {
          const found = await rig.readAll();
          expect(found.map(({ offset }) => offset)).toEqual(found.map((_, offset) => offset));
          expect(new Set(found.map(({ value }) => value)).size).toBe(found.length);
          for (const [offset, value] of acked) {
            if (found[offset]?.value !== value) throw new Error(`seed ${seed}: ${offset} is lost`);
          }
        };
        await check(last);
        await last.close();
        // And after a power loss that takes all that was not synced.
        const left = memory.rebuild(memory.points(), "nothing");
        const again = await LogRig.open(storageKv({ open: left.open }), RIG);
        await check(again);
        await again.close();
      }
      expect(fencedCount).toBe(36);
    }, 60_000);
  }
});
