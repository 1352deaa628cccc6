// The store of a simulated cluster: two openers over one table, sessions that end by virtual time, and links that are cut.

import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../../src/base/prng.ts";
import type { MetadataStore } from "../../../../src/contracts/metadata_store.ts";
import {
  SharedMetadata,
  STORE_MACHINE,
} from "../../../../src/testing/simulator/cluster/sim_shared_metadata.ts";
import { Links } from "../../../../src/testing/simulator/links.ts";
import { Trace } from "../../../../src/testing/simulator/trace.ts";
import { SimProcess, World } from "../../../../src/testing/simulator/world.ts";

const TTL_MS = 2000;

class Rig {
  readonly world = new World(SeededRandom.of(1), new Trace(false));
  readonly links = new Links();
  readonly store = new SharedMetadata({
    world: this.world,
    random: SeededRandom.of(2),
    links: this.links,
    latencyUsMin: 100,
    latencyUsMax: 900,
    historyRevisionsMax: 4,
  });

  process(machine: string): SimProcess {
    return new SimProcess(this.world, machine, machine);
  }

  /** Runs the world until the task has ended. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    let end: { value: T } | { error: unknown } | null = null;
    task().then(
      (value) => {
        end = { value };
      },
      (error: unknown) => {
        end = { error };
      },
    );
    await this.world.run(this.world.nowUs + 60_000_000, () => end !== null);
    const ended = end as { value: T } | { error: unknown } | null;
    if (ended === null) throw new Error("the task did not end");
    if ("error" in ended) throw ended.error;
    return ended.value;
  }

  open(process: SimProcess): Promise<MetadataStore> {
    return this.store.pluginFor(process).open({} as never);
  }
}

function put(key: string, revision = 0) {
  return { conditions: [{ key, revision }], writes: [{ key, value: new Uint8Array([1]) }] };
}

describe("the store of a simulated cluster", () => {
  test("is one table for all who open it", async () => {
    const rig = new Rig();
    const [one, two] = [rig.process("a"), rig.process("b")];
    await rig.run(async () => {
      const [a, b] = [await rig.open(one), await rig.open(two)];
      expect(await a.commit(put("k"))).toEqual({ ok: true, revision: 1 });
      expect(await b.commit(put("k"))).toEqual({
        ok: false,
        conflicts: [{ key: "k", revision: 1 }],
      });
      expect((await b.read("")).entries.map(({ key }) => key)).toEqual(["k"]);
    });
    expect(rig.world.failure).toBeNull();
  });

  test("keeps a session's entries while it is held, also of who is cut off, and drops them then", async () => {
    const rig = new Rig();
    const [one, two] = [rig.process("a"), rig.process("b")];
    await rig.run(async () => {
      const [a, b] = [await rig.open(one), await rig.open(two)];
      const session = await a.session(TTL_MS);
      await a.commit({
        conditions: [],
        writes: [{ key: "here", value: new Uint8Array(1), session }],
      });
      await two.sleep(10_000_000, "wait");
      expect(session.lost.aborted).toBe(false);
      rig.links.cut("a", STORE_MACHINE);
      while (session.heldUntilMs > rig.world.nowUs / 1000) {
        expect((await b.read("here")).entries).toHaveLength(1);
        await two.sleep(50_000, "wait");
      }
      expect(session.lost.aborted).toBe(true);
      await two.sleep(TTL_MS * 1000, "wait");
      expect((await b.read("here")).entries).toHaveLength(0);
    });
  });

  test("drops the session of a process that has died or stands still", async () => {
    const rig = new Rig();
    const [one, two, three] = [rig.process("a"), rig.process("b"), rig.process("c")];
    await rig.run(async () => {
      const c = await rig.open(three);
      for (const [key, process] of [["dead", one] as const, ["paused", two] as const]) {
        const store = await rig.open(process);
        const session = await store.session(TTL_MS);
        await store.commit({
          conditions: [],
          writes: [{ key, value: new Uint8Array(1), session }],
        });
      }
      one.isAlive = false;
      rig.store.processDied(one);
      two.pausedUntilUs = rig.world.nowUs + 20_000_000;
      await three.sleep(2 * TTL_MS * 1000, "wait");
      expect((await c.read("")).entries).toHaveLength(0);
    });
  });

  test("does not answer over a cut way; what it was asked it may have done", async () => {
    const rig = new Rig();
    const one = rig.process("a");
    await rig.run(async () => {
      const a = await rig.open(one);
      rig.links.cut(STORE_MACHINE, "a");
      await expect(a.commit(put("done"))).rejects.toMatchObject({ code: "unavailable" });
      rig.links.mendAll();
      rig.links.cut("a", STORE_MACHINE);
      await expect(a.commit(put("not"))).rejects.toMatchObject({ code: "unavailable" });
      rig.links.mendAll();
      expect((await a.read("")).entries.map(({ key }) => key)).toEqual(["done"]);
    });
  });

  test("tells a watch that is cut off for long that it has lost the thread", async () => {
    const rig = new Rig();
    const [one, two] = [rig.process("a"), rig.process("b")];
    await rig.run(async () => {
      const [a, b] = [await rig.open(one), await rig.open(two)];
      const seen: (number | "reset")[] = [];
      const ends = new AbortController();
      one.spawn("watch", async () => {
        for await (const step of a.watch("", 0, ends.signal)) {
          seen.push(step === "reset" ? step : step.revision);
        }
      });
      await b.commit(put("1"));
      await two.sleep(10_000, "wait");
      rig.links.cut(STORE_MACHINE, "a");
      for (let i = 2; i < 12; i++) await b.commit(put(String(i)));
      rig.links.mendAll();
      await two.sleep(1_000_000, "wait");
      expect(seen).toEqual([1, 2, "reset"]);
      ends.abort();
    });
  });
});
