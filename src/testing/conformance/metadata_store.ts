// The conformance suite of metadata stores: what contracts/metadata_store.ts promises, case by case, over
// any plugin. A plugin author calls it in a `describe`; a case that cannot hold is skipped with a reason.
// Cases about power losses run where the harness can make one.

import { MetadataStoreError, type MetadataStoreErrorCode } from "../../contracts/errors.ts";
import {
  COMMIT_BYTES_MAX,
  COMMIT_CONDITIONS_MAX,
  COMMIT_WRITES_MAX,
  type CommitResult,
  type MetadataStore,
  type MetadataStorePlugin,
  type RevisionChanges,
  type Session,
} from "../../contracts/metadata_store.ts";
import { pluginContext } from "./plugin_context.ts";
import type { SkippedCases } from "./segments.ts";
import { afterEach, beforeEach, describe, expect, test } from "./test_api.ts";

/** A plugin over a fresh place, made for one case. */
export interface MetadataStoreUnderTest {
  /** Opening it again after a close finds what was there. */
  readonly plugin: MetadataStorePlugin;
  /**
   * How many revisions the store keeps for watches; the suite goes beyond it to see "reset", so give the
   * plugin a small bound.
   */
  readonly historyRevisionsMax: number;
  /** Removes the place. */
  dispose?(): void | Promise<void>;
}

/** What the suite of metadata stores is told about one plugin. */
export interface MetadataStoreConformance<Under extends MetadataStoreUnderTest> {
  /** Called once a case. */
  open(): Under | Promise<Under>;
  /**
   * A power loss while the plugin is open: everything goes that was not durable. The plugin returned is
   * opened on what is left. Without it the cases about power losses are not declared.
   */
  crash?(under: Under): MetadataStorePlugin | Promise<MetadataStorePlugin>;
  readonly skip?: readonly SkippedCases[];
}

interface Bench {
  store: MetadataStore;
  historyRevisionsMax: number;
  restart(): Promise<MetadataStore>;
}

/** Declares the cases; call it at the top of a test file or in a `describe`. */
export function metadataStoreConformance<Under extends MetadataStoreUnderTest>(
  options: MetadataStoreConformance<Under>,
): void {
  const skipped = new Set((options.skip ?? []).flatMap(({ cases }) => [...cases]));
  const crash = options.crash?.bind(options);
  let under: Under;
  let plugin: MetadataStorePlugin;
  const bench = {} as Bench;

  async function start(): Promise<MetadataStore> {
    bench.store = await plugin.open(pluginContext());
    return bench.store;
  }

  describe("metadata store", () => {
    beforeEach(async () => {
      under = await options.open();
      plugin = under.plugin;
      bench.historyRevisionsMax = under.historyRevisionsMax;
      bench.restart = async () => {
        await bench.store.close();
        return await start();
      };
      await start();
    });
    afterEach(async () => {
      await bench.store.close();
      await under.dispose?.();
    });

    for (const [name, run] of Object.entries(cases)) {
      (skipped.has(name) ? test.skip : test)(name, () => run(bench));
    }
    for (const [name, run] of Object.entries(powerLossCases)) {
      if (crash === undefined) break;
      const losePower = async () => {
        plugin = await crash(under);
        return await start();
      };
      (skipped.has(name) ? test.skip : test)(name, () => run(bench, losePower));
    }
    test("every skipped case is a case", () => {
      const known = new Set([...Object.keys(cases), ...Object.keys(powerLossCases)]);
      expect([...skipped].filter((name) => !known.has(name))).toEqual([]);
    });
  });
}

