// Where storage-kv lies when nobody hands it a key-value store: SQLite files in the data folder.
// Invariant: SQLite and node: are loaded when a store is opened, never before.

import { StorageError } from "../../src/contracts/errors.ts";
import type { OpenKeyValue } from "./open_key_value.ts";

/** Where a store lies: exactly one of the three. */
export interface KeyValuePlace {
  /** The data folder: the store is an SQLite file below it. */
  readonly directory?: string;
  /** The SQLite file itself. */
  readonly path?: string;
  /** Any other key-value store. */
  readonly open?: OpenKeyValue;
  /** Most bytes of the SQLite file, from 4 MiB on, beyond which writes fail with "full". Default: what the disk has. */
  readonly sizeBytesMax?: number;
}

/** The config's schema has it, too. A record of 1 MB lies in the journal and in its segment: with 2 MiB the third failed. */
const SIZE_BYTES_MIN = 4 * 1024 * 1024;

/** Where in the data folder a store lies. */
export interface KeyValueFile {
  /** What it holds, for messages. */
  readonly what: string;
  /** Its path below the data folder. */
  pathOf(brokerId: number): string;
  /** Found below the data folder, it says that another plugin keeps there what would be kept here. */
  takenBy?(brokerId: number): string;
}

export function openerOf(place: KeyValuePlace, file: KeyValueFile): OpenKeyValue {
  const { directory, path, open, sizeBytesMax } = place;
  const given = [directory, path, open].filter((each) => each !== undefined);
  if (given.length !== 1) {
    throw new StorageError(
      "io",
      `Cannot place a key-value store: give exactly one of directory, path and open, found ${given.length}`,
    );
  }
  if (sizeBytesMax !== undefined) {
    if (!Number.isSafeInteger(sizeBytesMax) || sizeBytesMax < SIZE_BYTES_MIN) {
      throw new StorageError(
        "io",
        `Cannot keep ${file.what} in so small a file: sizeBytesMax must be a whole number of at least ${SIZE_BYTES_MIN} (4 MiB), found ${sizeBytesMax}`,
      );
    }
  }
  if (open !== undefined) return open;
  return async ({ brokerId }) => {
    const { sqliteKeyValue } = await import("./sqlite_key_value.ts");
    const folder = directory?.replace(/(?<=[^/])\/+$/, "");
    if (folder !== undefined && file.takenBy !== undefined) {
      await refuseTaken(`${folder}/${file.takenBy(brokerId)}`);
    }
    return await sqliteKeyValue({
      path: folder === undefined ? path! : `${folder}/${file.pathOf(brokerId)}`,
      what: file.what,
      ...(sizeBytesMax === undefined ? {} : { sizeBytesMax }),
    });
  };
}

/** An empty log beside a full one looks like a loss of everything. */
async function refuseTaken(mark: string): Promise<void> {
  const { existsSync } = await import("node:fs");
  if (!existsSync(mark)) return;
  throw new StorageError(
    "exists",
    `Cannot keep a log in SQLite there as "${mark}" says that one is kept in files (storage-fs): choose another directory, or go on with storage-fs`,
  );
}
