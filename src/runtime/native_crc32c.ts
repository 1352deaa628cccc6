// A faster CRC-32C where the optional package @node-rs/crc32 loads: about five times the plain one.
// Invariant: never fails, never prompts for a permission; what it returns agreed with the plain one on
// samples before anybody relied on it. Short inputs go to the plain one, which is faster for them.

import { type Crc32c, crc32c } from "../base/crc32c.ts";

/** Below this, a call out of JavaScript costs more than it saves. */
const NATIVE_BYTES_MIN = 512;

interface PermissionHost {
  readonly Deno?: {
    readonly permissions: {
      querySync(descriptor: { readonly name: string }): { readonly state: string };
    };
  };
}

/**
 * The capability `Runtime.crc32c` of this host: plain at first, native once it has proved useful.
 *
 * Loading takes 15 to 40 ms and some memory, so it waits until `afterBytes` went through: starting
 * and idling stay free of it. The two agree on every input, so the change shows in nothing but speed.
 *
 * @param onLoaded Told once whether the native one serves from now on; for a line in the log.
 */
export function hostCrc32c(
  options: { readonly afterBytes?: number; readonly onLoaded?: (isNative: boolean) => void } = {},
): Crc32c {
  let restBytes = options.afterBytes ?? 16 * 1024 * 1024;
  let native: Crc32c | undefined;
  return (bytes, seed) => {
    if (native !== undefined) return native(bytes, seed);
    if (restBytes > 0) {
      restBytes -= bytes.length;
      if (restBytes <= 0) {
        void loadNativeCrc32c().then((loaded) => {
          native = loaded;
          options.onLoaded?.(loaded !== undefined);
        });
      }
    }
    return crc32c(bytes, 0, bytes.length, seed);
  };
}

/**
 * Loads the native function at once.
 *
 * @returns Undefined where the package is not installed, was built for another host, may not be
 *   loaded (Deno without ffi permission), or disagrees with the plain one.
 */
export async function loadNativeCrc32c(): Promise<Crc32c | undefined> {
  if (!mayLoadNativeCode()) return undefined;
  let native: (bytes: Uint8Array, seed?: number) => number;
  try {
    ({ crc32c: native } = await import("@node-rs/crc32"));
  } catch {
    // Optional by design: the plain one serves, and the caller says which one runs.
    return undefined;
  }
  const fast: Crc32c = (bytes, seed) =>
    bytes.length < NATIVE_BYTES_MIN
      ? crc32c(bytes, 0, bytes.length, seed)
      : native(bytes, seed) >>> 0;
  return agreesWithPlain(native) ? fast : undefined;
}

/**
 * What the package's loader may do to find the right binary: besides loading it, it reads NAPI_RS_*
 * variables and /usr/bin/ldd, and where that is missing asks for a system report or runs ldd.
 */
const LOADER_PERMISSIONS = ["ffi", "env", "read", "sys", "run"] as const;

/** Deno asks on a terminal for each of these; so the package is loaded only where all are granted (-A). */
function mayLoadNativeCode(): boolean {
  const { Deno } = globalThis as PermissionHost;
  if (Deno === undefined) return true;
  try {
    return LOADER_PERMISSIONS.every(
      (name) => Deno.permissions.querySync({ name }).state === "granted",
    );
  } catch {
    // An unknown permission name: a Deno of another age. The plain one serves.
    return false;
  }
}

function agreesWithPlain(native: (bytes: Uint8Array, seed?: number) => number): boolean {
  const sample = new Uint8Array(4096);
  for (let i = 0; i < sample.length; i++) sample[i] = (i * 167) ^ (i >>> 3);
  try {
    for (const [start, end] of SAMPLES) {
      const bytes = sample.subarray(start, end);
      for (const seed of [0, 1, 0xffffffff, 0x8a9136aa]) {
        if (native(bytes, seed) >>> 0 !== crc32c(bytes, 0, bytes.length, seed)) return false;
      }
    }
  } catch {
    // A build that throws on plain bytes is of no use: the plain one serves.
    return false;
  }
  return true;
}

/** Empty, one byte, unaligned on both ends, and long enough for every loop inside. */
const SAMPLES: readonly (readonly [number, number])[] = [
  [0, 0],
  [7, 7],
  [0, 1],
  [3, 4],
  [1, 18],
  [5, 516],
  [0, 1024],
  [13, 4095],
  [0, 4096],
];
