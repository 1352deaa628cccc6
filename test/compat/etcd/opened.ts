// Stores over a real etcd, as tests open them, with few words to read and write them by.

import { metadataEtcd } from "../../../plugins/metadata-etcd/mod.ts";
import type { MetadataEtcdOptions } from "../../../plugins/metadata-etcd/options.ts";
import type { MetadataStore, Session } from "../../../src/contracts/metadata_store.ts";
import { hostNetwork } from "../../../src/runtime/network.ts";
import { pluginContext } from "../../../src/testing/conformance/plugin_context.ts";

export async function opened(options: MetadataEtcdOptions): Promise<MetadataStore> {
  const { runtime, brokerId } = pluginContext();
  const context = { brokerId, runtime: { ...runtime, network: hostNetwork() } };
  return await metadataEtcd(options).open(context);
}

/** @returns The revision. */
export async function put(
  store: MetadataStore,
  key: string,
  value: string,
  session?: Session,
): Promise<number> {
  const write = { key, value: new TextEncoder().encode(value), ...(session && { session }) };
  const result = await store.commit({ conditions: [], writes: [write] });
  if (!result.ok) throw new Error("a commit without conditions had conflicts");
  return result.revision;
}

export async function valuesOf(store: MetadataStore, prefix = ""): Promise<Record<string, string>> {
  const { entries } = await store.read(prefix);
  return Object.fromEntries(
    entries.map(({ key, value }) => [key, new TextDecoder().decode(value)]),
  );
}

/** Follows a prefix into a list of "revision key=value", until its signal aborts. */
export async function follow(
  store: MetadataStore,
  revision: number,
  signal: AbortSignal,
  seen: string[],
): Promise<void> {
  for await (const step of store.watch("", revision, signal)) {
    if (step === "reset") throw new Error("the watch was reset");
    for (const { key, value } of step.puts) {
      seen.push(`${step.revision} ${key}=${new TextDecoder().decode(value)}`);
    }
    for (const key of step.deletes) seen.push(`${step.revision} ${key} deleted`);
  }
}
