// storage-kv on SQLite, on a Durable Object's storage (a stand-in over node:sqlite), and in memory, where it
// can lose power; answering at once and later.

import { describe } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import {
  durableObjectKeyValue,
  metadataKv,
  type OpenKeyValue,
  storageKv,
} from "../../plugins/storage-kv/mod.ts";
import { SeededRandom } from "../../src/base/prng.ts";
import { metadataStoreConformance } from "../../src/testing/conformance/metadata_store.ts";
import { segmentStoreConformance } from "../../src/testing/conformance/segments.ts";
import { type MemoryKeyValueOptions, memoryKeyValue } from "../../src/testing/memory_key_value.ts";
import { durableObjectStorage } from "../support/durable_object_storage.ts";

const historyRevisionsMax = 100;
/** Where the key-value store takes less in one value than a metadata commit may have. */
const TOO_SMALL = [
  {
    reason: "its values are bounded below 512 KiB: larger ones are refused with too_large",
    cases: ["commit() takes what is within the bounds and refuses what is over"],
  },
];
const random = SeededRandom.of("storage-kv conformance");

function temporary(): { directory: string; dispose: () => void } {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-kv-"));
  return { directory, dispose: () => fs.rmSync(directory, { recursive: true }) };
}

describe("storage-kv on SQLite", () => {
  segmentStoreConformance({
    open() {
      const { directory, dispose } = temporary();
      return { plugin: storageKv({ directory }), dispose };
    },
  });
});

describe("metadata-kv on SQLite", () => {
  metadataStoreConformance({
    open() {
      const { directory, dispose } = temporary();
      return {
        plugin: metadataKv({ directory, historyRevisionsMax }),
        historyRevisionsMax,
        dispose,
      };
    },
  });
});

/** One object for a case; every opening is another instance of it. */
function onDurableObject(): { open: OpenKeyValue; dispose: () => void } {
  const storage = durableObjectStorage();
  return { open: () => durableObjectKeyValue(storage), dispose: () => storage.dispose() };
}

describe("storage-kv on a Durable Object", () => {
  segmentStoreConformance({
    open() {
      const { open, dispose } = onDurableObject();
      return { plugin: storageKv({ open }), dispose };
    },
  });
});

describe("metadata-kv on a Durable Object", () => {
  metadataStoreConformance({
    open() {
      const { open, dispose } = onDurableObject();
      return { plugin: metadataKv({ open, historyRevisionsMax }), historyRevisionsMax, dispose };
    },
  });
});

const MEMORY: readonly (readonly [string, MemoryKeyValueOptions])[] = [
  ["in memory", {}],
  ["in memory, answering later", { answersLater: true }],
  // As small as those of Deno KV.
  [
    "in memory, with small bounds",
    { bounds: { valueBytesMax: 60_000, operationsMax: 1_000, commitBytesMax: 800_000 } },
  ],
];

for (const [name, options] of MEMORY) {
  for (const survivors of ["nothing", random] as const) {
    const left = survivors === "nothing" ? "all unsynced lost" : "what survives drawn at random";
    describe(`storage-kv ${name}, ${left}`, () => {
      segmentStoreConformance({
        open() {
          const kv = memoryKeyValue(options);
          return { kv, plugin: storageKv({ open: kv.open }) };
        },
        crash(under) {
          under.kv = under.kv.rebuild(under.kv.points(), survivors);
          return storageKv({ open: under.kv.open });
        },
      });
    });

    describe(`metadata-kv ${name}, ${left}`, () => {
      metadataStoreConformance({
        ...(options.bounds === undefined ? {} : { skip: TOO_SMALL }),
        open() {
          const kv = memoryKeyValue(options);
          const plugin = metadataKv({ open: kv.open, historyRevisionsMax });
          return { kv, plugin, historyRevisionsMax };
        },
        crash(under) {
          under.kv = under.kv.rebuild(under.kv.points(), survivors);
          return metadataKv({ open: under.kv.open, historyRevisionsMax });
        },
      });
    });
  }
}
