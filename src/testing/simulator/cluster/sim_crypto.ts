// What brokers of a simulated cluster prove themselves with: a keyed checksum in the place of HMAC, since nobody in a
// simulation forges. Invariant: the same bytes and key give the same digest on every engine.

import { xxh3 } from "../../../base/xxh3.ts";
import type { Cryptography } from "../../../contracts/runtime.ts";

const DIGEST_BYTES = 32;

export const simCrypto: Cryptography = {
  digest: (_hash, data) => keyed(new Uint8Array(0), data),
  hmac: (_hash, key, data) => keyed(key, data),
  pbkdf2: () => {
    throw new Error("There is no pbkdf2 in this simulation");
  },
  timingSafeEqual: (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]),
};

function keyed(key: Uint8Array, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + key.length + data.length);
  bytes.set(key, 1);
  bytes.set(data, 1 + key.length);
  const digest = new Uint8Array(DIGEST_BYTES);
  const view = new DataView(digest.buffer);
  for (let part = 0; part < DIGEST_BYTES / 8; part++) {
    bytes[0] = part;
    view.setBigUint64(part * 8, xxh3(bytes));
  }
  return digest;
}
