// The suite of metadata stores over metadata-etcd and a scripted etcd; test/compat/etcd runs it over a real one.

import { describe } from "bun:test";
import { metadataEtcd } from "../../plugins/metadata-etcd/mod.ts";
import { metadataStoreConformance } from "../../src/testing/conformance/metadata_store.ts";
import { MemoryNetwork } from "../../src/testing/memory_network.ts";
import { ScriptedEtcd } from "../support/scripted_etcd.ts";

const HISTORY_REVISIONS_MAX = 100;

describe("metadata-etcd on a scripted etcd", () => {
  metadataStoreConformance({
    async open() {
      const network = new MemoryNetwork();
      const clock = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };
      const etcd = new ScriptedEtcd(clock);
      await etcd.listen(network, 2379);
      // Real etcd forgets when it is told to; this one at each request.
      etcd.fault = () => {
        if (etcd.revision > HISTORY_REVISIONS_MAX)
          etcd.compact(etcd.revision - HISTORY_REVISIONS_MAX);
        return null;
      };
      const plugin = metadataEtcd({ endpoints: ["http://127.0.0.1:2379"] });
      return {
        plugin: {
          ...plugin,
          open: (context) => plugin.open({ ...context, runtime: { ...context.runtime, network } }),
        },
        historyRevisionsMax: HISTORY_REVISIONS_MAX,
      };
    },
  });
});
