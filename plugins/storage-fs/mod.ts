// storage-fs: segment files in a folder, over node:fs on Bun, Deno and Node.
// Invariant: one live process a folder; a format version in it; what a call's promise says is durable
// survives a power loss (proven over the recording layer of millrace/testing).

import { StorageError } from "../../src/contracts/errors.ts";
import type { PluginContext } from "../../src/contracts/plugin.ts";
import type { Storage, StoragePlugin } from "../../src/contracts/storage.ts";
import type { FileLayer } from "../../src/files/file_layer.ts";
import { lockFolder } from "../../src/files/folder_lock.ts";
import { nodeFiles } from "../../src/files/node_files.ts";
import { Directories } from "./directories.ts";
import { checkFormat } from "./folder_format.ts";
import { storageErrorOf } from "./fs_errors.ts";
import { FsSegments } from "./fs_segments.ts";
import { Shrinker } from "./shrinker.ts";

export type { FileLayer, FolderEntry } from "../../src/files/file_layer.ts";

const UNKNOWN_VOLUME = { totalBytes: -1, usableBytes: -1 };

/** What storageFs takes. */
export interface FsStorageOptions {
  /** The data folder, made when missing. A broker's files lie in `broker-N` below it. */
  readonly directory: string;
  /** Most file handles open at once, from 1; any number of segments can be open over them. Default 512. */
  readonly fileHandlesMax?: number;
  /**
   * Bytes at the end of a file that are read at once, on the event loop, if this process wrote them:
   * they are in the page cache. What lies before is read off the loop. Default 64 MiB.
   */
  readonly warmReadBytes?: number;
  /**
   * Most bytes of a file that are freed in one go, when it is removed or cut: others wait for the disk
   * meanwhile. A larger file's name goes at once, its space in steps of so many bytes. Default 8 MiB.
   */
  readonly freedAtOnceBytes?: number;
  /** Replaces node:fs, for tests. */
  readonly files?: FileLayer;
}

/**
 * Segment files under `DIRECTORY/broker-N`.
 *
 * @errors locked (another live process), version (a newer format), corrupt (format.json), io
 */
export function storageFs(options: FsStorageOptions): StoragePlugin {
  const files = options.files ?? nodeFiles();
  return {
    kind: "storage",
    name: "fs",
    contract: 1,
    open: (context) => openFolder(files, options, context),
  };
}

async function openFolder(
  files: FileLayer,
  options: FsStorageOptions,
  context: PluginContext,
): Promise<Storage> {
  const directory = options.directory.replace(/(?<=[^/])\/+$/, "");
  const path = `${directory}/broker-${context.brokerId}`;
  try {
    const directories = new Directories(files);
    const root = directories.make(directories.makeRoot(directory), `broker-${context.brokerId}`);
    const unlock = await lockFolder(files, path, context.runtime.scheduler, locked);
    try {
      await checkFormat(files, path);
      await directories.syncUp(root);
      const { scheduler, log } = context.runtime;
      const freedAtOnceBytes = Math.max(1, options.freedAtOnceBytes ?? 8 * 1024 * 1024);
      const shrinker = new Shrinker(files, scheduler, log, freedAtOnceBytes);
      const segments = new FsSegments(files, root, directories, shrinker, {
        handlesMax: Math.max(1, options.fileHandlesMax ?? 512),
        warmReadBytes: options.warmReadBytes ?? 64 * 1024 * 1024,
        freedAtOnceBytes,
      });
      const location = { path, volume: () => volumeOf(files, path, shrinker) };
      return { segments, location, close: () => closeFolder(segments, unlock) };
    } catch (error) {
      await unlock();
      throw error;
    }
  } catch (error) {
    if (error instanceof StorageError) throw error;
    throw storageErrorOf(error, `open folder "${path}"`);
  }
}

async function volumeOf(files: FileLayer, path: string, shrinker: Shrinker) {
  try {
    const found = await files.volume?.(path);
    if (found === undefined) return UNKNOWN_VOLUME;
    const { totalBytes, usableBytes } = found;
    // What is about to be freed can be used: an append that finds no room waits for it.
    return { totalBytes, usableBytes: Math.min(totalBytes, usableBytes + shrinker.heldBytes) };
  } catch {
    // A host that lacks the call, or a volume that does not say: nobody depends on it.
    return UNKNOWN_VOLUME;
  }
}

async function closeFolder(segments: FsSegments, unlock: () => Promise<void>): Promise<void> {
  try {
    await segments.close();
  } catch (error) {
    throw storageErrorOf(error, "close storage-fs");
  } finally {
    await unlock();
  }
}

function locked(message: string): StorageError {
  return new StorageError("locked", `${message}, or give this broker another data folder`);
}
