// xxHash of keys. The only importer of xxhash-wasm, loaded when keys come: it costs 1.6 MB and 3 ms.
// Invariant: the default partition of a key is `XXH32(key bytes, seed 0)` read as an unsigned 32-bit
// number, modulo the partition count. Any xxHash library reproduces it.
// XXH32 and not XXH64, as 64 bits leave WebAssembly as a BigInt: four times slower for short keys.

import { xxh32 } from "./xxh32.ts";

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

/**
 * An xxHash that is there at once: the plain one, until the first key has brought WebAssembly in.
 * The two agree on every input, so the change shows in nothing but speed.
 */
export function xxhashOnDemand(): Xxhash {
  let hash32 = (bytes: Uint8Array): number => {
    hash32 = xxh32;
    // Where it does not load, the plain one goes on.
    loadXxhash().then(
      (loaded) => {
        hash32 = loaded.hash32;
      },
      () => {},
    );
    return xxh32(bytes);
  };
  return {
    hash32: (bytes) => hash32(bytes),
    partition: (key, partitionCount) => hash32(key) % partitionCount,
  };
}

async function create(): Promise<Xxhash> {
  const { default: xxhash } = await import("xxhash-wasm");
  const { h32Raw } = await xxhash();
  return {
    hash32: (bytes) => h32Raw(bytes),
    partition: (key, partitionCount) => h32Raw(key) % partitionCount,
  };
}
