// A crash at every call to storage while a log is cleaned, and losses of power on a recorded disk: whatever is left, the
// newest acknowledged record of every key is there, nothing is there twice as a file, and cleaning goes on.
// MILLRACE_TEST_FULL=1 tries every call and every point, and many disks at each.

import { describe, expect, test } from "bun:test";
import { storageFs } from "../../../plugins/storage-fs/mod.ts";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import type { StoragePlugin } from "../../../src/contracts/storage.ts";
import type { Survivors } from "../../../src/testing/power_loss/rebuild.ts";
import {
  type RecordedFiles,
  type RecordedSync,
  type Recording,
  recordingFiles,
} from "../../../src/testing/power_loss/recording_files.ts";
import { CompactedModel, doublesIn, keyedBatch, readRows } from "../../support/compacted_log.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { LogRig, type RigOptions, topic } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";
import { isFullTestRun } from "../../support/test_scale.ts";

const OPTIONS: RigOptions = {
  topics: [
    topic("t", 1, {
      "cleanup.policy": "compact",
      "internal.segment.bytes": "2500",
      "min.cleanable.dirty.ratio": "0.01",
      "delete.retention.ms": "1000",
    }),
  ],
  journalFileBytes: 12 * 1024,
  journalBytesMax: 0,
};

/** What was sent, and what was acknowledged. */
class Life {
  readonly model = new CompactedModel();
  ackedEnd = 0;
  /** Told after each acknowledgement. */
  onAck: () => void = () => {};
  phase = "";

  async run(rig: LogRig): Promise<void> {
    const random = SeededRandom.of("life");
    for (let round = 0; round < 4; round++) {
      this.phase = "append";
      for (let i = 0; i < 24; i++) {
        const entries = Array.from({ length: 1 + random.below(3) }, () => {
          const value = random.below(8) === 0 ? null : `${round} ${i} `.padEnd(90, "v");
          return { key: `${random.below(12)}`, value };
        });
        const { wallMs } = rig.test;
        const codec = i % 3 === 0 ? "lz4" : "none";
        this.model.write(entries, wallMs);
        const answer = await rig.append(keyedBatch(entries, { timestampMs: wallMs, codec }));
        if (!answer.ok) throw new Error(answer.error.code);
        this.ackedEnd = this.model.end;
        this.onAck();
      }
      this.phase = "clean";
      await rig.logs.clean();
      rig.test.wallMs += 700;
      this.phase = "maintain";
      await rig.logs.maintain(false);
    }
    this.phase = "close";
    await rig.close();
  }
}

/** What is wrong with the log as it is found, now and after it was cleaned; null for nothing. */
async function wrongAt(
  plugin: () => StoragePlugin,
  model: CompactedModel,
  ackedEnd: number,
): Promise<string | null> {
  const rig = await LogRig.open(plugin(), OPTIONS);
  const log = rig.logs.logIn(rig.logs.topicNamed("t")!, 0)!;
  const end = log.highWatermark;
  if (end < ackedEnd) return `ends at ${end}, acknowledged was ${ackedEnd}`;
  if (end > model.end) return `ends at ${end}, sent was ${model.end}`;
  const found = model.wrongIn(await readRows(rig), end);
  if (found !== null) return found;
  await rig.logs.clean();
  const rows = await readRows(rig);
  const cleaned = model.wrongIn(rows, end) ?? doublesIn(rows, log.cleanedEnd)[0] ?? null;
  if (cleaned !== null) return `cleaned: ${cleaned}`;
  const fine = keyedBatch([{ key: "after", value: "x" }]);
  if (!(await rig.append(fine)).ok) return "takes no more records";
  await rig.close();
  const again = await LogRig.open(plugin(), OPTIONS);
  const rowsAgain = await readRows(again);
  if (rowsAgain.length !== rows.length + 1) return "is not the same after a restart";
  const lines = [...rig.test.lines, ...again.test.lines];
  const said = lines.find(({ level, event }) => level === "error" || event === "orphan_kept");
  if (said !== undefined) return `${said.event} ${JSON.stringify(said.fields)}`;
  if (again.test.events("orphan_removed").length > 0) return "left a file";
  await again.close();
  return null;
}

