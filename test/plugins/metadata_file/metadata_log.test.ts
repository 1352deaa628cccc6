import { describe, expect, test } from "bun:test";
import { type FileMetadataOptions, metadataFile } from "../../../plugins/metadata-file/mod.ts";
import { MetadataStoreError } from "../../../src/contracts/errors.ts";
import type { MetadataStore } from "../../../src/contracts/metadata_store.ts";
import { pluginContext } from "../../../src/testing/conformance/plugin_context.ts";
import {
  type RecordedFiles,
  recordingFiles,
} from "../../../src/testing/power_loss/recording_files.ts";

const LOG = "data/metadata/metadata-00000001.log";

describe("recovery of a metadata log", () => {
  test("cut at any byte of its tail, it holds the commits that are whole, and goes on", async () => {
    const { bytes, ends } = await logOf(["a", "b", "c"]);
    for (let sizeBytes = ends[0]!; sizeBytes <= bytes.length; sizeBytes++) {
      const layer = await diskWith(bytes.subarray(0, sizeBytes));
      const store = await open(layer);
      const wholeCount = ends.filter((end) => end <= sizeBytes).length - 1;
      expect(await keysOf(store)).toEqual(["a", "b", "c"].slice(0, wholeCount));
      expect(layer.sizeOf(LOG)).toBe(ends[wholeCount]!);
      await put(store, "d");
      await store.close();
      const again = await open(layer);
      expect(await keysOf(again)).toEqual([...["a", "b", "c"].slice(0, wholeCount), "d"]);
    }
  });

  test("with a tail of zeros or of noise, it is cut there", async () => {
    const { bytes } = await logOf(["a"]);
    for (const fill of [0, 0x4d, 0xff]) {
      const tail = new Uint8Array(5_000).fill(fill);
      const layer = await diskWith(Uint8Array.of(...bytes, ...tail));
      expect(await keysOf(await open(layer))).toEqual(["a"]);
      expect(layer.sizeOf(LOG)).toBe(bytes.length);
    }
  });

  test("says how much was cut, and nothing where nothing was", async () => {
    const { bytes } = await logOf(["a"]);
    const warnings: unknown[] = [];
    const { runtime, brokerId } = pluginContext();
    const log = {
      ...runtime.log,
      warn: (event: string, fields = {}) => warnings.push([event, fields]),
    };
    for (const tail of [[], [1, 2, 3]]) {
      const files = await diskWith(Uint8Array.of(...bytes, ...tail));
      await metadataFile({ directory: "data", files }).open({
        brokerId,
        runtime: { ...runtime, log },
      });
    }
    expect(warnings).toEqual([["metadata_tail_cut", { folder: "data/metadata", sizeBytes: 3 }]]);
  });

  test("damaged at any byte before its last commit, it is refused with corrupt", async () => {
    const { bytes, ends } = await logOf(["a", "b"]);
    for (let at = 0; at < ends[1]!; at++) {
      const damaged = bytes.slice();
      damaged[at]! ^= 0x10;
      const error = await refusal(await diskWith(damaged));
      // The version's own bytes may say that the format is newer.
      expect(at === 6 || at === 7 ? ["version", "corrupt"] : ["corrupt"]).toContain(error.code);
      if (error.code === "corrupt") expect(error.message).toContain("from a backup");
    }
  });

  test("cut within its snapshot, it is refused with corrupt", async () => {
    const { bytes, ends } = await logOf(["a"]);
    for (let sizeBytes = 0; sizeBytes < ends[0]!; sizeBytes++) {
      expect((await refusal(await diskWith(bytes.subarray(0, sizeBytes)))).code).toBe("corrupt");
    }
  });

  test("of a newer format it is refused with version", async () => {
    const { bytes } = await logOf(["a"]);
    const newer = bytes.slice();
    newer[7] = 2;
    const error = await refusal(await diskWith(newer));
    expect(error.code).toBe("version");
    expect(error.message).toContain("its format is 2 and this Millrace reads up to 1");
  });

  test("a value that looks like a frame is no frame", async () => {
    const { bytes, ends } = await logOf(["a", "b"]);
    const layer = recordingFiles().layer;
    const store = await open(layer);
    await store.commit({ conditions: [], writes: [{ key: "k", value: bytes.slice(ends[0]!) }] });
    await store.close();
    const whole = contentOf(layer, LOG);
    // The one commit, torn: its value's frames must not pass for later commits.
    const torn = whole.slice();
    torn[ends[0]! + 20]! ^= 0xff;
    expect(await keysOf(await open(await diskWith(torn)))).toEqual([]);
  });

  test("what a compaction that was cut short left is cleared away", async () => {
    const { bytes } = await logOf(["a"]);
    const layer = await diskWith(bytes);
    layer.close(layer.open("data/metadata/metadata-00000002.log~", "create"));
    layer.close(layer.open("data/metadata/metadata-00000000.log", "create"));
    const store = await open(layer);
    expect(await keysOf(store)).toEqual(["a"]);
    await store.close();
    expect((layer.list("data/metadata") ?? []).map(({ name }) => name)).toEqual([
      "metadata-00000001.log",
    ]);
  });
});

