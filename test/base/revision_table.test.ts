import { describe, expect, test } from "bun:test";
import { InvariantError } from "../../src/base/assert.ts";
import {
  type RevisionStep,
  RevisionTable,
  type RevisionWrite,
} from "../../src/base/revision_table.ts";

const value = (sizeBytes: number) => new Uint8Array(sizeBytes);
const put = (key: string, sizeBytes = 1, owner: string | null = null): RevisionWrite => ({
  key,
  value: value(sizeBytes),
  owner,
});
const del = (key: string): RevisionWrite => ({ key, value: null, owner: null });
const table = (revisionsMax = 100, bytesMax = 10_000) =>
  new RevisionTable({ revisionsMax, bytesMax });

/** What a watch has for us without waiting. */
async function seen(
  from: RevisionTable,
  prefix: string,
  revision: number,
): Promise<(RevisionStep | "reset")[]> {
  const abort = new AbortController();
  const items: (RevisionStep | "reset")[] = [];
  const watch = from.watch(prefix, revision, abort.signal);
  const done = (async () => {
    for await (const item of watch) items.push(item);
  })();
  for (let turn = 0; turn < 1_000; turn++) await Promise.resolve();
  abort.abort();
  await done;
  return items;
}

describe("RevisionTable", () => {
  test("keeps keys in order through puts and deletes, and counts what is alive", () => {
    const t = table();
    t.apply(1, [put("b", 5), put("a", 1), put("c", 2)]);
    t.apply(2, [del("a"), put("b", 3), put("aa", 4)]);
    expect(t.read("").map(({ key, revision }) => [key, revision])).toEqual([
      ["aa", 2],
      ["b", 2],
      ["c", 1],
    ]);
    expect([t.liveBytes, t.entryCount, t.revision]).toEqual([2 + 4 + 1 + 3 + 1 + 2, 3, 2]);
    expect([t.revisionOf("b"), t.revisionOf("a")]).toEqual([2, 0]);
  });

  test("apply() takes only later revisions", () => {
    const t = table();
    t.apply(5, [put("a")]);
    expect(() => t.apply(5, [put("b")])).toThrow(InvariantError);
  });

  test("keysOwned() follows the last write of a key", () => {
    const t = table();
    t.apply(1, [put("a", 1, "s"), put("b", 1, "s"), put("c", 1, "r"), put("d")]);
    t.apply(2, [put("b"), del("c")]);
    expect(t.keysOwned("s")).toEqual(["a"]);
    expect(t.keysOwned()).toEqual(["a"]);
  });

  test("watch() narrows steps, leaves out those of other prefixes and deletes of what was absent", async () => {
    const t = table();
    t.apply(1, [put("p/a"), put("q")]);
    t.apply(2, [put("q")]);
    t.apply(3, [del("p/a"), del("p/absent"), del("q")]);
    t.apply(4, [del("nothing")]);
    const steps = (await seen(t, "p/", 0)) as RevisionStep[];
    expect(
      steps.map(({ revision, puts, deletes }) => [revision, puts.map(({ key }) => key), deletes]),
    ).toEqual([
      [1, ["p/a"], []],
      [3, [], ["p/a"]],
    ]);
    expect(await seen(t, "p/", 3)).toEqual([]);
  });

  test("the history is bounded by revisions and by bytes, and older starts are reset", async () => {
    for (const t of [table(8, 1_000_000), table(1_000, 900)]) {
      for (let revision = 1; revision <= 50; revision++) t.apply(revision, [put("k", 99)]);
      expect(await seen(t, "", 1)).toEqual(["reset"]);
      const steps = (await seen(t, "", 46)) as RevisionStep[];
      expect(steps.map(({ revision }) => revision)).toEqual([47, 48, 49, 50]);
    }
  });

  test("a restored table has no past", async () => {
    const t = table();
    t.restore({ key: "a", value: value(1), revision: 3, owner: "s" });
    t.restore({ key: "b", value: value(1), revision: 2, owner: null });
    t.restoredAt(7);
    expect([...t.rows()].map(({ key, owner }) => [key, owner])).toEqual([
      ["a", "s"],
      ["b", null],
    ]);
    expect(await seen(t, "", 6)).toEqual(["reset"]);
    t.apply(8, [put("c")]);
    expect(((await seen(t, "", 7)) as RevisionStep[]).map(({ revision }) => revision)).toEqual([8]);
  });

  test("close() ends watches with its error", async () => {
    const t = table();
    const watch = t.watch("", 0, new AbortController().signal);
    const next = watch.next();
    t.close(new Error("over"));
    await expect(next).rejects.toThrow("over");
  });
});
