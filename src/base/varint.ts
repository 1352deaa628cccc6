// Variable-length integers as free functions over a Uint8Array: unsigned, and zigzag of 32 and 64 bits.
// Readers are methods of ByteReader; these size and write, for code that fills a buffer it sized itself.
// Kafka: ByteUtils.writeUnsignedVarint, writeVarint, writeVarlong.

const TWO_28 = 0x10000000;
const TWO_56 = TWO_28 * TWO_28;
const MASK_28 = TWO_28 - 1;

/** Bytes (1 to 5) that `value`, taken as 32 unsigned bits, takes as an unsigned varint. */
export function sizeOfUvarint(value: number): number {
  const bits = value >>> 0;
  if (bits < 0x80) return 1;
  if (bits < 0x4000) return 2;
  if (bits < 0x200000) return 3;
  return bits < TWO_28 ? 4 : 5;
}

/** Bytes (1 to 5) that a signed 32-bit `value` takes as a zigzag varint. */
export function sizeOfVarint(value: number): number {
  return sizeOfUvarint((value << 1) ^ (value >> 31));
}

/** Bytes (1 to 10) that a signed 64-bit `value` takes as a zigzag varlong. */
export function sizeOfVarlong(value: number | bigint): number {
  if (typeof value === "number") {
    if (value === (value | 0)) return sizeOfVarint(value);
    if (value > -0x1000000000000 && value < 0x1000000000000) {
      // Beyond 32 bits, so five bytes at least; the zigzag form is below 2^49.
      const zigzag = value < 0 ? -2 * value - 1 : 2 * value;
      if (zigzag < 0x800000000) return 5;
      return zigzag < 0x40000000000 ? 6 : 7;
    }
  }
  let size = 1;
  for (let rest = BigInt.asUintN(64, zigzag64(BigInt(value))) >> 7n; rest > 0n; rest >>= 7n) size++;
  return size;
}

/** Writes `value`, taken as 32 unsigned bits, and returns the position after it. The caller has sized `target`. */
export function writeUvarint(target: Uint8Array, position: number, value: number): number {
  let bits = value >>> 0;
  while (bits > 0x7f) {
    target[position++] = (bits & 0x7f) | 0x80;
    bits >>>= 7;
  }
  target[position++] = bits;
  return position;
}

/** Writes a signed 32-bit `value` as a zigzag varint and returns the position after it. */
export function writeVarint(target: Uint8Array, position: number, value: number): number {
  return writeUvarint(target, position, (value << 1) ^ (value >> 31));
}

/**
 * Writes a signed 64-bit `value` as a zigzag varlong and returns the position after it.
 * BigInt is touched only for values of 2^48 and more in magnitude.
 */
export function writeVarlong(target: Uint8Array, position: number, value: number | bigint): number {
  if (typeof value === "number") {
    if (value === (value | 0)) return writeVarint(target, position, value);
    if (value > -0x1000000000000 && value < 0x1000000000000) {
      // Zigzag by arithmetic: 2n, or -2n - 1; both below 2^49, hence exact.
      const zigzag = value < 0 ? -2 * value - 1 : 2 * value;
      let low = zigzag % TWO_28;
      let high = (zigzag - low) / TWO_28;
      for (let group = 0; group < 4; group++) {
        const more = low > 0x7f || high > 0;
        target[position++] = more ? (low & 0x7f) | 0x80 : low & 0x7f;
        if (!more) return position;
        low >>>= 7;
      }
      while (high > 0x7f) {
        target[position++] = (high & 0x7f) | 0x80;
        high >>>= 7;
      }
      target[position++] = high;
      return position;
    }
  }
  let rest = BigInt.asUintN(64, zigzag64(BigInt(value)));
  while (rest > 0x7fn) {
    target[position++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  target[position++] = Number(rest);
  return position;
}

/**
 * The signed value of a zigzag varlong split into its low 28, middle 28 and high 8 bits.
 * A number inside ±(2^53−1), a bigint outside.
 */
export function unzigzagParts(low: number, middle: number, high: number): number | bigint {
  const half = high * (TWO_56 / 2) + middle * (TWO_28 / 2) + (low >>> 1);
  if (half < Number.MAX_SAFE_INTEGER) return (low & 1) === 0 ? half : -half - 1;
  const bits = (BigInt(high) << 56n) | (BigInt(middle) << 28n) | BigInt(low & MASK_28);
  const value = BigInt.asIntN(64, (bits >> 1n) ^ -(bits & 1n));
  return value === BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : value;
}

function zigzag64(value: bigint): bigint {
  return (value << 1n) ^ (value >> 63n);
}
