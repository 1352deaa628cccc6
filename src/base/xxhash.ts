// xxHash of keys. The only importer of xxhash-wasm: created once, synchronous afterwards.
// Invariant: the default partition of a key is `XXH32(key bytes, seed 0)` read as an unsigned 32-bit
// number, modulo the partition count. Any xxHash library reproduces it.
// XXH32 and not XXH64, as 64 bits leave WebAssembly as a BigInt: four times slower for short keys.

import xxhash from "xxhash-wasm";

/** Hashes bytes; made by `loadXxhash`. */
export interface Xxhash {
  /** XXH32 with seed 0, unsigned. */
  hash32(bytes: Uint8Array): number;
  /** The partition of a key: `hash32(key) % partitionCount`. */
  partition(key: Uint8Array, partitionCount: number): number;
}

let loading: Promise<Xxhash> | null = null;

/** Compiles the WebAssembly module at the first call; later calls share it. */
export function loadXxhash(): Promise<Xxhash> {
  loading ??= create();
  return loading;
}

async function create(): Promise<Xxhash> {
  const { h32Raw } = await xxhash();
  return {
    hash32: (bytes) => h32Raw(bytes),
    partition: (key, partitionCount) => h32Raw(key) % partitionCount,
  };
}