const cases: Record<string, (bench: Bench) => Promise<void>> = {
  "an empty store reads as nothing": async ({ store }) => {
    expect((await store.read("")).entries).toEqual([]);
  },

  "commit() applies all writes at one new revision": async ({ store }) => {
    const before = (await store.read("")).revision;
    const revision = await put(store, { b: "2", a: "1", "a/x": "3" });
    expect(revision).toBeGreaterThan(before);
    const read = await store.read("");
    expect(read.revision).toBe(revision);
    expect(read.entries.map(({ key, value, revision: at }) => [key, text(value), at])).toEqual([
      ["a", "1", revision],
      ["a/x", "3", revision],
      ["b", "2", revision],
    ]);
    const later = await put(store, { a: "4" });
    expect(later).toBeGreaterThan(revision);
    expect(await values(store, "")).toEqual({ a: "4", "a/x": "3", b: "2" });
    expect((await store.read("b")).entries[0]!.revision).toBe(revision);
  },

  "read() narrows to a prefix": async ({ store }) => {
    await put(store, { "t/a": "1", "t/b": "2", tt: "3", s: "4", u: "5" });
    expect(await values(store, "t/")).toEqual({ "t/a": "1", "t/b": "2" });
    expect(await values(store, "t")).toEqual({ "t/a": "1", "t/b": "2", tt: "3" });
    expect(await values(store, "x")).toEqual({});
  },

  "commit() keeps its own copy of a value, and empty values": async ({ store }) => {
    const value = bytes("abc");
    await store.commit({ conditions: [], writes: [{ key: "k", value }, write("empty", "")] });
    value.fill(0);
    expect(await values(store, "")).toEqual({ k: "abc", empty: "" });
  },

  "commit() deletes with null": async ({ store }) => {
    await put(store, { a: "1", b: "2" });
    const result = await store.commit({
      conditions: [],
      writes: [
        { key: "a", value: null },
        { key: "absent", value: null },
      ],
    });
    expect(result.ok).toBe(true);
    expect(await values(store, "")).toEqual({ b: "2" });
  },

  "conditions demand the revision of the last write, 0 for absent": async ({ store }) => {
    const first = await put(store, { a: "1" });
    await refused(
      store.commit({ conditions: [{ key: "a", revision: 0 }], writes: [write("a", "x")] }),
      [{ key: "a", revision: first }],
    );
    await refused(
      store.commit({
        conditions: [
          { key: "a", revision: first },
          { key: "b", revision: first },
        ],
        writes: [write("c", "x")],
      }),
      [{ key: "b", revision: 0 }],
    );
    expect(await values(store, "")).toEqual({ a: "1" });
    const result = await store.commit({
      conditions: [
        { key: "a", revision: first },
        { key: "b", revision: 0 },
      ],
      writes: [write("a", "2"), write("b", "3")],
    });
    expect(result.ok).toBe(true);
    await refused(
      store.commit({ conditions: [{ key: "a", revision: first }], writes: [write("a", "4")] }),
      [{ key: "a", revision: (result as { revision: number }).revision }],
    );
    await store.commit({ conditions: [], writes: [{ key: "a", value: null }] });
    const again = await store.commit({
      conditions: [{ key: "a", revision: 0 }],
      writes: [write("a", "5")],
    });
    expect(again.ok).toBe(true);
  },

  "a commit of conditions alone tells whether they hold": async ({ store }) => {
    const revision = await put(store, { a: "1" });
    expect((await store.commit({ conditions: [{ key: "a", revision }], writes: [] })).ok).toBe(
      true,
    );
    expect((await store.commit({ conditions: [{ key: "a", revision: 0 }], writes: [] })).ok).toBe(
      false,
    );
  },

  "of commits at once on one condition, one wins": async ({ store }) => {
    for (let round = 0; round < 10; round++) {
      const key = `seat-${round}`;
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          store.commit({ conditions: [{ key, revision: 0 }], writes: [write(key, String(i))] }),
        ),
      );
      const winners = results.flatMap((result, i) => (result.ok ? [i] : []));
      expect(winners.length).toBe(1);
      expect(await values(store, key)).toEqual({ [key]: String(winners[0]) });
    }
  },

  "commits at once add up": async ({ store }) => {
    const add = async (): Promise<void> => {
      for (;;) {
        const entry = (await store.read("counter")).entries[0];
        const result = await store.commit({
          conditions: [{ key: "counter", revision: entry?.revision ?? 0 }],
          writes: [write("counter", String(Number(text(entry?.value ?? bytes("0"))) + 1))],
        });
        if (result.ok) return;
      }
    };
    await Promise.all(Array.from({ length: 12 }, add));
    expect(await values(store, "")).toEqual({ counter: "12" });
  },

  "commit() takes what is within the bounds and refuses what is over": async ({ store }) => {
    const many = Array.from({ length: COMMIT_WRITES_MAX }, (_, i) => write(`k${i}`, "v"));
    expect((await store.commit({ conditions: [], writes: many })).ok).toBe(true);
    await expectCode("too_large", () =>
      store.commit({ conditions: [], writes: [...many, write("one-more", "v")] }),
    );
    const large = { key: "large", value: new Uint8Array(COMMIT_BYTES_MAX - 5).fill(7) };
    expect((await store.commit({ conditions: [], writes: [large] })).ok).toBe(true);
    const larger = { key: "large", value: new Uint8Array(COMMIT_BYTES_MAX - 4) };
    await expectCode("too_large", () => store.commit({ conditions: [], writes: [larger] }));
    expect((await store.read("large")).entries[0]!.value.every((byte) => byte === 7)).toBe(true);
    expect(await values(store, "one")).toEqual({});
  },

  "commit() takes as many conditions as it may, and refuses one more": async ({ store }) => {
    const absent = Array.from({ length: COMMIT_CONDITIONS_MAX }, (_, i) => ({
      key: `k${i}`,
      revision: 0,
    }));
    const writes = absent.map(({ key }) => write(key, "v"));
    const result = await store.commit({ conditions: absent, writes });
    expect(result.ok).toBe(true);
    const { revision } = result as { revision: number };
    await refused(
      store.commit({ conditions: absent, writes }),
      absent.map(({ key }) => ({ key, revision })),
    );
    const conditions = [...absent, { key: "one-more", revision: 0 }];
    await expectCode("too_large", () => store.commit({ conditions, writes: [] }));
  },

  "commit() refuses a key that comes twice": async ({ store }) => {
    let failed = false;
    try {
      await store.commit({ conditions: [], writes: [write("a", "1"), write("a", "2")] });
    } catch {
      // A defect of the caller: any error will do.
      failed = true;
    }
    expect(failed).toBe(true);
    expect(await values(store, "")).toEqual({});
  },

  "watch() yields every revision after the one given, narrowed, in order": async ({ store }) => {
    const start = await put(store, { "t/a": "1", x: "0" });
    const first = await put(store, { "t/b": "2", y: "0" });
    await put(store, { x: "1" });
    const last = (await store.commit({
      conditions: [],
      writes: [{ key: "t/a", value: null }, write("t/c", "3")],
    })) as { revision: number };
    const watch = new Watch(store, "t/", start);
    expect(await watch.next()).toEqual({ revision: first, puts: { "t/b": "2" }, deletes: [] });
    expect(await watch.next()).toEqual({
      revision: last.revision,
      puts: { "t/c": "3" },
      deletes: ["t/a"],
    });
    const next = watch.next();
    await put(store, { other: "1" });
    const live = await put(store, { "t/d": "4" });
    expect(await next).toEqual({ revision: live, puts: { "t/d": "4" }, deletes: [] });
    await watch.stop();
  },

  "watch() ends when its signal aborts, waiting or not": async ({ store }) => {
    const { revision } = await store.read("");
    const waiting = new Watch(store, "", revision);
    const next = waiting.next();
    waiting.abort();
    expect(await next).toBe("end");
    await put(store, { a: "1" });
    const aborted = new Watch(store, "", revision);
    aborted.abort();
    expect(await aborted.next()).toBe("end");
  },

  "watches are independent of each other and of slow readers": async ({ store }) => {
    const { revision } = await store.read("");
    const slow = new Watch(store, "", revision);
    const quick = new Watch(store, "", revision);
    for (let i = 0; i < 5; i++) await put(store, { k: String(i) });
    for (let i = 0; i < 5; i++) {
      expect(((await quick.next()) as Seen).puts).toEqual({ k: String(i) });
    }
    for (let i = 0; i < 5; i++) {
      expect(((await slow.next()) as Seen).puts).toEqual({ k: String(i) });
    }
    await Promise.all([slow.stop(), quick.stop()]);
  },

  "watch() yields reset when the store has forgotten the start": async ({
    store,
    historyRevisionsMax,
  }) => {
    const start = await put(store, { a: "0" });
    const lagging = new Watch(store, "", start);
    for (let i = 0; i <= historyRevisionsMax; i++) await put(store, { a: String(i) });
    expect(await lagging.next()).toBe("reset");
    expect(await lagging.next()).toBe("end");
    const { revision } = await store.read("");
    const fresh = new Watch(store, "", revision);
    const next = fresh.next();
    await put(store, { a: "x" });
    expect(((await next) as Seen).puts).toEqual({ a: "x" });
    await fresh.stop();
  },

  "a reader that reads and then watches misses nothing": async ({ store }) => {
    const writer = (async () => {
      for (let i = 1; i <= 60; i++) await put(store, { [`k${i % 7}`]: String(i), n: String(i) });
    })();
    const { revision, entries } = await store.read("");
    const mirror = new Map(entries.map(({ key, value }) => [key, text(value)]));
    const watch = new Watch(store, "", revision);
    while (mirror.get("n") !== "60") {
      const step = await watch.next();
      if (typeof step === "string") throw new Error(`unexpected ${step}`);
      for (const [key, value] of Object.entries(step.puts)) mirror.set(key, value);
    }
    await writer;
    expect(Object.fromEntries(mirror)).toEqual(await values(store, ""));
    await watch.stop();
  },

  "entries of a session vanish at its end, as one revision": async ({ store }) => {
    const session = await store.session(10_000);
    const other = await store.session(10_000);
    expect(session.id).not.toBe(other.id);
    await store.commit({
      conditions: [],
      writes: [owned("a", "1", session), owned("b", "2", session), write("c", "3")],
    });
    await store.commit({ conditions: [], writes: [owned("d", "4", other)] });
    await put(store, { b: "5" });
    const watch = new Watch(store, "", (await store.read("")).revision);
    let lostCount = 0;
    session.lost.addEventListener("abort", () => {
      lostCount++;
    });
    expect(session.lost.aborted).toBe(false);
    await session.end();
    await session.end();
    expect([session.lost.aborted, lostCount, other.lost.aborted]).toEqual([true, 1, false]);
    expect(await values(store, "")).toEqual({ b: "5", c: "3", d: "4" });
    expect(((await watch.next()) as Seen).deletes).toEqual(["a"]);
    await watch.stop();
    await expectCode("closed", () =>
      store.commit({ conditions: [], writes: [owned("e", "6", session)] }),
    );
  },

  "a session tells until when it is surely held, and after its end that it is not": async ({
    store,
  }) => {
    const nowMs = () => pluginContext().runtime.clock.monotonicMs();
    const session = await store.session(10_000);
    expect(session.heldUntilMs).toBeGreaterThan(nowMs());
    await session.end();
    expect(session.heldUntilMs > nowMs()).toBe(false);
  },

  "a commit that was under way when its session ended leaves nothing": async ({ store }) => {
    const session = await store.session(10_000);
    const commit = store.commit({ conditions: [], writes: [owned("a", "1", session)] });
    await session.end();
    await commit;
    expect(await values(store, "")).toEqual({});
  },

  "content and revisions survive a restart, sessions do not": async ({ store, restart }) => {
    const session = await store.session(10_000);
    const revision = await put(store, { a: "1", b: "2" });
    await store.commit({ conditions: [], writes: [owned("s", "3", session)] });
    await store.commit({ conditions: [], writes: [{ key: "b", value: null }] });
    const again = await restart();
    expect(session.lost.aborted).toBe(true);
    expect(await values(again, "")).toEqual({ a: "1" });
    const read = await again.read("");
    expect(read.entries[0]!.revision).toBe(revision);
    expect(read.revision).toBeGreaterThan(revision);
    expect(await put(again, { c: "4" })).toBeGreaterThan(read.revision);
    const twice = await restart();
    expect(await values(twice, "")).toEqual({ a: "1", c: "4" });
  },

  "a closed store answers closed, and its watches end with it": async ({ store, restart }) => {
    const watch = new Watch(store, "", (await store.read("")).revision);
    const next = watch.next();
    const outcome = next.then(
      () => "ended",
      (error) => (error as MetadataStoreError).code,
    );
    await restart();
    expect(await outcome).toBe("closed");
    await expectCode("closed", () => store.read(""));
    await expectCode("closed", () => store.session(1_000));
    await expectCode("closed", () => store.commit({ conditions: [], writes: [write("a", "1")] }));
    await store.close();
  },

  "close() waits for commits that are under way": async ({ store, restart }) => {
    const commits = Array.from({ length: 30 }, (_, i) => put(store, { [`k${i}`]: "v" }));
    const again = await restart();
    await Promise.all(commits);
    expect(Object.keys(await values(again, "")).length).toBe(30);
  },
};

