import { describe } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { storageFs } from "../../plugins/storage-fs/mod.ts";
import { segmentStoreConformance } from "../../src/testing/conformance/segments.ts";

describe("storage-fs on node:fs", () => {
  segmentStoreConformance({
    open() {
      const directory = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-fs-"));
      return {
        plugin: storageFs({ directory, fileHandlesMax: 32 }),
        dispose: () => fs.rmSync(directory, { recursive: true }),
      };
    },
  });
});
