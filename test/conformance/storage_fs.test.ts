// storage-fs on real files, and over recorded ones that can lose power.

import { describe } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { storageFs } from "../../plugins/storage-fs/mod.ts";
import { SeededRandom } from "../../src/base/prng.ts";
import { segmentStoreConformance } from "../../src/testing/conformance/segments.ts";
import { recordingFiles } from "../../src/testing/power_loss/recording_files.ts";

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

describe("storage-fs on recorded files, with one handle", () => {
  segmentStoreConformance({
    open() {
      const recording = recordingFiles();
      return { recording, plugin: onRecorded(recording, 1) };
    },
    crash(under) {
      const { recording } = under;
      under.recording = recording.rebuild(recording.points(), "nothing");
      return onRecorded(under.recording, 1);
    },
  });
});

describe("storage-fs on recorded files, what survives drawn at random", () => {
  const random = SeededRandom.of("storage-fs conformance");
  segmentStoreConformance({
    open() {
      const recording = recordingFiles();
      return { recording, plugin: onRecorded(recording, 8) };
    },
    crash(under) {
      const { recording } = under;
      under.recording = recording.rebuild(recording.points(), random);
      return onRecorded(under.recording, 8);
    },
  });
});

function onRecorded(recording: ReturnType<typeof recordingFiles>, fileHandlesMax: number) {
  return storageFs({ directory: "data", files: recording.layer, fileHandlesMax });
}
