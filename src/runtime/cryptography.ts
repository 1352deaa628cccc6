// Cryptography over node:crypto, which is loaded at the first use: it costs 8 ms of start-up.
// Invariant: synchronous, as the contract asks.

import type { Cryptography } from "../contracts/runtime.ts";
import { builtin } from "./host.ts";

type NodeCrypto = typeof import("node:crypto");
let loaded: NodeCrypto | null = null;

function nodeCrypto(): NodeCrypto {
  loaded ??= builtin<NodeCrypto>("node:crypto");
  return loaded;
}

const NAMES = { "SHA-256": "sha256", "SHA-512": "sha512" } as const;
const HASH_BYTES = { "SHA-256": 32, "SHA-512": 64 } as const;

export const hostCryptography: Cryptography = {
  digest: (hash, data) =>
    new Uint8Array(nodeCrypto().createHash(NAMES[hash]).update(data).digest()),
  hmac: (hash, key, data) =>
    new Uint8Array(nodeCrypto().createHmac(NAMES[hash], key).update(data).digest()),
  pbkdf2: (hash, password, salt, iterations) =>
    new Uint8Array(
      nodeCrypto().pbkdf2Sync(password, salt, iterations, HASH_BYTES[hash], NAMES[hash]),
    ),
  timingSafeEqual: (a, b) =>
    // Lengths are no secret; node's function throws where they differ.
    a.byteLength === b.byteLength && nodeCrypto().timingSafeEqual(a, b),
};
