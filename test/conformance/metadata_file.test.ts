// metadata-file on real files, and over recorded ones that can lose power.

import { describe } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { metadataFile } from "../../plugins/metadata-file/mod.ts";
import { metadataStoreConformance } from "../../src/testing/conformance/metadata_store.ts";
import { recordingFiles } from "../../src/testing/power_loss/recording_files.ts";

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

describe("metadata-file on recorded files", () => {
  metadataStoreConformance({
    open() {
      const recording = recordingFiles();
      return { recording, plugin: onRecorded(recording), historyRevisionsMax: 100 };
    },
    crash(under) {
      const { recording } = under;
      under.recording = recording.rebuild(recording.points(), "nothing");
      return onRecorded(under.recording);
    },
  });
});

function onRecorded(recording: ReturnType<typeof recordingFiles>) {
  return metadataFile({ directory: "data", files: recording.layer, historyRevisionsMax: 100 });
}
