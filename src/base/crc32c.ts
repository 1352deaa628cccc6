// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), sliced by 16 over 32-bit words.
// Invariant: crc32c(b, 0, n, crc32c(a)) === crc32c(a ++ b), whatever the alignment of either part.
// The tables (16 KiB) are built at first use. A host may hand in a faster function of the same shape
// (`Crc32c`); it must agree with `crc32cPlain` on every input.
// Kafka: org.apache.kafka.common.utils.Crc32C.

/**
 * CRC-32C of a whole array, as an unsigned 32-bit number.
 *
 * @param seed CRC of the bytes that precede these; 0 for none.
 */
export type Crc32c = (bytes: Uint8Array, seed: number) => number;

const POLYNOMIAL = 0x82f63b78;
/** Below this many bytes the word loop does not repay the two views it needs. */
const WORD_LOOP_BYTES_MIN = 256;

let tables: Int32Array | null = null;
let hostIsLittleEndian = true;

/**
 * CRC-32C of `bytes[start, end)`, unsigned.
 *
 * @param start First byte, inclusive. Must not be negative.
 * @param end Exclusive. Must be at least `start` and at most `bytes.length`.
 * @param seed CRC of the bytes that precede these; 0 for none.
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length, seed = 0): number {
  const table = tables ?? buildTables();
  let crc = ~seed;
  let at = start;
  if (end - at >= WORD_LOOP_BYTES_MIN && hostIsLittleEndian) {
    const unaligned = (bytes.byteOffset + at) & 3;
    if (unaligned !== 0) {
      const aligned = at + 4 - unaligned;
      while (at < aligned) crc = (crc >>> 8) ^ table[(crc ^ bytes[at++]!) & 0xff]!;
    }
    const blocks = (end - at) >>> 4;
    crc = overWords(table, new Int32Array(bytes.buffer, bytes.byteOffset + at, blocks << 2), crc);
    at += blocks << 4;
  } else {
    const blocksEnd = at + ((end - at) & ~15);
    crc = overBytes(table, bytes, at, blocksEnd, crc);
    at = blocksEnd;
  }
  while (at < end) crc = (crc >>> 8) ^ table[(crc ^ bytes[at++]!) & 0xff]!;
  return ~crc >>> 0;
}

/** `crc32c` in the shape of the capability: the one that always works. */
export const crc32cPlain: Crc32c = (bytes, seed) => crc32c(bytes, 0, bytes.length, seed);

/** CRC-32C of several chunks as if they were one, unsigned. */
export function crc32cOf(
  chunks: readonly Uint8Array[],
  seed = 0,
  compute: Crc32c = crc32cPlain,
): number {
  let crc = seed;
  for (const chunk of chunks) crc = compute(chunk, crc);
  return crc;
}

/** Whole blocks of four little-endian words. Free of bounds arithmetic beyond the one loop counter. */
function overWords(t: Int32Array, words: Int32Array, seed: number): number {
  let crc = seed;
  for (let i = 0; i < words.length; i += 4) {
    const a = crc ^ words[i]!;
    const b = words[i + 1]!;
    const c = words[i + 2]!;
    const d = words[i + 3]!;
    crc =
      t[3840 | (a & 0xff)]! ^
      t[3584 | ((a >>> 8) & 0xff)]! ^
      t[3328 | ((a >>> 16) & 0xff)]! ^
      t[3072 | (a >>> 24)]! ^
      t[2816 | (b & 0xff)]! ^
      t[2560 | ((b >>> 8) & 0xff)]! ^
      t[2304 | ((b >>> 16) & 0xff)]! ^
      t[2048 | (b >>> 24)]! ^
      t[1792 | (c & 0xff)]! ^
      t[1536 | ((c >>> 8) & 0xff)]! ^
      t[1280 | ((c >>> 16) & 0xff)]! ^
      t[1024 | (c >>> 24)]! ^
      t[768 | (d & 0xff)]! ^
      t[512 | ((d >>> 8) & 0xff)]! ^
      t[256 | ((d >>> 16) & 0xff)]! ^
      t[d >>> 24]!;
  }
  return crc;
}

/** The same without views: short inputs, and hosts whose words are big endian. */
function overBytes(t: Int32Array, u: Uint8Array, start: number, end: number, seed: number): number {
  let crc = seed;
  for (let i = start; i < end; i += 16) {
    crc =
      t[3840 | ((crc ^ u[i]!) & 0xff)]! ^
      t[3584 | (((crc >>> 8) ^ u[i + 1]!) & 0xff)]! ^
      t[3328 | (((crc >>> 16) ^ u[i + 2]!) & 0xff)]! ^
      t[3072 | ((crc >>> 24) ^ u[i + 3]!)]! ^
      t[2816 | u[i + 4]!]! ^
      t[2560 | u[i + 5]!]! ^
      t[2304 | u[i + 6]!]! ^
      t[2048 | u[i + 7]!]! ^
      t[1792 | u[i + 8]!]! ^
      t[1536 | u[i + 9]!]! ^
      t[1280 | u[i + 10]!]! ^
      t[1024 | u[i + 11]!]! ^
      t[768 | u[i + 12]!]! ^
      t[512 | u[i + 13]!]! ^
      t[256 | u[i + 14]!]! ^
      t[u[i + 15]!]!;
  }
  return crc;
}

/** Row k (256 entries) advances a byte over k further zero bytes. 4,096 steps: about 50 µs. */
function buildTables(): Int32Array {
  const table = new Int32Array(4096);
  for (let i = 0; i < 256; i++) {
    let crc = i;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    table[i] = crc;
  }
  for (let i = 256; i < 4096; i++) {
    const shorter = table[i - 256]!;
    table[i] = (shorter >>> 8) ^ table[shorter & 0xff]!;
  }
  hostIsLittleEndian = new Uint8Array(new Int32Array([1]).buffer)[0] === 1;
  tables = table;
  return table;
}
