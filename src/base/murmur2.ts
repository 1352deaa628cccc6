// MurmurHash2 (Austin Appleby, public domain algorithm) with the seed that Kafka's clients use.
// Invariant: equal to Java's, byte for byte, for every key.
// Kafka: org.apache.kafka.common.utils.Utils.murmur2, BuiltInPartitioner.partitionForKey.

const SEED = 0x9747b28c;
const M = 0x5bd1e995;

/** The hash as a signed 32-bit number, as Java prints it. */
export function murmur2(key: Uint8Array): number {
  const length = key.length;
  let hash = SEED ^ length;
  let at = 0;
  for (const wordsEnd = length & ~3; at < wordsEnd; at += 4) {
    let word = key[at]! | (key[at + 1]! << 8) | (key[at + 2]! << 16) | (key[at + 3]! << 24);
    word = Math.imul(word, M);
    word ^= word >>> 24;
    hash = Math.imul(hash, M) ^ Math.imul(word, M);
  }
  const rest = length & 3;
  if (rest > 0) {
    if (rest === 3) hash ^= key[at + 2]! << 16;
    if (rest >= 2) hash ^= key[at + 1]! << 8;
    hash = Math.imul(hash ^ key[at]!, M);
  }
  hash = Math.imul(hash ^ (hash >>> 13), M);
  return hash ^ (hash >>> 15);
}

/** The partition Kafka's own clients give a key: `(murmur2(key) & 0x7fffffff) % partitionCount`. */
export function murmur2Partition(key: Uint8Array, partitionCount: number): number {
  return (murmur2(key) & 0x7fffffff) % partitionCount;
}
