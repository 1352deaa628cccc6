// metadata-etcd: the cluster's small memory in etcd, by the JSON gateway of its v3 API.
// Invariant: brokers that open it with the same endpoints and prefix share one store; what resolved is in etcd's
// majority. Revisions, conditions, leases and watches are etcd's own. Kafka: the quorum of controllers.

import type { MetadataStorePlugin } from "../../src/contracts/metadata_store.ts";
import { EtcdMetadata } from "./etcd_metadata.ts";
import { checkOptions, type MetadataEtcdOptions } from "./options.ts";

export type { EtcdTls, MetadataEtcdOptions } from "./options.ts";

/**
 * A metadata store in etcd 3.4 or newer, for clusters of brokers.
 *
 * @throws {TypeError} when the options do not hold, with a line for each problem
 * @errors unavailable (no endpoint answers), version (an etcd or a layout that we do not know), corrupt (etcd lost commits)
 */
export function metadataEtcd(options: MetadataEtcdOptions): MetadataStorePlugin {
  const checked = checkOptions(options);
  return {
    kind: "metadata_store",
    name: "etcd",
    contract: 1,
    isShared: true,
    open: ({ runtime }) => EtcdMetadata.open(checked, runtime),
  };
}
