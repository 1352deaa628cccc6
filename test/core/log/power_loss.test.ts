// The proof that an acknowledged record is on disk (decision 4), over the whole log: a scripted life on
// storage-fs is recorded, and at its points the machine loses power, or the process is killed. Taking out
// any one class of syncs breaks a promise. MILLRACE_TEST_FULL=1 tries every point, and many disks at each.

import { describe, expect, test } from "bun:test";
import { storageFs } from "../../../plugins/storage-fs/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import type { Survivors } from "../../../src/testing/power_loss/rebuild.ts";
import {
  type RecordedFiles,
  type RecordedSync,
  type Recording,
  type RecordingOptions,
  recordingFiles,
} from "../../../src/testing/power_loss/recording_files.ts";
import { batchOf, LogRig, topic } from "../../support/log_rig.ts";
import {
  appendToAll,
  brokenIn,
  type Ledger,
  liveThrough,
  RIG,
} from "../../support/log_workload.ts";
import { isFullTestRun } from "../../support/test_scale.ts";

const on = (files: RecordedFiles) => storageFs({ directory: "/data", files });

interface Life {
  readonly recording: Recording;
  readonly ledger: Ledger;
  /** Spares that were filled with zeros, made of a journal file that was given up, and taken into use. */
  readonly filled: number;
  readonly kept: number;
  readonly taken: number;
}

/** @param drop Which syncs report success and do nothing, told the phase of the script. */
async function recordedLife(
  drop: (sync: RecordedSync, phase: string, isRemoving: boolean) => boolean = () => false,
): Promise<Life> {
  let phase = "";
  let isRemoving = false;
  const count = { filled: 0, kept: 0, taken: 0 };
  const options: RecordingOptions = { dropSync: (sync) => drop(sync, phase, isRemoving) };
  const recording = recordingFiles(options);
  const layer: RecordedFiles = {
    ...recording.layer,
    open(path, mode) {
      if (mode === "create" && isSpare(path)) count.filled++;
      return recording.layer.open(path, mode);
    },
    rename(from, to) {
      recording.layer.rename(from, to);
      if (isSpare(from)) count.taken++;
      if (isSpare(to)) count.kept++;
    },
    async unlink(path) {
      await recording.layer.unlink(path);
      isRemoving = true;
    },
    async syncDirectory(path) {
      const syncing = recording.layer.syncDirectory(path);
      isRemoving = false;
      await syncing;
    },
  };
  const ledger = await liveThrough({
    plugin: () => on(layer),
    point: () => recording.points(),
    kill: () => recording.restartProcess(),
    phase: (name) => {
      phase = name;
    },
  });
  return { recording, ledger, ...count };
}

/** What is broken after a power loss at `point`, and after another one later. */
async function brokenAt(
  { recording, ledger }: Life,
  point: number,
  survivors: Survivors,
  goesOn: boolean,
): Promise<string | null> {
  const rebuilt = recording.rebuild(point, survivors);
  const topics = ledger.topicsAt(point);
  let rig: LogRig;
  try {
    rig = await LogRig.open(on(rebuilt.layer), { ...RIG, topics });
  } catch (error) {
    return `does not open: ${error}`;
  }
  const broken = await brokenIn(rig, ledger, point);
  if (broken !== null || !goesOn) return broken;
  const later = ledger.copy();
  const refused = await appendToAll(rig, later, point);
  if (refused !== null) return refused;
  const { logEndOffset } = rig.logs.status(topics[0]!.id, 0) ?? { logEndOffset: 0 };
  for (const next of ["nothing", SeededRandom.of(`${point} again`)] as const) {
    const again = rebuilt.rebuild(rebuilt.points(), next);
    const rigAgain = await LogRig.open(on(again.layer), { ...RIG, topics });
    const brokenLater = await brokenIn(rigAgain, later, point);
    if (brokenLater !== null) return `after a second power loss (${logEndOffset}): ${brokenLater}`;
  }
  return null;
}

/** The first promise found broken, with its place. */
async function firstBroken(
  life: Life,
  points: Iterable<number>,
  randomDisks: number,
): Promise<string | null> {
  for (const point of points) {
    const disks: Survivors[] = ["nothing", "everything"];
    for (let i = 0; i < randomDisks; i++) disks.push(SeededRandom.of(`${point}/${i}`));
    for (const [i, survivors] of disks.entries()) {
      const broken = await brokenAt(life, point, survivors, i === 0 || i === 2);
      if (broken !== null) return `point ${point}, disk ${i}: ${broken}`;
    }
  }
  return null;
}

/** Points to try: all, or a sample by seed. */
function pointsOf({ recording }: Life, count: number, seed: string): number[] {
  const all = Array.from({ length: recording.points() + 1 }, (_, i) => i);
  if (isFullTestRun) return all;
  const random = SeededRandom.of(seed);
  return Array.from({ length: count }, () => all[random.below(all.length)]!);
}

const isSpare = (path: string) => path.endsWith("/journal/spare");
const isJournalFile = (path: string) => /\/journal\/\d+\.log$/.test(path);
const isSegmentFile = (path: string) => /\/segments\/.*\.log$/.test(path);

