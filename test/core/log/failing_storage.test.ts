// Storage that fails, or forgets, at one call of the scripted life: nothing is acknowledged that is not
// durable, everybody gets an answer, the folder goes offline once, close() ends, and a restart finds all
// that was promised. MILLRACE_TEST_FULL=1 tries every call.

import { describe, expect, test } from "bun:test";
import { type MemoryStoragePlugin, storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import { StorageError } from "../../../src/contracts/errors.ts";
import type { StoragePlugin } from "../../../src/contracts/storage.ts";
import { SPARE_NAME } from "../../../src/core/log/journal_spare.ts";
import { hookedStorage, type StorageCall, type StorageHook } from "../../support/hooked_storage.ts";
import { batchOf, LogRig, topic } from "../../support/log_rig.ts";
import {
  appendToAll,
  brokenIn,
  type Ledger,
  liveThrough,
  RIG,
} from "../../support/log_workload.ts";
import { isFullTestRun } from "../../support/test_scale.ts";

interface Call {
  readonly call: StorageCall;
  readonly name: string;
}

interface Life {
  readonly ledger: Ledger;
  readonly rigs: readonly LogRig[];
  readonly memory: MemoryStoragePlugin;
  readonly calls: readonly Call[];
  /** What ended the script before its end. */
  readonly error: unknown;
}

/** Lives until `onCall` of some call makes that impossible. */
async function live(
  onCall: (index: number, call: Call, memory: MemoryStoragePlugin) => ReturnType<StorageHook>,
  prefersRecycling = false,
): Promise<Life> {
  const memory = storageMemory();
  const calls: Call[] = [];
  let opened: { close(): Promise<void> } | null = null;
  const hook: StorageHook = (call, name) => {
    calls.push({ call, name });
    return onCall(calls.length - 1, { call, name }, memory);
  };
  const hooked = hookedStorage(memory, hook, { prefersRecycling });
  const plugin: StoragePlugin = {
    ...hooked,
    open: async (context) => {
      const storage = await hooked.open(context);
      opened = storage;
      return storage;
    },
  };
  const holder: { ledger: Ledger | null } = { ledger: null };
  const rigs: LogRig[] = [];
  let error: unknown = null;
  try {
    await liveThrough({
      plugin: () => plugin,
      point: () => calls.length,
      // Of a closed memory store everything stays, synced or not.
      kill: () => void opened?.close(),
      phase: () => {},
      begun: (ledger) => {
        holder.ledger = ledger;
      },
      opened: (rig) => void rigs.push(rig),
    });
  } catch (caught) {
    error = caught;
  }
  return { ledger: holder.ledger!, rigs, memory, calls, error };
}

async function brokenAfter({ memory, ledger }: Life, point: number): Promise<string | null> {
  const topics = ledger.topicsAt(point);
  const rig = await LogRig.open(memory, { ...RIG, topics });
  const broken = await brokenIn(rig, ledger, point);
  if (broken !== null) return broken;
  const later = ledger.copy();
  const refused = await appendToAll(rig, later, point);
  if (refused !== null) return refused;
  memory.loseUnsynced();
  const again = await LogRig.open(memory, { ...RIG, topics });
  const brokenLater = await brokenIn(again, later, point);
  await again.close();
  return brokenLater;
}

function sample(count: number, total: number, seed: string): number[] {
  if (isFullTestRun) return Array.from({ length: total }, (_, i) => i);
  const random = SeededRandom.of(seed);
  return Array.from({ length: count }, () => random.below(total));
}

describe("the log over storage that", () => {
  test("forgets what is not synced, at any call", async () => {
    const { calls, error } = await live(() => undefined);
    expect(error).toBe(null);
    for (const at of sample(6, calls.length, "forgets")) {
      const life = await live((index, _call, memory) => {
        if (index === at) memory.loseUnsynced();
        return undefined;
      });
      // Where only a close was hit, the life went on to its end.
      const point = life.error === null ? life.calls.length : at;
      life.memory.loseUnsynced();
      expect([at, await brokenAfter(life, point)]).toEqual([at, null]);
    }
  }, 3_600_000);

  for (const recycles of [false, true]) {
    test(`fails once, at any call${recycles ? ", with journal files that are recycled" : ""}`, async () => {
      const { calls } = await live(() => undefined, recycles);
      const kinds: StorageCall[] = ["append", "sync", "open", "remove", "truncate", "close"];
      if (recycles) kinds.push("recycle");
      for (const kind of kinds) {
        const indexes = calls.flatMap(({ call }, index) => (call === kind ? [index] : []));
        for (const nth of sample(2, indexes.length, `fails ${kind}`)) {
          const at = indexes[nth]!;
          const code = at % 2 === 0 ? "io" : "full";
          const life = await live((index) => {
            if (index !== at) return undefined;
            const error = new StorageError(code, "the disk says no");
            return kind === "append" ? { bytes: index % 300, error } : Promise.reject(error);
          }, recycles);
          const { name } = life.calls[at]!;
          const isShared = /^journal\/\d/.test(name) && (kind === "append" || kind === "sync");
          const offline = life.rigs.filter((rig) => rig.offlineReason !== null).length;
          expect(life.rigs.every((rig) => rig.offlineCount < 2)).toBe(true);
          // A failure while the folder is being opened keeps it from opening.
          if (isShared && life.error !== null && life.rigs.at(-1)?.offlineReason === null) {
            expect(`${life.error}`).toContain("the disk says no");
          } else if (isShared) expect([name, kind, at, offline]).toEqual([name, kind, at, 1]);
          const rig = life.rigs.at(-1);
          if (rig !== undefined) {
            // Nothing of the failed life is left hanging.
            await rig.logs.close().catch(() => {});
            await rig.storage.close().catch(() => {});
          }
          life.memory.loseUnsynced();
          // Also what was promised after the failure, where that was not of the whole folder.
          const broken = await brokenAfter(life, life.calls.length);
          expect([kind, at, broken]).toEqual([kind, at, null]);
        }
      }
    }, 3_600_000);
  }

  test("fails once, at any call for a spare journal file, goes on without one", async () => {
    const { calls } = await live(() => undefined, true);
    const ofSpare = calls.flatMap(({ name }, index) => (name === SPARE_NAME ? [index] : []));
    const kinds = new Set(ofSpare.map((index) => calls[index]!.call));
    for (const kind of ["append", "close", "list", "open", "recycle", "sync"] as const) {
      expect([kind, kinds.has(kind)]).toEqual([kind, true]);
    }
    for (const nth of sample(8, ofSpare.length, "spare")) {
      const at = ofSpare[nth]!;
      const { call } = calls[at]!;
      const life = await live((index) => {
        if (index !== at) return undefined;
        const error = new StorageError(at % 2 === 0 ? "io" : "full", "the disk says no");
        return call === "append" ? { bytes: index % 300, error } : Promise.reject(error);
      }, true);
      const last = life.rigs.at(-1)!;
      expect([call, at, String(life.error)]).toEqual([call, at, "null"]);
      // Those that were killed find their store closed.
      for (const rig of life.rigs) expect(rig.offlineReason ?? "").not.toContain("says no");
      await last.logs.close().catch(() => {});
      await last.storage.close().catch(() => {});
      life.memory.loseUnsynced();
      const broken = await brokenAfter(life, life.calls.length);
      expect([call, at, broken]).toEqual([call, at, null]);
    }
  }, 3_600_000);
});

describe("a sync that fails while the next file is due", () => {
  test("keeps the journal from beginning it: a later file would vouch for what the disk has lost", async () => {
    const first = "journal/0000000001.log";
    const topics = [topic("t", 1, { "millrace.durability": "interval" })];
    const holder: { failSync: (error: Error) => void; begun: string[]; isHeld: boolean } = {
      failSync: () => {},
      begun: [],
      isHeld: false,
    };
    const plugin = hookedStorage(storageMemory(), (call, name) => {
      if (call === "open") holder.begun.push(name);
      if (call !== "sync" || name !== first || !holder.isHeld) return undefined;
      // Only the first one is held: those after it succeed, as fdatasync does once it has told of its error.
      holder.isHeld = false;
      return new Promise((_, reject) => {
        holder.failSync = reject;
      });
    });
    const rig = await LogRig.open(plugin, { topics, journalFileBytes: 4096 });
    await rig.append(batchOf(["x".repeat(2000)]));
    holder.isHeld = true;
    await rig.test.advance(60_000);
    expect(holder.isHeld).toBe(false);
    const appending = rig.append(batchOf(["y".repeat(3000)]));
    await rig.test.advance(10);
    holder.failSync(new StorageError("io", "the disk says no"));
    await appending;
    await rig.logs.close().catch(() => {});
    expect(rig.offlineReason).toContain("the disk says no");
    expect(holder.begun.filter((name) => name.startsWith("journal/"))).toEqual([first]);
  });
});
