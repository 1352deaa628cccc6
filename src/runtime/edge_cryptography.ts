// Cryptography in plain code, for hosts whose own is asynchronous: Web Crypto alone, as on workerd without Node's
// modules. The only importer of @noble/hashes.
// Invariant: synchronous, as the contract asks, and equal to node:crypto byte for byte.

import { hmac } from "@noble/hashes/hmac.js";
import { pbkdf2 } from "@noble/hashes/pbkdf2.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import type { Cryptography } from "../contracts/runtime.ts";

const HASHES = { "SHA-256": sha256, "SHA-512": sha512 } as const;

export const edgeCryptography: Cryptography = {
  digest: (hash, data) => HASHES[hash](data),
  hmac: (hash, key, data) => hmac(HASHES[hash], key, data),
  pbkdf2: (hash, password, salt, iterations) =>
    pbkdf2(HASHES[hash], password, salt, { c: iterations, dkLen: HASHES[hash].outputLen }),
  timingSafeEqual(a, b) {
    // Lengths are no secret.
    if (a.byteLength !== b.byteLength) return false;
    let difference = 0;
    for (let at = 0; at < a.byteLength; at++) difference |= a[at]! ^ b[at]!;
    return difference === 0;
  },
};
