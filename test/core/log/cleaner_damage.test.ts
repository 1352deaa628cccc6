// Files of a cleaned log with transactions, damaged between two starts, then read, cleaned and given up as ever: nothing is
// seen that was aborted or never written, nothing is lost but what is refused, and no reader stands still.
// MILLRACE_TEST_FULL=1 tries many more.

import { expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { ok } from "../../../src/base/outcome.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import { compacted, keyedBatch, logOf, type Row, rowsIn } from "../../support/compacted_log.ts";
import {
  type Files,
  filesOf,
  flipped,
  replaced,
  storeWith,
  without,
} from "../../support/log_files.ts";
import { caller, LogRig, type RigOptions } from "../../support/log_rig.ts";
import { isFullTestRun } from "../../support/test_scale.ts";
import { fetchCommitted, visibleBatches } from "../../support/transaction_model.ts";

interface Life {
  readonly options: RigOptions;
  readonly files: Files;
  /** What is committed, by offset; all else was aborted. */
  readonly committed: ReadonlyMap<number, Row>;
  readonly wallMs: number;
}

/** Transactions of three producers, every other one aborted, cleaned in between. */
async function lifeOf(random: SeededRandom): Promise<Life> {
  const options: RigOptions = {
    ...compacted({ "internal.segment.bytes": `${1500 + random.below(4000)}` }),
    journalBytesMax: random.below(2) === 0 ? 0 : 64 * 1024,
    grownBytes: 2000,
    gate: { admit: () => ok(null) },
    cleaner: { keysBytesMax: random.below(3) === 0 ? 3000 : 1 << 20 },
  };
  const plugin = storageMemory();
  const rig = await LogRig.open(plugin, options);
  const committed = new Map<number, Row>();
  const timestampMs = rig.test.wallMs;
  for (let i = 0; i < 120; i++) {
    const [producerId, producerEpoch, isCommit] = [1 + (i % 3), i, random.below(2) === 0];
    const of = { producerId, producerEpoch, baseSequence: 0, isTransactional: true, timestampMs };
    const entries = Array.from({ length: 1 + random.below(3) }, (_, n) => {
      const value = random.below(8) === 0 ? null : `${i} ${n} `.padEnd(10 + random.below(90), "v");
      return { key: `${random.below(30)}`, value };
    });
    const [outcome] = await rig.api.append(caller, {
      acks: -1,
      timeoutMs: 1000,
      transactionalId: "tx",
      addsToTransaction: true,
      partitions: [{ topic: "t", partition: 0, batches: keyedBatch(entries, of) }],
    });
    if (!outcome!.ok) throw new Error(outcome!.error.code);
    const { baseOffset } = outcome!.value;
    for (const [n, entry] of entries.entries()) {
      const offset = baseOffset + n;
      if (isCommit) committed.set(offset, { ...entry, offset, timestampMs: timestampMs + n });
    }
    const marker = { producerId, producerEpoch: i + 1, coordinatorEpoch: 0, isCommit };
    const verdict = logOf(rig).appendMarker({ ...marker, transactionVersion: 2 }, timestampMs);
    if (verdict.kind === "appended") await verdict.group.settled();
    if (i % 40 !== 39) continue;
    await rig.logs.maintain(false);
    if (i < 100 || random.below(2) === 0) await rig.logs.clean();
  }
  const { wallMs } = rig.test;
  await rig.close();
  return { options, files: await filesOf(plugin), committed, wallMs };
}

function damaged(files: Files, random: SeededRandom): { files: Files; name: string } {
  const names = [...files.keys()].filter((each) => (files.get(each)?.length ?? 0) > 0);
  const ofSegments = names.filter((each) => each.startsWith("segments/"));
  const among = random.below(4) === 0 ? names : ofSegments;
  const name = among[random.below(among.length)]!;
  const bytes = files.get(name)!;
  const at = random.below(bytes.length);
  const draw = random.below(10);
  // A journal that is cut looks like a crash before it was written.
  if (draw < 7 || name.startsWith("journal/")) {
    return { files: replaced(files, name, flipped(bytes, at, random.below(8))), name };
  }
  if (draw === 7) return { files: replaced(files, name, bytes.slice(0, at)), name };
  if (draw === 8) return { files: without(files, name), name };
  return { files: replaced(files, name, bytes.slice().fill(0, at, at + 200)), name };
}

/** What a read_committed reader sees that goes on behind whatever is refused. */
async function seenIn(rig: LogRig): Promise<{ seen: Row[]; refused: Set<number> }> {
  const seen: Row[] = [];
  const refused = new Set<number>();
  for (let at = 0; at < logOf(rig).lastStableOffset; ) {
    try {
      const fetched = await fetchCommitted(rig, at, 5000);
      for (const batch of visibleBatches(fetched)) {
        seen.push(...rowsIn(batch.view()).filter(({ offset }) => offset >= at));
      }
      if (fetched.endOffset === at) throw new Error(`nothing at ${at}`);
      at = fetched.endOffset;
    } catch (error) {
      if (!/corrupt_message|kafka_storage_error/.test(String(error))) throw error;
      refused.add(at++);
    }
  }
  return { seen, refused };
}

/** What is wrong with what is seen; null for nothing. */
function wrongIn(seen: readonly Row[], life: Life, isLost: (offset: number) => boolean) {
  const newest = new Map<string, Row>();
  for (const row of seen) {
    const written = life.committed.get(row.offset);
    if (written === undefined) return `${row.offset} was not committed`;
    if (row.key !== written.key || row.value !== written.value) return `wrong at ${row.offset}`;
    newest.set(row.key!, row);
  }
  const table = new Map([...life.committed.values()].map((row) => [row.key!, row]));
  for (const [key, { offset, value }] of table) {
    if ((newest.get(key)?.value ?? null) !== value && !isLost(offset)) {
      return `${key} of ${offset} is gone`;
    }
  }
  return null;
}

test("whatever file is damaged, however", async () => {
  const hit = new Set<string>();
  for (let seed = 0; seed < (isFullTestRun ? 150 : 4); seed++) {
    const random = SeededRandom.of(`cleaned and damaged ${seed}`);
    const life = await lifeOf(random);
    for (let round = 0; round < 40; round++) {
      const { files, name } = damaged(life.files, random);
      const rig = await LogRig.open(await storeWith(files), life.options);
      rig.test.wallMs = life.wallMs;
      const lost = new Set<number>();
      // Of a damaged journal any entry may be gone, its batches and markers among it: see lost_markers.test.ts.
      const isLost = (offset: number) => lost.has(offset) || name.startsWith("journal/");
      for (let pass = 0; pass < 3; pass++) {
        const { seen, refused } = await seenIn(rig);
        for (const offset of refused) lost.add(offset);
        const where = [seed, round, pass, name];
        expect([...where, wrongIn(seen, life, isLost)]).toEqual([...where, null]);
        await rig.logs.clean();
        rig.test.monotonicMs += 700_000;
        await rig.logs.maintain(false);
      }
      if (lost.size > 0) hit.add("refused");
      for (const event of ["aborted_index_rebuilt", "log_not_cleanable", "segment_cut_short"]) {
        if (rig.test.events(event).length > 0) hit.add(event);
      }
      await rig.close();
    }
  }
  expect(hit.size).toBe(4);
}, 600_000);
