// Where storage-kv lies when nobody hands it a key-value store: SQLite files in the data folder.
// Invariant: SQLite and node: are loaded when a store is opened, never before.

import { StorageError } from "../../src/contracts/errors.ts";
import type { PluginContext } from "../../src/contracts/plugin.ts";
import type { OpenKeyValue } from "./open_key_value.ts";

/** Where a store lies: exactly one of the three. */
export interface KeyValuePlace {
  /** The data folder: the store is an SQLite file in DIRECTORY/broker-N. */
  readonly directory?: string;
  /** The SQLite file itself. */
  readonly path?: string;
  /** Any other key-value store. */
  readonly open?: OpenKeyValue;
  /** Most bytes of the SQLite file, beyond which writes fail with "full". Default: what the disk has. */
  readonly sizeBytesMax?: number;
}

/** @param file Its name in the data folder, e.g. "log.sqlite". */
export function openerOf(place: KeyValuePlace, file: string): OpenKeyValue {
  const given = [place.directory, place.path, place.open].filter((each) => each !== undefined);
  if (given.length !== 1) {
    throw new StorageError(
      "io",
      `Cannot place a key-value store: give exactly one of directory, path and open, found ${given.length}`,
    );
  }
  return (
    place.open ??
    (async (context) => {
      const { sqliteKeyValue } = await import("./sqlite_key_value.ts");
      const { sizeBytesMax } = place;
      return await sqliteKeyValue({
        path: pathIn(place, file, context),
        ...(sizeBytesMax === undefined ? {} : { sizeBytesMax }),
      });
    })
  );
}

/** The SQLite file of a broker. */
function pathIn({ directory, path }: KeyValuePlace, file: string, context: PluginContext): string {
  if (path !== undefined) return path;
  return `${directory!.replace(/(?<=[^/])\/+$/, "")}/broker-${context.brokerId}/${file}`;
}