/** Classes of syncs, and whether one belongs to it. */
const CLASSES: readonly [
  string,
  (sync: RecordedSync, phase: string, isRemoving: boolean) => boolean,
][] = [
  ["every sync of the journal", ({ path }) => isJournalFile(path)],
  [
    "the journal's syncs while files are given up: moved batches and states",
    ({ path }, phase) => isJournalFile(path) && phase === "maintain",
  ],
  [
    "the journal's syncs of retention: start entries",
    ({ path }, phase) => isJournalFile(path) && phase === "retention",
  ],
  ["the journal's syncs at close", ({ path }, phase) => isJournalFile(path) && phase === "close"],
  ["recovery's sync", ({ path }, phase) => isJournalFile(path) && phase === "recovery"],
  [
    "the journal folder's sync after a file was made",
    ({ path, what }, _phase, isRemoving) =>
      what === "directory" && path.endsWith("/journal") && !isRemoving,
  ],
  [
    "the sync of the cut at the end of a recycled journal file",
    ({ path, what }, phase) => what === "all" && isJournalFile(path) && phase !== "recovery",
  ],
  ["the syncs of segment files", ({ path }) => isSegmentFile(path)],
  [
    "the syncs of segment folders",
    ({ path, what }, _phase, isRemoving) =>
      what === "directory" && path.includes("/segments") && !isRemoving,
  ],
  [
    "the data folder's sync",
    ({ path, what }) => what === "directory" && path.endsWith("/broker-1"),
  ],
];

describe("the log after a power loss", () => {
  test("keeps every promise on every disk tried, and takes and keeps new records", async () => {
    const life = await recordedLife();
    expect(life.filled).toBeGreaterThan(1);
    expect(life.kept).toBeGreaterThan(0);
    expect(life.taken).toBeGreaterThan(4);
    const disks = isFullTestRun ? 12 : 1;
    expect(await firstBroken(life, pointsOf(life, 12, "points"), disks)).toBe(null);
  }, 3_600_000);

  for (const [name, isOfClass] of CLASSES) {
    test(`loses something without ${name}`, async () => {
      let dropped = 0;
      const life = await recordedLife((sync, phase, isRemoving) => {
        const isDropped = isOfClass(sync, phase, isRemoving);
        if (isDropped) dropped++;
        return isDropped;
      });
      expect(dropped).toBeGreaterThan(0);
      let broken: string | null = null;
      const last = life.recording.points();
      for (const point of new Set(life.ledger.promises.map((each) => each.point))) {
        broken ??= await brokenAt(life, point, "nothing", false);
      }
      for (let i = 0; i < 200 && broken === null; i++) {
        const random = SeededRandom.of(`${name} ${i}`);
        broken = await brokenAt(life, random.below(last + 1), random, false);
      }
      expect(broken).not.toBe(null);
    }, 60_000);
  }
});

/** Losses of power one after the other, each with appends of one size under way: what went wrong, or null. */
async function brokenByTornTails(seed: number, options: RecordingOptions): Promise<string | null> {
  const random = SeededRandom.of(seed);
  const topics = [topic("p"), topic("q")];
  const ends = [0, 0];
  let recording = recordingFiles(options);
  let count = 0;
  const next = () => batchOf([`${count++}`.padEnd(700, ".")]);
  for (let life = 0; life < 4; life++) {
    const rig = await LogRig.open(on(recording.layer), { topics });
    const said = rig.test.lines.find((line) => line.level === "error");
    if (said !== undefined) return said.event;
    for (const [i, { id }] of topics.entries()) {
      const { highWatermark } = rig.logs.status(id, 0)!;
      if (highWatermark < ends[i]!) return "acknowledged batches are lost";
      ends[i] = highWatermark;
    }
    for (let appends = 1 + random.below(3); appends > 0; appends--) {
      const i = random.below(2);
      const outcome = await rig.append(next(), topics[i]!.name);
      if (!outcome.ok) return outcome.error.code;
      ends[i] = outcome.value.baseOffset + 1;
    }
    for (let flying = 0; flying < 4; flying++) {
      void rig.append(next(), topics[random.below(2)]!.name);
    }
    for (let turn = 0; turn < 3; turn++) await Promise.resolve();
    recording = recording.rebuild(recording.points(), SeededRandom.of(`${seed} ${life}`), options);
  }
  return null;
}

describe("torn tails, over and over", () => {
  test("are cut, and never come back", async () => {
    for (let seed = 0; seed < (isFullTestRun ? 4000 : 60); seed++) {
      expect([seed, await brokenByTornTails(seed, {})]).toEqual([seed, null]);
    }
  }, 3_600_000);

  test("come back without the sync of the cut", async () => {
    let broken: string | null = null;
    const dropSync = ({ what, path }: RecordedSync) => what === "all" && isJournalFile(path);
    for (let seed = 0; seed < 1000 && broken === null; seed++) {
      broken = await brokenByTornTails(seed, { dropSync });
    }
    expect(broken).not.toBe(null);
  }, 60_000);
});
