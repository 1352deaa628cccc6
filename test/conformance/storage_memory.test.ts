import { describe } from "bun:test";
import { storageMemory } from "../../plugins/storage-memory/mod.ts";
import { segmentStoreConformance } from "../../src/testing/conformance/segments.ts";

describe("storage-memory", () => {
  segmentStoreConformance({
    isVolatile: true,
    open: () => ({ plugin: storageMemory() }),
    crash({ plugin }) {
      plugin.loseUnsynced();
      return plugin;
    },
  });
});
