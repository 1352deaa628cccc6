import { describe } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { metadataFile } from "../../plugins/metadata-file/mod.ts";
import { metadataStoreConformance } from "../../src/testing/conformance/metadata_store.ts";

describe("metadata-file on node:fs", () => {
  metadataStoreConformance({
    open() {
      const directory = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-metadata-"));
      return {
        plugin: metadataFile({ directory, historyRevisionsMax: 100 }),
        historyRevisionsMax: 100,
        dispose: () => fs.rmSync(directory, { recursive: true }),
      };
    },
  });
});
