// Brokers of a cluster that are wrong on purpose, by what is wrapped around their transport, their store and their settings:
// the proof that the checkers can fail. Invariant: without a mutation nothing is wrapped.

import type { SeededRandom } from "../../../base/prng.ts";
import type { MetadataStorePlugin } from "../../../contracts/metadata_store.ts";
import type { TransportPlugin } from "../../../contracts/transport.ts";

export const CLUSTER_MUTATIONS = ["min_isr_ignored", "sync_lies"] as const;
export type ClusterMutation = (typeof CLUSTER_MUTATIONS)[number];

/** What a run wraps. */
export interface Wrong {
  readonly wrapTransport: (plugin: TransportPlugin, brokerId: number) => TransportPlugin;
  readonly wrapMetadata: (plugin: MetadataStorePlugin, brokerId: number) => MetadataStorePlugin;
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  readonly topicConfigs: (configs: Record<string, string>) => Record<string, string>;
  readonly lyingSyncPercent: number;
}

export function mutationOf(mutation: ClusterMutation | null, _random: SeededRandom): Wrong {
  return {
    wrapTransport: (plugin) => plugin,
    wrapMetadata: (plugin) => plugin,
    settings: {},
    topicConfigs: (configs) =>
      mutation === "min_isr_ignored" ? { ...configs, "min.insync.replicas": "1" } : configs,
    lyingSyncPercent: mutation === "sync_lies" ? 100 : 0,
  };
}