type PowerLossCase = (bench: Bench, losePower: () => Promise<MetadataStore>) => Promise<void>;

const powerLossCases: Record<string, PowerLossCase> = {
  "power loss: what was committed survives": async ({ store }, losePower) => {
    await put(store, { a: "1" });
    const revision = await put(store, { b: "2" });
    await store.commit({ conditions: [], writes: [{ key: "a", value: null }] });
    const again = await losePower();
    expect(await values(again, "")).toEqual({ b: "2" });
    expect((await again.read("b")).entries[0]!.revision).toBe(revision);
    await put(again, { c: "3" });
    expect(await values(await losePower(), "")).toEqual({ b: "2", c: "3" });
  },

  "power loss: entries of sessions vanish": async ({ store }, losePower) => {
    const session = await store.session(10_000);
    await store.commit({
      conditions: [],
      writes: [owned("s", "1", session), write("a", "2")],
    });
    expect(await values(await losePower(), "")).toEqual({ a: "2" });
  },
};

interface Seen {
  readonly revision: number;
  readonly puts: Record<string, string>;
  readonly deletes: readonly string[];
}

/** A watch in steps that compare easily. */
class Watch {
  readonly #abort = new AbortController();
  readonly #iterator: AsyncIterator<RevisionChanges | "reset">;

