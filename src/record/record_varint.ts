// Zigzag varints inside records, read without an object: the value is returned, the end is a variable.
// Invariant: nothing at or past `end` is read; `varintEnd` is -1 when there was no whole varint.
// Kafka: org.apache.kafka.common.utils.ByteUtils.readVarint, readVarlong.

/** Where the varint read last ended, exclusive, or -1. Read it before the next call. */
export let varintEnd = 0;

/** A zigzag varint of at most five bytes at `at`. Bits beyond 32 fall off, as in Java. */
export function readVarintAt(bytes: Uint8Array, at: number, end: number): number {
  let bits = 0;
  for (let shift = 0; shift < 35 && at < end; shift += 7) {
    const byte = bytes[at++]!;
    bits |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      varintEnd = at;
      return (bits >>> 1) ^ -(bits & 1);
    }
  }
  varintEnd = -1;
  return 0;
}

/** A zigzag varlong of at most ten bytes; not a safe integer when it lies outside ±(2^53 - 1). */
export function readVarlongAt(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) {
    varintEnd = -1;
    return 0;
  }
  let byte = bytes[at]!;
  const isNegative = (byte & 1) !== 0;
  // Half of the zigzag number, so that 53 bits are enough for 53 bits.
  let half = (byte & 0x7f) >>> 1;
  let scale = 64;
  const last = Math.min(at + 9, end - 1);
  while (byte >= 0x80) {
    if (at === last) {
      varintEnd = -1;
      return 0;
    }
    byte = bytes[++at]!;
    half += (byte & 0x7f) * scale;
    scale *= 128;
  }
  varintEnd = at + 1;
  return isNegative ? -half - 1 : half;
}