describe("group commit", () => {
  test("commits that arrive while a sync runs share the next one", async () => {
    const recording = recordingFiles({ pause: () => new Promise((done) => setTimeout(done, 1)) });
    const store = await open(recording.layer);
    const before = recording.syncs().length;
    await Promise.all(Array.from({ length: 200 }, (_, i) => put(store, `k${i}`)));
    expect(recording.syncs().length - before).toBe(2);
    expect((await keysOf(store)).length).toBe(200);
  });

  test("conditions see the commits before them in the same group", async () => {
    const store = await open(recordingFiles().layer);
    const first = put(store, "warm");
    const value = new Uint8Array(1);
    const [made, again, gone, remade] = await Promise.all([
      store.commit({ conditions: [{ key: "a", revision: 0 }], writes: [{ key: "a", value }] }),
      store.commit({ conditions: [{ key: "a", revision: 0 }], writes: [{ key: "a", value }] }),
      store.commit({
        conditions: [{ key: "a", revision: 2 }],
        writes: [{ key: "a", value: null }],
      }),
      store.commit({ conditions: [{ key: "a", revision: 0 }], writes: [{ key: "a", value }] }),
      first,
    ]);
    expect(made).toEqual({ ok: true, revision: 2 });
    expect(again).toEqual({ ok: false, conflicts: [{ key: "a", revision: 2 }] });
    expect(gone).toEqual({ ok: true, revision: 3 });
    expect(remade).toEqual({ ok: true, revision: 4 });
  });

  test("nobody reads a commit before its sync is over", async () => {
    let release: () => void = () => {};
    const { layer } = recordingFiles();
    const files: RecordedFiles = { ...layer };
    const store = await open(files);
    files.sync = async (fd, what) => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      await layer.sync(fd, what);
    };
    const watch = store.watch("", 0, new AbortController().signal)[Symbol.asyncIterator]();
    let seen = false;
    const next = watch.next().then(() => {
      seen = true;
    });
    const commit = put(store, "a");
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    expect([await keysOf(store), seen]).toEqual([[], false]);
    release();
    await Promise.all([commit, next]);
    expect(await keysOf(store)).toEqual(["a"]);
  });

  test("more commits than may wait are refused with unavailable", async () => {
    const { layer } = recordingFiles();
    const files: RecordedFiles = { ...layer };
    const store = await open(files);
    files.sync = () => new Promise(() => {});
    const waiting = Array.from({ length: 10_001 }, (_, i) => put(store, `k${i}`));
    for (const commit of waiting) commit.catch(() => {});
    const error = await codeOf(put(store, "one-more"));
    expect(error).toBe("unavailable");
  });
});

