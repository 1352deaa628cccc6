// Power losses and killed processes in the life of a follower's log: its appends, cuts, new beginnings, leader epochs, empty
// batches and settlings are each there whole or not at all, in their order, and what was durable stays.
// MILLRACE_TEST_FULL=1 tries every point of more lives, and many disks at each.

import { describe, expect, test } from "bun:test";
import { storageFs } from "../../../plugins/storage-fs/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import {
  type RecordedFiles,
  type Recording,
  type RecordingOptions,
  recordingFiles,
} from "../../../src/testing/power_loss/recording_files.ts";
import { FOLLOWER_RIG, FollowerLife } from "../../support/follower_life.ts";
import { LogRig } from "../../support/log_rig.ts";
import { isFullTestRun } from "../../support/test_scale.ts";

const on = (files: RecordedFiles) => storageFs({ directory: "/data", files });
const STEPS = 40;

async function recordedLife(
  seed: number,
  options: RecordingOptions = {},
): Promise<{ readonly recording: Recording; readonly life: FollowerLife }> {
  const recording = recordingFiles(options);
  const random = SeededRandom.of(`follower power ${seed}`);
  const life = new FollowerLife(
    () => on(recording.layer),
    random,
    () => recording.points(),
  );
  await life.live(STEPS);
  return { recording, life };
}

/** What is broken after a power loss at `point`; the log is opened twice, as a start changes the disk too. */
async function brokenAt(
  { recording, life }: Awaited<ReturnType<typeof recordedLife>>,
  point: number,
  survivors: "nothing" | "everything" | SeededRandom,
): Promise<string | null> {
  const rebuilt = recording.rebuild(point, survivors);
  for (const start of ["first", "second"]) {
    const rig = await LogRig.open(on(rebuilt.layer), FOLLOWER_RIG);
    const broken = await life.brokenIn(rig, point);
    await rig.close();
    if (broken !== null) return `${start} start: ${broken}`;
  }
  return null;
}

async function firstBroken(seed: number, options: RecordingOptions = {}): Promise<string | null> {
  const lived = await recordedLife(seed, options);
  const last = lived.recording.points();
  const random = SeededRandom.of(`points ${seed}`);
  const count = isFullTestRun ? last + 1 : 12;
  for (let i = 0; i < count; i++) {
    const point = isFullTestRun ? i : random.below(last + 1);
    for (const disk of ["nothing", "everything", "some"] as const) {
      const survivors = disk === "some" ? SeededRandom.of(`${seed} ${point}`) : disk;
      const broken = await brokenAt(lived, point, survivors);
      if (broken !== null) return `seed ${seed}, point ${point} of ${last}, ${disk}: ${broken}`;
    }
  }
  return null;
}

describe("a follower's log after a power loss", () => {
  test("is as it was at some time since what was durable", async () => {
    for (let seed = 0; seed < (isFullTestRun ? 40 : 12); seed++) {
      expect(await firstBroken(seed)).toBeNull();
    }
  }, 3_600_000);

  test("is not without the journal's syncs", async () => {
    const dropSync = ({ path }: { readonly path: string }) => /\/journal\/\d+\.log$/.test(path);
    let broken: string | null = null;
    for (let seed = 0; seed < 20 && broken === null; seed++) {
      broken = await firstBroken(seed, { dropSync });
    }
    expect(broken).not.toBeNull();
  }, 60_000);
});
