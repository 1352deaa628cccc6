// The suite of metadata stores against a real etcd: each case under a prefix of its own, in one etcd.
// Etcd forgets revisions only when told to: here as many are kept as the suite is told.

import { afterAll, beforeAll, describe } from "bun:test";
import { metadataEtcd } from "../../../plugins/metadata-etcd/mod.ts";
import type { MetadataStore, MetadataStorePlugin } from "../../../src/contracts/metadata_store.ts";
import { hostNetwork } from "../../../src/runtime/network.ts";
import { metadataStoreConformance } from "../../../src/testing/conformance/metadata_store.ts";
import { EtcdCluster } from "../../support/etcd.ts";

const HISTORY_REVISIONS_MAX = 100;
let etcd: EtcdCluster;
let made = 0;

describe("metadata-etcd on etcd", () => {
  beforeAll(async () => {
    etcd = await EtcdCluster.start();
  });
  afterAll(async () => {
    await etcd.stop();
  });
  metadataStoreConformance({
    open: () => ({
      plugin: compacted(metadataEtcd({ endpoints: etcd.urls, prefix: `case-${++made}/` })),
      historyRevisionsMax: HISTORY_REVISIONS_MAX,
    }),
  });
});

/** With the host's network, and compacted after each commit as a store with that bound would be. */
function compacted(plugin: MetadataStorePlugin): MetadataStorePlugin {
  return {
    ...plugin,
    async open(context) {
      const network = hostNetwork();
      const store = await plugin.open({ ...context, runtime: { ...context.runtime, network } });
      const commit: MetadataStore["commit"] = async (transaction) => {
        const result = await store.commit(transaction);
        if (result.ok && result.revision > HISTORY_REVISIONS_MAX) {
          const revision = String(result.revision - HISTORY_REVISIONS_MAX);
          // Two commits at once may ask for the same one.
          await etcd.call(0, "kv/compaction", { revision }).catch(() => {});
        }
        return result;
      };
      return {
        read: (prefix) => store.read(prefix),
        commit,
        watch: (...about) => store.watch(...about),
        session: (ttlMs) => store.session(ttlMs),
        close: () => store.close(),
      };
    },
  };
}
