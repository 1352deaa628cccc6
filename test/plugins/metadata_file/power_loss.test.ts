// The proof of syncing for metadata-file: over every rebuilt power loss what was committed is there, and
// taking out any one of its syncs loses something.

import { describe, expect, test } from "bun:test";
import { metadataFile } from "../../../plugins/metadata-file/mod.ts";
import type { MetadataStore } from "../../../src/contracts/metadata_store.ts";
import { pluginContext } from "../../../src/testing/conformance/plugin_context.ts";
import type { RecordedFiles } from "../../../src/testing/power_loss/recording_files.ts";
import { brokenPromise, needlessSyncs, type Scenario } from "../../support/power_loss_proof.ts";

function openOn(files: RecordedFiles): Promise<MetadataStore> {
  return metadataFile({ directory: "/srv/data", files, compactBytesMin: 10_000 }).open(
    pluginContext(),
  );
}

async function put(store: MetadataStore, key: string, value: string): Promise<void> {
  const bytes = new TextEncoder().encode(value);
  await store.commit({ conditions: [], writes: [{ key, value: bytes }] });
}

async function valuesOn(files: RecordedFiles): Promise<Record<string, string>> {
  const { entries } = await (await openOn(files)).read("");
  return Object.fromEntries(
    entries.map(({ key, value }) => [key, new TextDecoder().decode(value.subarray(0, 10))]),
  );
}

/** Throws unless the disk holds all of this, and nothing under these keys that is not. */
function holds(expected: Record<string, string | null>): (files: RecordedFiles) => Promise<void> {
  return async (files) => {
    const found = await valuesOn(files);
    for (const [key, value] of Object.entries(expected)) {
      if ((found[key] ?? null) !== value) throw new Error(`${key} is ${found[key]}, not ${value}`);
    }
  };
}

const commits: Scenario = {
  async run(recording, promise) {
    recording.layer.makeDirectory("/srv");
    await recording.layer.syncDirectory("/");
    const store = await openOn(recording.layer);
    await put(store, "a", "1");
    promise("a commit", holds({ a: "1" }));
    const session = await store.session(1_000);
    await Promise.all([put(store, "b", "2"), put(store, "c", "3"), put(store, "a", "4")]);
    promise("a group of commits", holds({ a: "4", b: "2", c: "3" }));
    await store.commit({
      conditions: [],
      writes: [
        { key: "s", value: new Uint8Array(1), session },
        { key: "b", value: null },
      ],
    });
    promise("a deletion", holds({ b: null, s: null }));
    await session.end();
    await put(store, "d", "5");
    promise("the last commit", holds({ a: "4", b: null, c: "3", d: "5", s: null }));
  },
  opens: async (layer) => void (await openOn(layer)),
};

/** Commits over one key: past 10,000 bytes the log goes over to a new generation. */
const compaction: Scenario = {
  async run(recording, promise) {
    recording.layer.makeDirectory("/srv");
    await recording.layer.syncDirectory("/");
    const store = await openOn(recording.layer);
    await put(store, "a", "1");
    for (let i = 0; i < 5; i++) {
      await put(store, "large", `${i}.........${"x".repeat(2_500)}`);
      promise(`large commit ${i}`, holds({ a: "1", large: `${i}.........` }));
    }
    await put(store, "b", "2");
    const names = (recording.layer.list("/srv/data/metadata") ?? []).map(({ name }) => name);
    expect(names).toContain("metadata-00000002.log");
    promise("a commit after the compaction", holds({ a: "1", b: "2", large: "4........." }));
  },
  opens: async (layer) => void (await openOn(layer)),
};

/** A process that is killed between its write and its sync, and the next one, which believes what it reads. */
const killedBeforeSync: Scenario = {
  async run(recording, promise) {
    const files = recording.layer;
    const first = await openOn({
      ...files,
      sync: (fd, what) => (what === "data" ? new Promise(() => {}) : files.sync(fd, what)),
    });
    void put(first, "a", "1");
    recording.restartProcess();
    const { entries } = await (await openOn(files)).read("");
    expect(entries.length).toBe(1);
    promise("what the next process has read", holds({ a: "1" }));
  },
  opens: async (layer) => void (await openOn(layer)),
};

/** A process that is killed in its first open, before a sync of a folder is done, and the next one. */
const killedInOpen: Scenario = {
  async run(recording, promise) {
    recording.layer.makeDirectory("/srv");
    await recording.layer.syncDirectory("/");
    void openOn({ ...recording.layer, syncDirectory: () => new Promise(() => {}) });
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    recording.restartProcess();
    const store = await openOn(recording.layer);
    await put(store, "a", "1");
    promise("a commit", holds({ a: "1" }));
  },
  opens: async (layer) => void (await openOn(layer)),
};

describe("metadata-file after a power loss", () => {
  test("every promise holds on every disk tried", async () => {
    for (const scenario of [commits, compaction, killedBeforeSync, killedInOpen]) {
      expect((await brokenPromise(scenario, {})).broken).toBe(null);
    }
  }, 60_000);

  // The first sync of a scenario is the test's own, of the folder above.
  test("taking out any one sync of commits breaks a promise", async () => {
    expect(await needlessSyncs(commits, 1)).toEqual([]);
  }, 60_000);

  test("taking out any one sync of a compaction breaks a promise", async () => {
    expect(await needlessSyncs(compaction, 1)).toEqual([]);
  }, 60_000);

  test("taking out the sync of what a killed process left breaks a promise", async () => {
    // Left out: the syncs of the killed process. Those of folders it had done, but the next cannot know.
    const needless = await needlessSyncs(killedBeforeSync, 4);
    expect(needless.filter((sync) => !sync.includes("directory"))).toEqual([]);
  }, 60_000);

  test("taking out any one sync after a process was killed in open breaks a promise", async () => {
    // The killed process had synced the new log before naming it; the next one cannot know.
    expect(await needlessSyncs(killedInOpen, 1)).toEqual([
      "2: all /srv/data/metadata/metadata-00000001.log",
    ]);
  }, 60_000);
});
