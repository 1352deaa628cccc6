// The files of a storage-memory, taken out and put in: for tests that damage them between two starts.

import { type MemoryStoragePlugin, storageMemory } from "../../plugins/storage-memory/mod.ts";
import { TestRuntime } from "./test_runtime.ts";

export type Files = ReadonlyMap<string, Uint8Array>;

const context = () => ({ runtime: new TestRuntime().runtime, brokerId: 1 });

/** Every file of a closed store. */
export async function filesOf(plugin: MemoryStoragePlugin): Promise<Map<string, Uint8Array>> {
  const storage = await plugin.open(context());
  const files = new Map<string, Uint8Array>();
  for (const { name, sizeBytes } of await storage.segments!.list("")) {
    const bytes = new Uint8Array(sizeBytes);
    const file = await storage.segments!.open(name, { create: false });
    await file.readInto(bytes, 0);
    await file.close();
    files.set(name, bytes);
  }
  await storage.close();
  return files;
}

/** A store that holds these files, synced. */
export async function storeWith(files: Files): Promise<MemoryStoragePlugin> {
  const plugin = storageMemory();
  const storage = await plugin.open(context());
  for (const [name, bytes] of files) {
    const file = await storage.segments!.open(name, { create: true });
    await file.append([bytes]);
    await file.sync();
    await file.close();
  }
  await storage.close();
  return plugin;
}

export function without(files: Files, name: string): Map<string, Uint8Array> {
  const rest = new Map(files);
  rest.delete(name);
  return rest;
}

/** The files with one of them replaced. */
export function replaced(files: Files, name: string, bytes: Uint8Array): Map<string, Uint8Array> {
  return new Map(files).set(name, bytes);
}

export function flipped(bytes: Uint8Array, at: number, bit: number): Uint8Array {
  const damaged = bytes.slice();
  damaged[at]! ^= 1 << bit;
  return damaged;
}
