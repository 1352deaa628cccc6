// Seeded lives of a compacted log beside a naive model: appends, deletions of keys, cleaning, restarts, power losses and
// readers, in any order.

import { describe, expect, test } from "bun:test";
import process from "node:process";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import { CODECS } from "../../../src/record/compression.ts";
import {
  CompactedModel,
  compacted,
  doublesIn,
  filesIn,
  logOf,
  readRows,
  write,
  wrongBehind,
} from "../../support/compacted_log.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { LogRig } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";
import { isFullTestRun } from "../../support/test_scale.ts";

/** Appends, deletions of keys, cleaning, restarts and readers, in any order. */
async function walk(seed: number, steps: number): Promise<Record<string, number>> {
  const random = SeededRandom.of(`cleaning ${seed}`);
  const memory = storageMemory();
  const configs = {
    "delete.retention.ms": "10000",
    "segment.ms": "600000",
    ...(seed % 3 === 0 ? { "cleanup.policy": "compact,delete", "retention.ms": "-1" } : {}),
    "internal.segment.bytes": `${2000 + random.below(6000)}`,
  };
  const options = { ...compacted(configs), journalBytesMax: 96 * 1024 };
  const cleaner = { keysBytesMax: seed % 4 === 0 ? 3000 : 1 << 20 };
  const model = new CompactedModel();
  const counts: Record<string, number> = { cleaned: 0, restarts: 0, tombstones: 0, deleted: 0 };
  const sequences = new Map<number, number>();
  let start = 0;
  let rig!: LogRig;
  const open = async () => {
    const slow = SeededRandom.of(`delays ${seed} ${counts["restarts"]}`);
    const plugin = hookedStorage(memory, (call) => {
      if (call === "open" || call === "list" || slow.below(4) > 0) return undefined;
      return settle();
    });
    const { test } = rig ?? {};
    const more = test === undefined ? {} : { test };
    rig = await LogRig.open(plugin, { ...options, cleaner, ...more });
  };
  await open();
  const check = async () => {
    const rows = await readRows(rig, {
      from: start,
      bytesMax: [1, 3000, 100_000][random.below(3)]!,
    });
    const before = model.rows.filter(({ offset }) => offset < start).map((row) => row.key);
    const wrong = before.length === 0 ? model.wrongIn(rows) : wrongBehind(model, rows, start);
    if (wrong !== null) throw new Error(wrong);
    return rows;
  };
  const append = async () => {
    const entries = Array.from({ length: 1 + random.below(5) }, () => {
      const isTombstone = random.below(6) === 0;
      const value = `${random.below(1000)}`.padEnd(10 + random.below(200), "v");
      return { key: `${random.below(40)}`, value: isTombstone ? null : value };
    });
    const codec = CODECS[random.below(CODECS.length)]!;
    const producerId = random.below(3) - 1;
    const baseSequence = sequences.get(producerId) ?? 0;
    const producer = producerId < 0 ? {} : { producerId, producerEpoch: 0, baseSequence };
    if (producerId >= 0) sequences.set(producerId, baseSequence + entries.length);
    await write(rig, model, entries, { codec, ...producer });
  };
  for (let step = 0; step < steps; step++) {
    const draw = random.below(100);
    if (draw < 70) await append();
    else if (draw < 76) rig.test.wallMs += random.below(20_000);
    else if (draw < 78) {
      // As the cleaner does itself with a large one; no entry says so until the next state.
      if ((logOf(rig).segments.at(-1)?.sizeBytes ?? 0) > 0) logOf(rig).roll(rig.test.wallMs);
    } else if (draw < 82) {
      // Readers and writers while it cleans.
      const cleaning = rig.logs.clean();
      await Promise.all([check(), check(), rig.logs.maintain(false)]);
      await append();
      counts["cleaned"]! += await cleaning;
      await check();
    } else if (draw < 88) counts["cleaned"]! += await rig.logs.clean();
    else if (draw < 92) await rig.logs.maintain(true);
    else if (draw < 95) await check();
    else if (draw < 97 && seed % 3 === 0) {
      const to = start + random.below(model.end - start + 1);
      const { id } = rig.logs.topicNamed("t")!;
      const cleaning = rig.logs.clean();
      const deleting = rig.logs.deleteRecords(id, 0, to);
      start = rig.logs.status(id, 0)!.logStartOffset;
      if (!(await deleting).ok) throw new Error("records were not deleted");
      counts["cleaned"]! += await cleaning;
      counts["deleted"]!++;
    } else if (draw >= 97) {
      counts["restarts"]!++;
      if (random.below(2) === 0) await rig.close();
      else {
        // All of it was acknowledged.
        const cleaning = rig.logs.clean();
        for (let turn = random.below(30); turn > 0; turn--) await Promise.resolve();
        memory.loseUnsynced();
        await cleaning;
        await settle();
      }
      await open();
      await check();
      await rig.logs.maintain(false);
    }
    const bad = rig.test.lines.find(({ level, event }) => level === "error" && !isOfAKill(event));
    if (bad !== undefined) throw new Error(`${bad.event} ${JSON.stringify(bad.fields)}`);
    for (const { fields } of rig.test.events("segments_cleaned")) {
      counts["tombstones"]! += Number(fields["tombstonesRemoved"]);
    }
    rig.test.lines.length = 0;
  }
  counts["cleaned"]! += await rig.logs.clean();
  const rows = await check();
  const { cleanedEnd } = logOf(rig);
  if (doublesIn(rows, cleanedEnd).length > 0) throw new Error(`keys twice before ${cleanedEnd}`);
  // The topic goes while it is being cleaned: so does every file of it.
  for (let i = 0; i < 60; i++) await append();
  const cleaning = rig.logs.clean();
  for (let turn = random.below(40); turn > 0; turn--) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  await rig.logs.topicDeleted(options.topics![0]!);
  await cleaning;
  expect(await filesIn(rig)).toEqual([]);
  const said = rig.test.lines.filter(({ level }) => level === "error" || level === "warn");
  expect(said).toEqual([]);
  expect(rig.test.failures).toEqual([]);
  expect(rig.logs.pool.lentBytes).toBe(0);
  await rig.close();
  return counts;
}

function isOfAKill(event: string): boolean {
  return ["log_directory_offline", "log_read_failed", "log_maintenance_failed"].includes(event);
}

describe("random cleaning", () => {
  test("agrees with the model", async () => {
    const seeds = Number(process.env["MILLRACE_TEST_SEEDS"] ?? (isFullTestRun ? 40 : 4));
    const first = Number(process.env["MILLRACE_TEST_SEED"] ?? 0);
    const total: Record<string, number> = {};
    for (let seed = first; seed < first + seeds; seed++) {
      try {
        for (const [what, count] of Object.entries(await walk(seed, 500))) {
          total[what] = (total[what] ?? 0) + count;
        }
      } catch (error) {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : error}`);
      }
    }
    for (const what of ["cleaned", "restarts", "tombstones", "deleted"]) {
      expect([what, total[what]]).not.toEqual([what, 0]);
    }
  }, 3_600_000);
});
