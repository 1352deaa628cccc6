// How both plugins come by the key-value store they lie in.

import { StorageError } from "../../src/contracts/errors.ts";
import type { KeyValueStore } from "../../src/contracts/key_value.ts";
import type { PluginContext } from "../../src/contracts/plugin.ts";

/**
 * Opens the key-value store; called at each opening of the plugin, which closes what it got. The log and the
 * metadata may lie in the same one: they use keys of their own, "log/" and "meta/".
 */
export type OpenKeyValue = (context: PluginContext) => KeyValueStore | Promise<KeyValueStore>;

/** What opens, or a closed store and what went wrong. */
export async function orClose<T>(kv: KeyValueStore, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    try {
      await kv.close();
    } catch (closeError) {
      // The first failure tells more.
      if (!(closeError instanceof StorageError)) throw closeError;
    }
    throw error;
  }
}
