// Opens storage-kv over a store and reads all that is there, for its tests.

import { expect } from "bun:test";
import { type OpenKeyValue, storageKv } from "../../../plugins/storage-kv/mod.ts";
import type { StorageError } from "../../../src/contracts/errors.ts";
import type { SegmentStore, Storage } from "../../../src/contracts/storage.ts";
import { pluginContext } from "../../../src/testing/conformance/plugin_context.ts";

export type Opened = Storage & { segments: SegmentStore };
export type Model = ReadonlyMap<string, Uint8Array>;

export const bytes = (sizeBytes: number, value: number) => new Uint8Array(sizeBytes).fill(value);

export async function opened(open: OpenKeyValue): Promise<Opened> {
  return (await storageKv({ open }).open(pluginContext())) as Opened;
}

/** Every file there is, through the store alone. */
export async function contents(store: SegmentStore): Promise<Model> {
  const found = new Map<string, Uint8Array>();
  for (const { name, sizeBytes } of await store.list("")) {
    const file = await store.open(name, { create: false });
    expect(file.sizeBytes).toBe(sizeBytes);
    const all = new Uint8Array(sizeBytes);
    expect(await file.readInto(all, 0)).toBe(sizeBytes);
    await file.close();
    found.set(name, all);
  }
  return found;
}

export function isSame(a: Model, b: Model): boolean {
  if (a.size !== b.size) return false;
  for (const [name, held] of a) {
    const other = b.get(name);
    if (other === undefined || Buffer.compare(held, other) !== 0) return false;
  }
  return true;
}

export async function codeOf(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
  } catch (error) {
    return (error as StorageError).code;
  }
  return "none";
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
