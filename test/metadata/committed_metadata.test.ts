import { describe, expect, test } from "bun:test";
import { RevisionTable, type RevisionWrite } from "../../src/base/revision_table.ts";
import { MetadataStoreError, type MetadataStoreErrorCode } from "../../src/contracts/errors.ts";
import {
  type CommitBackend,
  CommittedMetadata,
  type GroupBounds,
  type Step,
} from "../../src/metadata/committed_metadata.ts";
import { pluginContext } from "../../src/testing/conformance/plugin_context.ts";

const none = Number.POSITIVE_INFINITY;
const unbounded: GroupBounds = { sizeBytesMax: none, writesMax: none, commitsMax: none };

/** What was written, a list of revisions a group; fails once `failing` says how. */
class ScriptedBackend implements CommitBackend {
  readonly name = "metadata-scripted";
  readonly waitsForTurn: boolean;
  readonly groupBounds: GroupBounds;
  readonly groups: (readonly Step[])[] = [];
  failing: MetadataStoreErrorCode | null = null;
  closedWith: Error | null | undefined;
  groupsOver = 0;

  constructor(bounds: Partial<GroupBounds> = {}, waitsForTurn = true) {
    this.groupBounds = { ...unbounded, ...bounds };
    this.waitsForTurn = waitsForTurn;
  }

  sizeOf(_writes: unknown, sizeBytes: number): number {
    return sizeBytes;
  }
  async write(steps: readonly Step[]): Promise<void> {
    if (this.failing !== null) throw new Error("the disk says no");
    this.groups.push(steps);
  }
  afterGroup(): undefined {
    this.groupsOver++;
  }
  failureOf(error: unknown, action: string): MetadataStoreError {
    return new MetadataStoreError(this.failing!, `Cannot ${action}: ${(error as Error).message}`);
  }
  async close(failure: Error | null): Promise<void> {
    this.closedWith = failure;
  }
}

function opened(
  backend: CommitBackend,
  writes: readonly RevisionWrite[] = [],
): Promise<CommittedMetadata> {
  const table = new RevisionTable({ revisionsMax: 1_000, bytesMax: 2 ** 20 });
  if (writes.length > 0) table.apply(1, writes);
  return CommittedMetadata.open(table, backend, pluginContext().runtime.random);
}

/** Commits of one turn, each of these many writes of 8 bytes of key and value. */
function commitAll(store: CommittedMetadata, counts: readonly number[]) {
  return Promise.all(
    counts.map((count, i) =>
      store.commit({
        conditions: [],
        writes: Array.from({ length: count }, (_, j) => ({
          key: `${i}`.padStart(2, "0") + `${j}`.padStart(2, "0"),
          value: new Uint8Array(4),
        })),
      }),
    ),
  );
}

const sizesOf = (backend: ScriptedBackend) => backend.groups.map((steps) => steps.length);
const codeOf = (error: unknown) => (error as MetadataStoreError).code;

describe("commits of one turn", () => {
  for (const [what, bounds, counts, groups] of [
    ["share a group", {}, [1, 1, 1, 1], [4]],
    ["as many as a group takes", { commitsMax: 3 }, [1, 1, 1, 1], [3, 1]],
    ["up to a group's writes", { writesMax: 4 }, [2, 2, 1, 4], [2, 1, 1]],
    ["up to a group's bytes", { sizeBytesMax: 32 }, [2, 2, 1, 4], [2, 1, 1]],
    ["one that is over by itself goes alone", { writesMax: 4 }, [1, 9, 1], [1, 1, 1]],
  ] as const) {
    test(what, async () => {
      const backend = new ScriptedBackend(bounds);
      const store = await opened(backend);
      const results = await commitAll(store, counts);
      expect(sizesOf(backend)).toEqual([...groups]);
      expect(backend.groupsOver).toBe(groups.length);
      expect(results).toEqual(counts.map((_, i) => ({ ok: true, revision: i + 1 })));
    });
  }

  test("do not keep the first waiting where the backend will not", async () => {
    const backend = new ScriptedBackend({}, false);
    await commitAll(await opened(backend), [1, 1, 1]);
    expect(sizesOf(backend)).toEqual([1, 2]);
  });

  test("see the end of a session alone, with all that was written with it", async () => {
    const backend = new ScriptedBackend();
    const store = await opened(backend);
    const session = await store.session(1_000);
    const write = (key: string) =>
      store.commit({ conditions: [], writes: [{ key, value: new Uint8Array(1), session }] });
    const others = [write("a"), write("b")];
    const ended = session.end();
    const last = store.commit({ conditions: [{ key: "a", revision: 0 }], writes: [] });
    await Promise.all([...others, ended]);
    expect(await last).toEqual({ ok: true, revision: 3 });
    expect(backend.groups.map((steps) => steps.map(({ writes }) => writes.length))).toEqual([
      [1, 1],
      [2],
    ]);
    expect((await store.read("")).entries).toEqual([]);
  });
});

describe("a write that failed", () => {
  for (const [code, isLostAtOnce] of [
    ["locked", true],
    ["unavailable", false],
  ] as const) {
    test(`with ${code} ${isLostAtOnce ? "loses" : "keeps"} the sessions, which the close loses`, async () => {
      const backend = new ScriptedBackend();
      const store = await opened(backend);
      const session = await store.session(1_000);
      backend.failing = code;
      const failed = await commitAll(store, [1, 1]).catch(codeOf);
      expect(failed).toBe(code);
      expect(session.lost.aborted).toBe(isLostAtOnce);
      backend.failing = null;
      expect(await commitAll(store, [1]).catch(codeOf)).toBe(code);
      await store.close();
      expect(session.lost.aborted).toBe(true);
      expect([backend.groups, backend.closedWith]).toEqual([[], null]);
    });
  }

  test("in the close is told to the backend, once every session has ended", async () => {
    const backend = new ScriptedBackend();
    const store = await opened(backend);
    const sessions = [await store.session(1_000), await store.session(1_000)];
    const value = new Uint8Array(1);
    for (const [i, session] of sessions.entries()) {
      await store.commit({ conditions: [], writes: [{ key: `${i}`, value, session }] });
    }
    backend.failing = "unavailable";
    await store.close();
    expect(codeOf(backend.closedWith)).toBe("unavailable");
    expect(sessions.map(({ lost }) => lost.aborted)).toEqual([true, true]);
    expect(await store.read("").catch(codeOf)).toBe("closed");
  });
});

test("what sessions of earlier openings wrote goes at once, as many in a commit as it may have", async () => {
  const backend = new ScriptedBackend();
  const writes = Array.from({ length: 250 }, (_, i) => ({
    key: `k${i}`,
    value: new Uint8Array(1),
    owner: i === 7 ? null : "of yesterday",
  }));
  const store = await opened(backend, writes);
  const deleted = backend.groups.map((steps) => steps.map((step) => step.writes.length));
  expect(deleted).toEqual([[100], [100], [49]]);
  expect((await store.read("")).entries.map(({ key }) => key)).toEqual(["k7"]);
});
