import { describe } from "bun:test";
import { metadataMemory } from "../../plugins/metadata-memory/mod.ts";
import { metadataStoreConformance } from "../../src/testing/conformance/metadata_store.ts";
import { sharedMetadataStoreConformance } from "../../src/testing/conformance/shared_metadata_store.ts";

describe("metadata-memory", () => {
  metadataStoreConformance({
    open: () => ({
      plugin: metadataMemory({ historyRevisionsMax: 100 }),
      historyRevisionsMax: 100,
    }),
  });
});

describe("metadata-memory, shared", () => {
  metadataStoreConformance({
    open: () => ({
      plugin: metadataMemory({ historyRevisionsMax: 100, shared: true }),
      historyRevisionsMax: 100,
    }),
  });
  sharedMetadataStoreConformance(() => ({ plugin: metadataMemory({ shared: true }) }));
});
