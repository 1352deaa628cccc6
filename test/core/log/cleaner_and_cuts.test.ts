// The end of a compacted log is cut off while it is cleaned, as after an unclean election: what is left keeps the newest
// record of every key that it has, whatever the cleaner had found before.

import { expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import { patchBaseOffset, patchLeaderEpoch } from "../../../src/record/batch_header.ts";
import {
  CompactedModel,
  compacted,
  keyedBatch,
  logOf,
  readRows,
} from "../../support/compacted_log.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { LogRig } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";
import { isFullTestRun } from "../../support/test_scale.ts";

/** It is read by a consumer. */
const ROLE = { leaderEpoch: 0, isLeader: true, onSynced: () => {} };

interface Seen {
  /** Cuts that came while a cleaning was under way, and cleanings that ended. */
  met: number;
  cleaned: number;
}

async function life(seed: number, seen: Seen): Promise<void> {
  const random = SeededRandom.of(`cleaner and cuts ${seed}`);
  const plugin = hookedStorage(storageMemory(), (call) =>
    (call === "read" || call === "append") && random.below(3) === 0 ? settle() : undefined,
  );
  const options = {
    ...compacted({ "internal.segment.bytes": `${1500 + random.below(2000)}` }),
    replicates: () => true,
    journalFileBytes: 6000,
    journalBytesMax: random.below(2) * 8000,
    grownBytes: 1000,
  };
  let rig = await LogRig.open(plugin, options);
  let log = logOf(rig);
  let replicas = await rig.logs.replicaLogs();
  const model = new CompactedModel();
  let count = 0;
  const write = async () => {
    for (let left = 30 + random.below(40); left > 0; left--) {
      const entries = Array.from({ length: 1 + random.below(3) }, () => ({
        key: `k${random.below(12)}`,
        value: `${count++} ${"x".repeat(random.below(60))}`,
      }));
      const bytes = keyedBatch(entries);
      patchBaseOffset(bytes, 0, log.logEndOffset);
      patchLeaderEpoch(bytes, 0, 0);
      expect([seed, replicas.append(log, bytes).kind]).toEqual([seed, "appended"]);
      model.write(entries);
    }
    await rig.logs.journal.flush();
    log.advanceHighWatermark(log.logEndOffset);
  };
  const check = async (what: string) => {
    log.role = ROLE;
    log.advanceHighWatermark(log.logEndOffset);
    expect([seed, what, log.logEndOffset]).toEqual([seed, what, model.end]);
    expect([seed, what, model.wrongIn(await readRows(rig))]).toEqual([seed, what, null]);
  };
  for (let round = 0; round < 4; round++) {
    await write();
    if (random.below(2) === 0) await rig.logs.maintain(false);
    // Only what no cleaning has been through: of that the records which newer ones stood for are all there.
    const { cleanedEnd, replacements } = log;
    let isRunning = true;
    const cleaning = rig.logs.clean().then((cleaned) => {
      isRunning = false;
      seen.cleaned += cleaned;
    });
    for (let turns = random.below(60); turns > 0; turns--) await settle();
    const { logEndOffset } = log;
    const cut = cleanedEnd + random.below(logEndOffset - cleanedEnd + 1);
    const didMeet = isRunning;
    const verdict = await replicas.truncateTo(log, cut);
    if (verdict.kind !== "cut") throw new Error(`seed ${seed}: ${verdict.kind}`);
    // A part that was cleaned already may have lost what only records behind the cut stood for: nothing is known of it.
    model.rows.length = verdict.endOffset;
    if (didMeet && verdict.endOffset < logEndOffset) seen.met++;
    const isKnown = log.replacements === replacements;
    await cleaning;
    if (!isKnown) break;
    await check(`cut to ${cut}`);
    await write();
    await check("written to again");
    await rig.logs.clean();
    await check("cleaned again");
    await rig.close();
    rig = await LogRig.open(plugin, options);
    log = logOf(rig);
    replicas = await rig.logs.replicaLogs();
    await check("started again");
  }
  await rig.close();
}

test("a cleaning that a cut overtakes takes nothing for what was cut off", async () => {
  const seen: Seen = { met: 0, cleaned: 0 };
  for (let seed = 0; seed < (isFullTestRun ? 1000 : 120); seed++) await life(seed, seen);
  expect(seen.met).toBeGreaterThan(10);
  expect(seen.cleaned).toBeGreaterThan(10);
}, 600_000);
