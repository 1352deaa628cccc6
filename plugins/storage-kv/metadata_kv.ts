// The metadata store plugin over a key-value store that is handed in.
// Invariant: nothing that is reached from here imports node:, so that a bundler for the edge takes it.

import { RevisionTable } from "../../src/base/revision_table.ts";
import type { KeyValueStore } from "../../src/contracts/key_value.ts";
import type { MetadataStore, MetadataStorePlugin } from "../../src/contracts/metadata_store.ts";
import type { PluginContext } from "../../src/contracts/plugin.ts";
import { CommittedMetadata } from "../../src/metadata/committed_metadata.ts";
import { FencedStore, LAST } from "./fenced_store.ts";
import { KvCommits } from "./kv_metadata.ts";
import { metadataErrorOf } from "./metadata_errors.ts";
import { decodeRevision, decodeRow, ENTRIES, PREFIX, REVISION_KEY } from "./metadata_rows.ts";
import { type OpenKeyValue, orClose } from "./open_key_value.ts";

/** What metadataKv takes on the edge. */
export interface OpenedMetadataKvOptions {
  readonly open: OpenKeyValue;
  /** Revisions kept in memory for watches that lag; older ones answer "reset". Default 10,000. */
  readonly historyRevisionsMax?: number;
}

const HISTORY_BYTES_MAX = 16 * 1024 * 1024;
const PAGE_ENTRIES = 100;

/**
 * A metadata store over a key-value store, for clusters of one broker. Whoever opens it later takes it over:
 * this one's next commit fails with "locked", and its sessions are lost.
 *
 * @errors locked (another opener), version (a newer format), corrupt, unavailable
 */
export function metadataKv(options: OpenedMetadataKvOptions): MetadataStorePlugin {
  return {
    kind: "metadata_store",
    name: "kv",
    contract: 1,
    async open(context): Promise<MetadataStore> {
      try {
        const kv = await options.open(context);
        return await orClose(kv, () => openMetadata(kv, options, context));
      } catch (error) {
        throw metadataErrorOf(error, "open the metadata store");
      }
    },
  };
}

async function openMetadata(
  kv: KeyValueStore,
  options: OpenedMetadataKvOptions,
  context: PluginContext,
): Promise<MetadataStore> {
  const what = "the metadata in the key-value store";
  const store = await FencedStore.open(kv, { prefix: PREFIX, what }, context);
  const table = new RevisionTable({
    revisionsMax: options.historyRevisionsMax ?? 10_000,
    bytesMax: HISTORY_BYTES_MAX,
  });
  for (let from = ENTRIES; ; ) {
    const page = await kv.list({ from, to: ENTRIES + LAST, limit: PAGE_ENTRIES });
    for (const { key, value } of page) {
      table.restore(decodeRow(key, value));
      // No key has a space, which sorts before all that keys hold.
      from = `${key} `;
    }
    if (page.length < PAGE_ENTRIES) break;
  }
  table.restoredAt(decodeRevision(await kv.get(REVISION_KEY)));
  return await CommittedMetadata.open(table, new KvCommits(store), context.runtime.random);
}
