// metadata-file: the cluster's small memory of a single node, in an append-only log with snapshots.
// Invariant: one live process a folder; a commit that resolved survives a power loss (proven over the
// recording layer of millrace/testing); entries of a session do not outlive the process that opened it.

import { InvariantError } from "../../src/base/assert.ts";
import { RevisionTable } from "../../src/base/revision_table.ts";
import { MetadataStoreError } from "../../src/contracts/errors.ts";
import type { MetadataStore, MetadataStorePlugin } from "../../src/contracts/metadata_store.ts";
import type { PluginContext } from "../../src/contracts/plugin.ts";
import { codeOf, parentOf } from "../../src/files/file_layer.ts";
import { lockFolder } from "../../src/files/folder_lock.ts";
import { nodeFiles } from "../../src/files/node_files.ts";
import { CommittedMetadata } from "../../src/metadata/committed_metadata.ts";
import type { FileLayer } from "./file_layer.ts";
import { FileCommits } from "./file_metadata.ts";
import { MetadataLog } from "./metadata_log.ts";

export type { FolderEntry } from "../../src/files/file_layer.ts";
export type { FileLayer } from "./file_layer.ts";

/** What metadataFile takes. */
export interface FileMetadataOptions {
  /** The data folder, made when missing. The log lies in `metadata` below it. */
  readonly directory: string;
  /** Revisions kept in memory for watches that lag; older ones answer "reset". Default 10,000. */
  readonly historyRevisionsMax?: number;
  /** The log is written anew when it is larger than this and four times what is alive. Default 1 MiB. */
  readonly compactBytesMin?: number;
  /** Replaces node:fs, for tests. */
  readonly files?: FileLayer;
}

const COMPACT_BYTES_MIN = 1024 * 1024;
const HISTORY_BYTES_MAX = 16 * 1024 * 1024;
/** Under the data folder. */
const FOLDER = "metadata";

/**
 * A metadata store under `DIRECTORY/metadata`, for clusters of one broker.
 *
 * @errors locked (another live process), version (a newer format), corrupt (damage that no crash leaves)
 */
export function metadataFile(options: FileMetadataOptions): MetadataStorePlugin {
  const files = options.files ?? nodeFiles();
  return {
    kind: "metadata_store",
    name: "file",
    contract: 1,
    open: (context) => openFolder(files, options, context),
  };
}

async function openFolder(
  files: FileLayer,
  options: FileMetadataOptions,
  context: PluginContext,
): Promise<MetadataStore> {
  const folder = `${options.directory.replace(/(?<=[^/])\/+$/, "")}/${FOLDER}`;
  try {
    const above = makeFolders(files, folder);
    const unlock = await lockFolder(files, folder, context.runtime.scheduler, locked);
    try {
      const table = new RevisionTable({
        revisionsMax: options.historyRevisionsMax ?? 10_000,
        bytesMax: HISTORY_BYTES_MAX,
      });
      const [log] = await Promise.all([
        MetadataLog.open(files, folder, table, options.compactBytesMin ?? COMPACT_BYTES_MIN),
        syncAll(files, above),
      ]);
      if (log.tornBytes > 0) {
        context.runtime.log.warn("metadata_tail_cut", { folder, sizeBytes: log.tornBytes });
      }
      const commits = new FileCommits(table, log, unlock);
      return await CommittedMetadata.open(table, commits, context.runtime.random);
    } catch (error) {
      await unlock();
      throw error;
    }
  } catch (error) {
    if (error instanceof MetadataStoreError || error instanceof InvariantError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new MetadataStoreError("unavailable", `Cannot open folder "${folder}": ${reason}`, {
      cause: error,
    });
  }
}

/**
 * Makes `path` and what is missing above it.
 * @returns The folders whose entries must be synced for `path` and its parent to be durable, made now or
 *   before: the process that made them may have died before its sync.
 */
function makeFolders(files: FileLayer, path: string): string[] {
  const parent = parentOf(path);
  if (parent === null) return [];
  const above = makeMissing(files, parent);
  files.makeDirectory(path);
  return [parent, ...above];
}

function makeMissing(files: FileLayer, path: string): string[] {
  const parent = parentOf(path);
  if (parent === null) return [];
  try {
    files.makeDirectory(path);
    return [parent];
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
    return makeFolders(files, path);
  }
}

async function syncAll(files: FileLayer, [data, ...above]: readonly string[]): Promise<void> {
  const syncs = above.map(async (folder) => {
    try {
      await files.syncDirectory(folder);
    } catch (error) {
      // Above the data folder lies what the operator made; we may lack the right to open it.
      if (codeOf(error) !== "EACCES" && codeOf(error) !== "EPERM") throw error;
    }
  });
  if (data !== undefined) syncs.push(files.syncDirectory(data));
  await Promise.all(syncs);
}

function locked(message: string): MetadataStoreError {
  return new MetadataStoreError(
    "locked",
    `${message}, or give this broker another folder for its metadata`,
  );
}