/** Loses power at the storage call of that number since the first cleaning began. Null when there are not so many. */
async function crashedAt(call: number): Promise<{ wrong: string | null; name: string } | null> {
  const memory = storageMemory();
  const life = new Life();
  let count = 0;
  let crashedIn: string | null = null;
  const plugin = hookedStorage(memory, (what, name) => {
    if (crashedIn !== null) return new Promise<void>(() => {});
    if (life.phase === "" || (life.phase === "append" && count === 0)) return undefined;
    if (count++ < call) return undefined;
    crashedIn = `${life.phase}: ${what} ${name}`;
    memory.loseUnsynced();
    return new Promise<void>(() => {});
  });
  const rig = await LogRig.open(plugin, OPTIONS);
  let isOver = false;
  const running = life.run(rig).finally(() => {
    isOver = true;
  });
  running.catch(() => {});
  while (!isOver && crashedIn === null) await settle();
  if (crashedIn === null) {
    await running;
    return null;
  }
  await settle();
  return { wrong: await wrongAt(() => memory, life.model, life.ackedEnd), name: crashedIn };
}

describe("a crash at a call to storage while the log is cleaned", () => {
  test("loses nothing, at any of them", async () => {
    let calls = 0;
    const seen = new Set<string>();
    for (let call = 0; ; call += isFullTestRun ? 1 : 5) {
      const crashed = await crashedAt(call);
      if (crashed === null) break;
      expect([call, crashed.name, crashed.wrong]).toEqual([call, crashed.name, null]);
      calls++;
      seen.add(crashed.name.split(" ").slice(0, 2).join(" "));
    }
    expect(calls).toBeGreaterThan(40);
    expect(seen.has("clean: append")).toBe(true);
    expect(seen.has("clean: sync")).toBe(true);
    expect(seen.has("clean: remove")).toBe(true);
  }, 3_600_000);
});

const on = (files: RecordedFiles) => storageFs({ directory: "/data", files });

interface Recorded {
  readonly recording: Recording;
  readonly life: Life;
  /** How much was acknowledged from a point on. */
  readonly acks: { readonly point: number; readonly end: number }[];
}

async function recorded(drop: (sync: RecordedSync, phase: string) => boolean): Promise<Recorded> {
  const life = new Life();
  const recording = recordingFiles({ dropSync: (sync) => drop(sync, life.phase) });
  const acks: { point: number; end: number }[] = [];
  life.onAck = () => acks.push({ point: recording.points(), end: life.ackedEnd });
  await life.run(await LogRig.open(on(recording.layer), OPTIONS));
  return { recording, life, acks };
}

async function wrongAfter(
  { recording, life, acks }: Recorded,
  point: number,
  survivors: Survivors,
): Promise<string | null> {
  const rebuilt = recording.rebuild(point, survivors);
  const ackedEnd = acks.findLast((each) => each.point <= point)?.end ?? 0;
  try {
    return await wrongAt(() => on(rebuilt.layer), life.model, ackedEnd);
  } catch (error) {
    return String(error);
  }
}

const isSegmentFile = (path: string) => /\/segments\/.*\.log$/.test(path);
const isCleaned = (path: string) => /\/segments\/.*\.\d+\.log$/.test(path);
const isJournalFile = (path: string) => /\/journal\/\d+\.log$/.test(path);

describe("a loss of power while the log is cleaned", () => {
  test("loses nothing, on every disk tried", async () => {
    const whole = await recorded(() => false);
    const last = whole.recording.points();
    const random = SeededRandom.of("points");
    const count = isFullTestRun ? last + 1 : 40;
    for (let i = 0; i < count; i++) {
      const point = isFullTestRun ? i : random.below(last + 1);
      const disks: Survivors[] = ["nothing", "everything"];
      for (let disk = 0; disk < (isFullTestRun ? 6 : 1); disk++) {
        disks.push(SeededRandom.of(`${point}/${disk}`));
      }
      for (const [disk, survivors] of disks.entries()) {
        const wrong = await wrongAfter(whole, point, survivors);
        expect([point, disk, wrong]).toEqual([point, disk, null]);
      }
    }
  }, 3_600_000);

  const classes: readonly [string, (sync: RecordedSync, phase: string) => boolean][] = [
    ["the sync of cleaned segments", ({ path }) => isCleaned(path)],
    [
      "the sync of segments on their way to be cleaned",
      ({ path }) => isSegmentFile(path) && !isCleaned(path),
    ],
    [
      "the journal's sync of what is in force",
      ({ path }, phase) => isJournalFile(path) && phase === "clean",
    ],
  ];
  for (const [name, drop] of classes) {
    test(`loses something without ${name}`, async () => {
      let dropped = 0;
      const without = await recorded((sync, phase) => {
        const isDropped = drop(sync, phase);
        if (isDropped) dropped++;
        return isDropped;
      });
      expect(dropped).toBeGreaterThan(0);
      const last = without.recording.points();
      let wrong: string | null = null;
      for (let point = last; point >= 0 && wrong === null; point -= 7) {
        wrong = await wrongAfter(without, point, "nothing");
      }
      expect(wrong).not.toBe(null);
    }, 120_000);
  }
});