describe("a failing disk", () => {
  for (const call of ["write", "sync"] as const) {
    test(`a failed ${call} fails its group and every later commit, and reads go on`, async () => {
      const { layer } = recordingFiles();
      const files: RecordedFiles = { ...layer };
      const store = await open(files);
      await put(store, "a");
      const error = Object.assign(new Error("EIO"), { code: "EIO" });
      if (call === "sync") files.sync = () => Promise.reject(error);
      else {
        files.write = () => {
          throw error;
        };
      }
      const codes = await Promise.all(["b", "c", "d"].map((key) => codeOf(put(store, key))));
      expect(codes).toEqual(["unavailable", "unavailable", "unavailable"]);
      Object.assign(files, layer);
      expect(await codeOf(put(store, "e"))).toBe("unavailable");
      expect(await keysOf(store)).toEqual(["a"]);
      await store.close();
      expect(await keysOf(await open(layer))).toContain("a");
    });
  }

  test("without room for a compaction, the old log goes on", async () => {
    const { layer } = recordingFiles();
    const files: RecordedFiles = { ...layer };
    const store = await open(files, { compactBytesMin: 2_000 });
    files.open = (path, mode) => {
      if (path.endsWith("~")) throw Object.assign(new Error("full"), { code: "ENOSPC" });
      return layer.open(path, mode);
    };
    for (let i = 0; i < 60; i++) await put(store, "a", 100);
    expect(layer.sizeOf(LOG)).toBeGreaterThan(6_000);
    Object.assign(files, layer);
    for (let i = 0; i < 200; i++) await put(store, "a", 100);
    await store.close();
    expect(layer.sizeOf(LOG)).toBe(null);
    expect(await keysOf(await open(layer))).toEqual(["a"]);
  });
});

describe("compaction", () => {
  test("keeps the log within a few times what is alive, and every entry and revision", async () => {
    const { layer } = recordingFiles();
    let store = await open(layer, { compactBytesMin: 4_000 });
    for (let i = 0; i < 2_000; i++) await put(store, `k${i % 20}`, 50);
    const before = await store.read("");
    await store.close();
    const logs = (layer.list("data/metadata") ?? []).map(({ name }) => name);
    expect(logs.length).toBe(1);
    expect(layer.sizeOf(`data/metadata/${logs[0]}`)).toBeLessThan(4_000 + 4 * 20 * 100);
    store = await open(layer);
    const after = await store.read("");
    expect(after).toEqual(before);
  });
});

describe("the folder of a metadata log", () => {
  test("has one process at a time", async () => {
    const { layer } = recordingFiles();
    const store = await open(layer);
    const error = await refusal(layer);
    expect(error.code).toBe("locked");
    expect(error.message).toContain("data/metadata");
    await store.close();
    await (await open(layer)).close();
  });
});

function open(
  files: RecordedFiles,
  options: Partial<FileMetadataOptions> = {},
): Promise<MetadataStore> {
  return metadataFile({ directory: "data", files, ...options }).open(pluginContext());
}

async function put(store: MetadataStore, key: string, sizeBytes = 1): Promise<void> {
  await store.commit({ conditions: [], writes: [{ key, value: new Uint8Array(sizeBytes) }] });
}

async function keysOf(store: MetadataStore): Promise<string[]> {
  return (await store.read("")).entries.map(({ key }) => key);
}

/** The bytes of a log with one commit a key, and where its snapshot and each commit end. */
async function logOf(keys: readonly string[]): Promise<{ bytes: Uint8Array; ends: number[] }> {
  const { layer } = recordingFiles();
  const store = await open(layer);
  const ends = [layer.sizeOf(LOG)!];
  for (const key of keys) {
    await put(store, key);
    ends.push(layer.sizeOf(LOG)!);
  }
  await store.close();
  return { bytes: contentOf(layer, LOG), ends };
}

function contentOf(layer: RecordedFiles, path: string): Uint8Array {
  const fd = layer.open(path, "read");
  const bytes = new Uint8Array(layer.sizeOf(path)!);
  layer.read(fd, bytes, 0);
  layer.close(fd);
  return bytes;
}

async function diskWith(log: Uint8Array): Promise<RecordedFiles> {
  const { layer } = recordingFiles();
  layer.makeDirectory("data");
  layer.makeDirectory("data/metadata");
  const fd = layer.open(LOG, "create");
  layer.write(fd, [log], 0);
  layer.close(fd);
  return layer;
}

async function refusal(layer: RecordedFiles): Promise<MetadataStoreError> {
  try {
    await open(layer);
  } catch (error) {
    if (error instanceof MetadataStoreError) return error;
    throw error;
  }
  throw new Error("the log opened");
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "none";
  } catch (error) {
    return (error as MetadataStoreError).code;
  }
}
