// What a metadata store promises that several brokers have open at once, case by case, over any plugin with `isShared`; beside the
// suite of all stores, which holds for each opening. Invariant: every wait is for an event of the store, never for a time.

import type {
  MetadataStore,
  MetadataStorePlugin,
  RevisionChanges,
  Session,
} from "../../contracts/metadata_store.ts";
import type { PluginContext } from "../../contracts/plugin.ts";
import { pluginContext } from "./plugin_context.ts";
import { afterEach, beforeEach, describe, expect, test } from "./test_api.ts";

/** Shortest time of a session that these cases ask for. */
const SESSION_MS = 1000;

/** Two openings of one place, made for one case. */
export interface SharedStoreUnderTest {
  readonly plugin: MetadataStorePlugin;
  /** For the second opener; left out: the same. */
  readonly other?: MetadataStorePlugin;
  /** Removes the place. */
  dispose?(): void | Promise<void>;
}

/** Declares the cases; call it at the top of a test file or in a `describe`. `open` is called once a case. */
export function sharedMetadataStoreConformance(
  open: () => SharedStoreUnderTest | Promise<SharedStoreUnderTest>,
): void {
  let under: SharedStoreUnderTest;
  let a: MetadataStore;
  let b: MetadataStore;
  const frozen = frozenContext();

  describe("shared metadata store", () => {
    beforeEach(async () => {
      under = await open();
      a = await under.plugin.open({ ...pluginContext(), brokerId: 1 });
      b = await (under.other ?? under.plugin).open({ ...pluginContext(), brokerId: 2 });
    });
    afterEach(async () => {
      await a.close();
      await b.close();
      await under.dispose?.();
    });

    test("the plugin says that it is shared", () => {
      expect(under.plugin.isShared).toBe(true);
    });

    test("what one commits the other reads, at the same revision", async () => {
      const revision = await put(a, "k", "1");
      const read = await b.read("k");
      expect(read.entries.map(({ key, revision: at }) => [key, at])).toEqual([["k", revision]]);
      expect(read.revision >= revision).toBe(true);
    });

    test("of two that want the same, one gets it", async () => {
      for (let i = 0; i < 10; i++) {
        const key = `seat-${i}`;
        const want = (store: MetadataStore) =>
          store.commit({ conditions: [{ key, revision: 0 }], writes: [{ key, value: text("x") }] });
        const results = await Promise.all([want(a), want(b)]);
        expect(results.filter(({ ok }) => ok).length).toBe(1);
      }
    });

    test("a watch of one tells what the other does, and what goes with a session", async () => {
      const { revision } = await b.read("");
      const watch = new Watching(b, revision);
      const session = await a.session(10_000);
      expect(await held(a, "s", session)).toBe(true);
      expect(await watch.next()).toEqual({ puts: ["s"], deletes: [] });
      await session.end();
      expect(await watch.next()).toEqual({ puts: [], deletes: ["s"] });
      await watch.stop();
    });

    test("closing one ends its sessions and leaves the other", async () => {
      const mine = await a.session(10_000);
      const others = await b.session(10_000);
      expect(await held(a, "mine", mine)).toBe(true);
      expect(await held(b, "others", others)).toBe(true);
      await a.close();
      const { entries } = await b.read("");
      expect(entries.map(({ key }) => key)).toEqual(["others"]);
      expect(others.lost.aborted).toBe(false);
    });

    test("a session that nobody renews runs out, and its holder knew until when", async () => {
      const stuck = await under.plugin.open({ ...frozen, brokerId: 3 });
      try {
        const watch = new Watching(b, (await b.read("")).revision);
        // In its own time a live broker renews; whoever shares a process with the stuck one finds it by that.
        const live = await b.session(SESSION_MS);
        const session = await stuck.session(SESSION_MS);
        expect(await held(stuck, "s", session)).toBe(true);
        const { heldUntilMs } = session;
        expect(Number.isFinite(heldUntilMs)).toBe(true);
        expect(await watch.next()).toEqual({ puts: ["s"], deletes: [] });
        expect(await watch.next()).toEqual({ puts: [], deletes: ["s"] });
        expect(frozen.runtime.clock.monotonicMs() >= heldUntilMs).toBe(true);
        expect(live.lost.aborted).toBe(false);
        await watch.stop();
      } finally {
        await stuck.close();
      }
    });
  });
}

/** A broker whose timers never fire. */
function frozenContext(): PluginContext {
  const context = pluginContext();
  const { scheduler } = context.runtime;
  return {
    ...context,
    runtime: {
      ...context.runtime,
      scheduler: {
        after: () => ({ cancel() {} }),
        spawn: (label, task) => scheduler.spawn(label, task),
        yieldNow: () => scheduler.yieldNow(),
      },
    },
  };
}

class Watching {
  readonly #abort = new AbortController();
  readonly #iterator: AsyncIterator<RevisionChanges | "reset">;

  constructor(store: MetadataStore, revision: number) {
    this.#iterator = store.watch("", revision, this.#abort.signal)[Symbol.asyncIterator]();
  }

  async next(): Promise<{ puts: string[]; deletes: readonly string[] }> {
    const { value, done } = await this.#iterator.next();
    if (done === true || value === "reset") throw new Error("the watch has ended");
    const changes = value as RevisionChanges;
    return { puts: changes.puts.map(({ key }) => key), deletes: changes.deletes };
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    expect((await this.#iterator.next()).done).toBe(true);
  }
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

async function put(store: MetadataStore, key: string, value: string): Promise<number> {
  const result = await store.commit({ conditions: [], writes: [{ key, value: text(value) }] });
  if (!result.ok) throw new Error("a commit without conditions had conflicts");
  return result.revision;
}

async function held(store: MetadataStore, key: string, session: Session): Promise<boolean> {
  const writes = [{ key, value: text("x"), session }];
  return (await store.commit({ conditions: [{ key, revision: 0 }], writes })).ok;
}
