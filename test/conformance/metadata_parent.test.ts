import { describe } from "bun:test";
import { metadataMemory } from "../../plugins/metadata-memory/mod.ts";
import { metadataParent, serveStore } from "../../plugins/metadata-parent/mod.ts";
import { hostCryptography } from "../../src/runtime/cryptography.ts";
import { hostNetwork } from "../../src/runtime/network.ts";
import { metadataStoreConformance } from "../../src/testing/conformance/metadata_store.ts";
import { pluginContext } from "../../src/testing/conformance/plugin_context.ts";

/** The suite's host with the network and the cryptography of this one. */
function context(brokerId: number) {
  const given = pluginContext(brokerId);
  const runtime = { ...given.runtime, network: hostNetwork(), crypto: hostCryptography };
  return { ...given, runtime };
}

describe("metadata-parent over metadata-memory", () => {
  metadataStoreConformance({
    async open() {
      const store = await metadataMemory({ historyRevisionsMax: 100 }).open(context(0));
      const served = await serveStore(store, context(0).runtime, "a token");
      const plugin = metadataParent({ port: served.port, token: "a token" });
      return {
        plugin: { ...plugin, open: ({ brokerId }) => plugin.open(context(brokerId)) },
        historyRevisionsMax: 100,
        async dispose() {
          await served.close();
          await store.close();
        },
      };
    },
  });
});
