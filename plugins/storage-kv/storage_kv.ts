// The storage plugin over a key-value store that is handed in.
// Invariant: nothing that is reached from here imports node:, so that a bundler for the edge takes it.

import type { PluginContext } from "../../src/contracts/plugin.ts";
import type { Storage, StoragePlugin } from "../../src/contracts/storage.ts";
import { FencedStore } from "./fenced_store.ts";
import { KvSegments } from "./kv_segments.ts";
import { type OpenKeyValue, orClose } from "./open_key_value.ts";
import { PREFIX } from "./segment_keys.ts";

/** What storageKv takes on the edge. */
export interface OpenedStorageKvOptions {
  readonly open: OpenKeyValue;
}

/**
 * Segment files over a key-value store. Whoever opens it later takes it over: this one's next write fails.
 *
 * @errors locked (another opener; also later, when one comes), version (a newer format), corrupt, full, io
 */
export function storageKv({ open }: OpenedStorageKvOptions): StoragePlugin {
  return {
    kind: "storage",
    name: "kv",
    contract: 1,
    async open(context: PluginContext): Promise<Storage> {
      const kv = await open(context);
      return await orClose(kv, async () => {
        const store = await FencedStore.open(
          kv,
          { prefix: PREFIX, what: "the log in the key-value store" },
          context,
        );
        const segments = await KvSegments.open(store, context.runtime.scheduler);
        return { segments, close: () => segments.close() };
      });
    },
  };
}
