// The proof that an acknowledged record is durable, over the whole log on a key-value store: a scripted life
// is recorded, and at its points the power goes. What a store may leave then is any number of its commits
// from those synced on, in order. MILLRACE_TEST_FULL=1 tries every point and every failing call.

import { describe, expect, test } from "bun:test";
import { storageKv } from "../../../plugins/storage-kv/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import {
  type KeyValueFault,
  type MemoryKeyValue,
  memoryKeyValue,
  type SurvivingCommits,
} from "../../../src/testing/memory_key_value.ts";
import { LogRig } from "../../support/log_rig.ts";
import {
  appendToAll,
  brokenIn,
  type Ledger,
  liveThrough,
  RIG,
} from "../../support/log_workload.ts";
import { isFullTestRun } from "../../support/test_scale.ts";

const on = (memory: MemoryKeyValue) => storageKv({ open: memory.open });

interface Life {
  readonly memory: MemoryKeyValue;
  readonly ledger: Ledger;
  /** What ended the script before its end. */
  readonly error: unknown;
  /** How many commits and syncs were asked for. */
  readonly calls: { commit: number; sync: number };
}

type OnCall = (call: "commit" | "sync", index: number, phase: string) => KeyValueFault | undefined;

async function live(onCall: OnCall = () => undefined): Promise<Life> {
  let phase = "";
  const calls = { commit: 0, sync: 0 };
  const memory = memoryKeyValue({
    onCall(call, index) {
      calls[call]++;
      return onCall(call, index, phase);
    },
  });
  const holder: { ledger: Ledger | null } = { ledger: null };
  const rigs: LogRig[] = [];
  let error: unknown = null;
  try {
    await liveThrough({
      plugin: () => on(memory),
      point: () => memory.points(),
      // A commit that has answered is with the operating system: the process that dies loses none.
      kill: () => {},
      phase: (name) => {
        phase = name;
      },
      begun: (ledger) => {
        holder.ledger = ledger;
      },
      opened: (rig) => void rigs.push(rig),
    });
  } catch (caught) {
    error = caught;
  }
  const ledger = holder.ledger!;
  if (error !== null) {
    // Nothing of the failed life is left hanging.
    await rigs
      .at(-1)
      ?.logs.close()
      .catch(() => {});
    await rigs
      .at(-1)
      ?.storage.close()
      .catch(() => {});
  }
  return { memory, ledger, error, calls };
}

/** What is broken after a power loss at `point`, and after another one later. */
async function brokenAt(
  { memory, ledger }: Life,
  point: number,
  survivors: SurvivingCommits,
): Promise<string | null> {
  const left = memory.rebuild(point, survivors);
  const topics = ledger.topicsAt(point);
  let rig: LogRig;
  try {
    rig = await LogRig.open(on(left), { ...RIG, topics });
  } catch (error) {
    return `does not open: ${error}`;
  }
  const broken = await brokenIn(rig, ledger, point);
  if (broken !== null) return broken;
  const later = ledger.copy();
  const refused = await appendToAll(rig, later, point);
  if (refused !== null) return refused;
  const again = left.rebuild(left.points(), "nothing");
  const rigAgain = await LogRig.open(on(again), { ...RIG, topics });
  const brokenLater = await brokenIn(rigAgain, later, point);
  return brokenLater === null ? null : `after a second power loss: ${brokenLater}`;
}

async function firstBroken(life: Life, points: Iterable<number>): Promise<string | null> {
  for (const point of points) {
    const states: SurvivingCommits[] = ["nothing", "everything", SeededRandom.of(`${point}`)];
    for (const [i, survivors] of states.entries()) {
      const broken = await brokenAt(life, point, survivors);
      if (broken !== null) return `point ${point}, state ${i}: ${broken}`;
    }
  }
  return null;
}

/** Numbers below `total`: all, or a sample by seed. */
function sample(total: number, count: number, seed: string): number[] {
  if (isFullTestRun) return Array.from({ length: total }, (_, i) => i);
  const random = SeededRandom.of(seed);
  return Array.from({ length: count }, () => random.below(total));
}

/** A promise that is broken when the syncs of a phase report success and do nothing; null when none is. */
async function brokenWithoutSyncsOf(phase: string): Promise<string | null> {
  const life = await live((call, _index, now) =>
    call === "sync" && now === phase ? "skip" : undefined,
  );
  expect(life.error).toBe(null);
  for (const point of new Set(life.ledger.promises.map((promise) => promise.point))) {
    const broken = await brokenAt(life, point, "nothing");
    if (broken !== null) return broken;
  }
  return null;
}

describe("the log on a key-value store", () => {
  test("holds what was acknowledged after a power loss at any point", async () => {
    const life = await live();
    expect(life.error).toBe(null);
    const points = sample(life.memory.points() + 1, 25, "kv power loss");
    expect(await firstBroken(life, points)).toBe(null);
  }, 3_600_000);

  for (const phase of ["", "retention", "close", "recovery"]) {
    test(`breaks a promise without the syncs of phase "${phase}"`, async () => {
      expect(await brokenWithoutSyncsOf(phase)).not.toBe(null);
    }, 60_000);
  }

  test("needs no sync that only brings one thing to the disk before another", async () => {
    // Moved batches before the journal that held them goes: commits survive in order.
    expect(await brokenWithoutSyncsOf("maintain")).toBe(null);
  }, 60_000);

  test("fails in the middle of a commit or a sync, and loses nothing acknowledged", async () => {
    const { calls } = await live();
    for (const kind of ["commit", "sync"] as const) {
      for (const at of sample(calls[kind], 5, `kv fails ${kind}`)) {
        for (const fault of ["fail", "full", "fail_after"] as const) {
          const life = await live((call, index) =>
            call === kind && index === at ? fault : undefined,
          );
          const point = life.memory.points();
          expect([at, fault, await firstBroken(life, [point])]).toEqual([at, fault, null]);
        }
      }
    }
  }, 3_600_000);
});