  constructor(store: MetadataStore, prefix: string, revision: number) {
    this.#iterator = store.watch(prefix, revision, this.#abort.signal)[Symbol.asyncIterator]();
  }

  async next(): Promise<Seen | "reset" | "end"> {
    const { value, done } = await this.#iterator.next();
    if (done === true) return "end";
    if (value === "reset") return "reset";
    const changes = value as RevisionChanges;
    return {
      revision: changes.revision,
      puts: Object.fromEntries(changes.puts.map(({ key, value: found }) => [key, text(found)])),
      deletes: changes.deletes,
    };
  }

  abort(): void {
    this.#abort.abort();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    expect(await this.next()).toBe("end");
  }
}

function bytes(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function text(value: Uint8Array): string {
  return new TextDecoder().decode(value);
}

function write(key: string, value: string): { key: string; value: Uint8Array } {
  return { key, value: bytes(value) };
}

function owned(
  key: string,
  value: string,
  session: Session,
): { key: string; value: Uint8Array; session: Session } {
  return { key, value: bytes(value), session };
}

/** Writes without conditions; the revision. */
async function put(store: MetadataStore, entries: Record<string, string>): Promise<number> {
  const writes = Object.entries(entries).map(([key, value]) => write(key, value));
  const result = await store.commit({ conditions: [], writes });
  if (!result.ok) throw new Error("a commit without conditions had conflicts");
  return result.revision;
}

async function values(store: MetadataStore, prefix: string): Promise<Record<string, string>> {
  const { entries } = await store.read(prefix);
  return Object.fromEntries(entries.map(({ key, value }) => [key, text(value)]));
}

async function refused(
  commit: Promise<CommitResult>,
  conflicts: readonly { key: string; revision: number }[],
): Promise<void> {
  expect(await commit).toEqual({ ok: false, conflicts });
}

async function expectCode(
  code: MetadataStoreErrorCode,
  call: () => Promise<unknown>,
): Promise<void> {
  let error: unknown = null;
  try {
    await call();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(MetadataStoreError);
  expect((error as MetadataStoreError).code).toBe(code);
}
