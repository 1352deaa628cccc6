// The cleaner takes batches out of the journal itself, and so does who gives journal files up: both at once in one log,
// with calls to storage that take their time, in any order.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import {
  CompactedModel,
  compacted,
  doublesIn,
  keyedBatch,
  logOf,
  readRows,
  write,
} from "../../support/compacted_log.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { LogRig, topic } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";
import { isFullTestRun } from "../../support/test_scale.ts";

const ORIGINAL = /\/\d{20}\.log$/;
const CLEANED = /\/\d{20}\.\d+\.log$/;

interface Counts {
  /** Writes to a segment that was not cleaned, and to one that was, while the other work was under way. */
  copied: number;
  cleaned: number;
  /** Cleanings that ended while a segment that they took was being copied. */
  overtaken: number;
}

async function life(seed: number, counts: Counts): Promise<void> {
  const random = SeededRandom.of(`cleaner and settler ${seed}`);
  const memory = storageMemory();
  let rig!: LogRig;
  let isAtBoth = false;
  const isSlow = seed % 2 === 0;
  const overtaking = async () => {
    const { settledEnd } = logOf(rig);
    for (let turn = 0; turn < 200 && logOf(rig).settledEnd === settledEnd; turn++) await settle();
    await wait(random.below(60));
  };
  const copying = new Set<string>();
  const plugin = hookedStorage(memory, (call, name) => {
    if (!isAtBoth) return undefined;
    if (call === "append" && ORIGINAL.test(name)) {
      counts.copied++;
      copying.add(name);
    }
    if (call === "append" && CLEANED.test(name)) counts.cleaned++;
    if (call === "remove" && copying.has(name)) counts.overtaken++;
    // Who copies is so slow at times that the other overtakes it.
    if (isSlow && call === "append" && ORIGINAL.test(name)) return overtaking();
    return random.below(3) === 0 ? wait(random.below(4)) : undefined;
  });
  const options = {
    ...compacted({ "internal.segment.bytes": `${1500 + random.below(4000)}` }),
    journalFileBytes: 6000 + random.below(20_000),
    journalBytesMax: random.below(2) * 8000,
    grownBytes: 1000,
    cleaner: { keysBytesMax: seed % 3 === 0 ? 3000 : 1 << 20 },
  };
  rig = await LogRig.open(plugin, options);
  const model = new CompactedModel();
  for (let round = 0; round < 4; round++) {
    for (let batch = 40 + random.below(100); batch > 0; batch--) {
      // Most stay as they are, so that what is left looks much like what was there.
      const key = random.below(4) === 0 ? `${random.below(40)}` : `${round} ${batch}`;
      await write(rig, model, [{ key, value: key.padEnd(20 + random.below(80), ".") }]);
    }
    copying.clear();
    isAtBoth = true;
    const works = [() => rig.logs.maintain(false), () => rig.logs.clean()];
    if (random.below(2) === 0) works.reverse();
    const first = works[0]!();
    await wait(random.below(random.below(2) === 0 ? 10 : 200));
    await Promise.all([first, works[1]!()]);
    isAtBoth = false;
    const rows = await readRows(rig);
    expect(model.wrongIn(rows)).toBe(null);
    expect(doublesIn(rows, logOf(rig).cleanedEnd)).toEqual([]);
    if (random.below(2) === 0) continue;
    await rig.close();
    const test = rig.test;
    rig = await LogRig.open(plugin, { ...options, test });
    expect(model.wrongIn(await readRows(rig))).toBe(null);
  }
  expect(rig.logs.pool.lentBytes).toBe(0);
  await rig.close();
  const { test } = rig;
  rig = await LogRig.open(plugin, { ...options, test });
  // Nobody has left a file that no state speaks of.
  expect(test.events("orphan_removed")).toEqual([]);
  expect(test.lines.filter(({ level }) => level === "error")).toEqual([]);
  expect(test.failures).toEqual([]);
  await rig.close();
}

async function wait(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await settle();
}

describe("the cleaner and who gives journal files up", () => {
  test("work in one log at once, and lose, double and leave behind nothing", async () => {
    const counts: Counts = { copied: 0, cleaned: 0, overtaken: 0 };
    const seeds = isFullTestRun ? 600 : 40;
    for (let seed = 0; seed < seeds; seed++) {
      try {
        await life(seed, counts);
      } catch (error) {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : error}`);
      }
    }
    expect(counts.copied).toBeGreaterThan(seeds);
    expect(counts.cleaned).toBeGreaterThan(seeds);
    expect(counts.overtaken).toBeGreaterThan(seeds / 4);
  }, 600_000);

  test("do not both write what the cleaner is about to take, where there is room to wait for it", async () => {
    let isCleaning = false;
    let copied = 0;
    let maintained = 0;
    const logIn = (partition: number) => rig.logs.logIn(rig.logs.topicNamed("t")!, partition)!;
    const plugin = hookedStorage(storageMemory(), async (call, name) => {
      if (call !== "append") return;
      if (ORIGINAL.test(name)) copied++;
      if (!isCleaning || !CLEANED.test(name) || logIn(0).cleanedEnd === 0) return;
      // The first partition is done, so that little is left of each journal file but what the second has there.
      isCleaning = false;
      await rig.logs.maintain(false);
      maintained++;
    });
    const configs = { "cleanup.policy": "compact", "internal.segment.bytes": "4000" };
    const rig: LogRig = await LogRig.open(plugin, {
      topics: [topic("t", 2, { ...configs, "min.cleanable.dirty.ratio": "0.01" })],
      journalFileBytes: 8000,
      grownBytes: 1000,
    });
    for (let i = 0; i < 400; i++) {
      const value = `${i}`.padEnd(100, ".");
      await rig.append(keyedBatch([{ key: `${i % 10}`, value }]), "t", i % 4 === 3 ? 1 : 0);
    }
    logIn(0).roll(rig.test.wallMs);
    logIn(1).roll(rig.test.wallMs);
    const files = rig.logs.journal.files.size;
    isCleaning = true;
    expect(await rig.logs.clean()).toBe(2);
    expect([maintained, copied]).toEqual([1, 0]);
    await rig.logs.maintain(false);
    expect(copied).toBe(0);
    expect(rig.logs.journal.files.size).toBeLessThan(files / 4);
    await rig.close();
  });
});
