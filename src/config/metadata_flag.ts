// Where the metadata lies, as one word of a flag or a variable: "file", "kv", "memory", or etcd and its endpoints.
// Invariant: what the config file says of the same store stays, but for the endpoints: secrets have no place in a flag.

import { ConfigError } from "./config_error.ts";
import type { PluginUse } from "./define_config.ts";
import { hint } from "./nearest_key.ts";
import type { PlannedSlot } from "./planned_slot.ts";

const WORDS = ["file", "memory", "kv"];
/** Where a parent gives those that it starts what opens its store; no other process sees it. */
export const PARENT_TOKEN_VARIABLE = "MILLRACE_PARENT_TOKEN";

/** @param how What gave it, for messages. @throws {ConfigError} */
export function metadataOfText(text: string, how: string, inFile: PlannedSlot): PlannedSlot {
  const { use, options } = inFile as Partial<PluginUse>;
  if (WORDS.includes(text)) return use === text ? inFile : { use: text };
  const parentPort = Number(/^parent=(\d{1,5})$/.exec(text)?.[1] ?? 0);
  if (parentPort > 0) {
    return { use: "parent", options: { port: parentPort, token: { env: PARENT_TOKEN_VARIABLE } } };
  }
  const endpoints = /^etcd=(.+)$/.exec(text)?.[1]?.split(",");
  if (endpoints === undefined) {
    throw new ConfigError(
      `${how} takes file, memory, kv or etcd=http://HOST:PORT[,…]: found "${text}"${hint(text, [...WORDS, "etcd"])}`,
    );
  }
  const wrong = endpoints.find((each) => !/^https?:\/\/[^\s/@]+$/.test(each));
  if (wrong !== undefined) {
    // Not shown where it may hold a password.
    const shown = wrong.includes("@") ? "" : `: found "${wrong}"`;
    throw new ConfigError(`${how} takes endpoints of etcd like http://127.0.0.1:2379${shown}`);
  }
  return { use: "etcd", options: { ...(use === "etcd" ? options : {}), endpoints } };
}
