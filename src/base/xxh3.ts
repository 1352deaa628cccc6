// XXH3 with 64 bits, seed 0 and the built-in secret: what Kafka's coordinators sum up topics with. Rare and of little
// data, so plain BigInt. Invariant: equal to every other XXH3_64bits.

const MASK = 0xffff_ffff_ffff_ffffn;
const PRIME32_1 = 0x9e3779b1n;
const PRIME32_2 = 0x85ebca77n;
const PRIME32_3 = 0xc2b2ae3dn;
const PRIME64_1 = 0x9e3779b185ebca87n;
const PRIME64_2 = 0xc2b2ae3d27d4eb4fn;
const PRIME64_3 = 0x165667b19e3779f9n;
const PRIME64_4 = 0x85ebca77c2b2ae63n;
const PRIME64_5 = 0x27d4eb2f165667c5n;
const MIX_1 = 0x165667919e3779f9n;
const MIX_2 = 0x9fb21c651e98df25n;

const SECRET_BYTES = 192;
const STRIPE_BYTES = 64;
const STRIPES_PER_BLOCK = 16;
const BLOCK_BYTES = STRIPE_BYTES * STRIPES_PER_BLOCK;

const SECRET = new DataView(new ArrayBuffer(SECRET_BYTES));
const SECRET_WORDS = [
  "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f",
  "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c",
  "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8",
  "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364",
  "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e",
  "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e",
].join("");
for (let at = 0; at < SECRET_BYTES && 2 * at < SECRET_WORDS.length; at++) {
  SECRET.setUint8(at, Number.parseInt(SECRET_WORDS.slice(2 * at, 2 * at + 2), 16));
}

/** XXH3 of 64 bits over `bytes`, as an unsigned integer. */
export function xxh3(bytes: Uint8Array): bigint {
  const input = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = bytes.length;
  if (size <= 16) return short(input, size);
  if (size <= 240) return medium(input, size);
  return long(input, size);
}

function short(input: DataView, size: number): bigint {
  if (size > 8) {
    const low = word(input, 0) ^ secret(24) ^ secret(32);
    const high = word(input, size - 8) ^ secret(40) ^ secret(48);
    return avalanche((BigInt(size) + swapped(low) + high + folded(low, high)) & MASK);
  }
  if (size >= 4) {
    const first = BigInt(input.getUint32(0, true));
    const last = BigInt(input.getUint32(size - 4, true));
    return strongMix((((first << 32n) | last) ^ secret(8) ^ secret(16)) & MASK, BigInt(size));
  }
  if (size === 0) return oldAvalanche(secret(56) ^ secret(64));
  const combined =
    ((input.getUint8(0) << 16) |
      (input.getUint8(size >> 1) << 24) |
      input.getUint8(size - 1) |
      (size << 8)) >>>
    0;
  const flip = BigInt((SECRET.getUint32(0, true) ^ SECRET.getUint32(4, true)) >>> 0);
  return oldAvalanche(BigInt(combined) ^ flip);
}

function medium(input: DataView, size: number): bigint {
  let sum = BigInt(size) * PRIME64_1;
  if (size <= 128) {
    // Pairs of 16 bytes from both ends inwards.
    for (let pair = (size - 1) >> 5; pair >= 0; pair--) {
      sum += mixed(input, 16 * pair, 32 * pair);
      sum += mixed(input, size - 16 * (pair + 1), 32 * pair + 16);
    }
    return avalanche(sum & MASK);
  }
  for (let block = 0; block < 8; block++) sum += mixed(input, 16 * block, 16 * block);
  sum = avalanche(sum & MASK);
  for (let block = 8; block < size >> 4; block++) {
    sum += mixed(input, 16 * block, 16 * (block - 8) + 3);
  }
  sum += mixed(input, size - 16, 119);
  return avalanche(sum & MASK);
}

function long(input: DataView, size: number): bigint {
  const sums = [
    PRIME32_3,
    PRIME64_1,
    PRIME64_2,
    PRIME64_3,
    PRIME64_4,
    PRIME32_2,
    PRIME64_5,
    PRIME32_1,
  ];
  const blockCount = Math.floor((size - 1) / BLOCK_BYTES);
  for (let block = 0; block < blockCount; block++) {
    for (let stripe = 0; stripe < STRIPES_PER_BLOCK; stripe++) {
      accumulate(sums, input, block * BLOCK_BYTES + stripe * STRIPE_BYTES, 8 * stripe);
    }
    for (let lane = 0; lane < 8; lane++) {
      const sum = sums[lane]!;
      const key = secret(SECRET_BYTES - STRIPE_BYTES + 8 * lane);
      sums[lane] = ((sum ^ (sum >> 47n) ^ key) * PRIME32_1) & MASK;
    }
  }
  const rest = size - 1 - blockCount * BLOCK_BYTES;
  for (let stripe = 0; stripe < rest >> 6; stripe++) {
    accumulate(sums, input, blockCount * BLOCK_BYTES + stripe * STRIPE_BYTES, 8 * stripe);
  }
  accumulate(sums, input, size - STRIPE_BYTES, SECRET_BYTES - STRIPE_BYTES - 7);
  let merged = BigInt(size) * PRIME64_1;
  for (let pair = 0; pair < 4; pair++) {
    const key = 11 + 16 * pair;
    merged += folded(sums[2 * pair]! ^ secret(key), sums[2 * pair + 1]! ^ secret(key + 8));
  }
  return avalanche(merged & MASK);
}

function accumulate(sums: bigint[], input: DataView, at: number, secretAt: number): void {
  for (let lane = 0; lane < 8; lane++) {
    const value = word(input, at + 8 * lane);
    const keyed = value ^ secret(secretAt + 8 * lane);
    sums[lane ^ 1] = (sums[lane ^ 1]! + value) & MASK;
    sums[lane] = (sums[lane]! + (keyed & 0xffff_ffffn) * (keyed >> 32n)) & MASK;
  }
}

function mixed(input: DataView, at: number, secretAt: number): bigint {
  return folded(word(input, at) ^ secret(secretAt), word(input, at + 8) ^ secret(secretAt + 8));
}

function folded(a: bigint, b: bigint): bigint {
  const product = a * b;
  return (product & MASK) ^ (product >> 64n);
}

function avalanche(sum: bigint): bigint {
  const mix = ((sum ^ (sum >> 37n)) * MIX_1) & MASK;
  return mix ^ (mix >> 32n);
}

/** The one of XXH64, for at most three bytes. */
function oldAvalanche(sum: bigint): bigint {
  let mix = ((sum ^ (sum >> 33n)) * PRIME64_2) & MASK;
  mix = ((mix ^ (mix >> 29n)) * PRIME64_3) & MASK;
  return mix ^ (mix >> 32n);
}

function strongMix(sum: bigint, size: bigint): bigint {
  let mix = ((sum ^ rotated(sum, 49n) ^ rotated(sum, 24n)) * MIX_2) & MASK;
  mix = ((mix ^ ((mix >> 35n) + size)) * MIX_2) & MASK;
  return mix ^ (mix >> 28n);
}

function rotated(value: bigint, by: bigint): bigint {
  return ((value << by) | (value >> (64n - by))) & MASK;
}

function swapped(value: bigint): bigint {
  let swap = 0n;
  for (let at = 0n; at < 64n; at += 8n) swap = (swap << 8n) | ((value >> at) & 0xffn);
  return swap;
}

function word(view: DataView, at: number): bigint {
  return view.getBigUint64(at, true);
}

function secret(at: number): bigint {
  return word(SECRET, at);
}
