// Looks a frame over before it is decoded: whether it is CBOR of the kind that this protocol takes, and
// how many items it will become.
// Invariant: it neither recurses nor allocates; what passes is decoded without a fault, nests no deeper than
// DEPTH_MAX, and becomes `itemCount` values and no more.

/** Containers inside one another; the deepest request has five. */
export const DEPTH_MAX = 8;
/** Entries of one map. */
export const MAP_ENTRIES_MAX = 64;
/** Bytes of a map's key. */
const KEY_BYTES_MAX = 255;
/** Most a length or integer may have in its upper half: 2^53 - 1 in all. */
const HIGH_MAX = 0x1fffff;

/**
 * What can be wrong with a frame.
 *
 * - `truncated`: an item, a length or a count goes beyond the frame; an empty frame is truncated too.
 * - `trailing_bytes`: there is more than one item.
 * - `too_deep`, `too_many_items`, `map_too_large`, `key_too_long`: over a bound.
 * - `indefinite_length`, `tag`, `simple_value`, `reserved`: CBOR that this protocol has no use for.
 * - `float`: one whose value is no integer within ±(2^53 - 1).
 * - `integer_too_large`: beyond ±(2^53 - 1).
 * - `key_not_text`, `key_repeated`: of a map.
 * - `bad_utf8`: in a text.
 */
export type ScanFault =
  | "truncated"
  | "trailing_bytes"
  | "too_deep"
  | "too_many_items"
  | "map_too_large"
  | "key_too_long"
  | "indefinite_length"
  | "tag"
  | "float"
  | "simple_value"
  | "reserved"
  | "integer_too_large"
  | "key_not_text"
  | "key_repeated"
  | "bad_utf8";

/** Items still to come in each open container, those of a map counted twice; the root is at 0. */
const left = new Int32Array(DEPTH_MAX + 1);
const isMap = new Uint8Array(DEPTH_MAX + 1);
const keyCount = new Uint8Array(DEPTH_MAX + 1);
/** Where the keys of each open map lie. */
const keyAt = new Int32Array((DEPTH_MAX + 1) * MAP_ENTRIES_MAX);
const keyLength = new Uint8Array((DEPTH_MAX + 1) * MAP_ENTRIES_MAX);

/** @returns how many items the frame holds, or why it is refused */
export function scanCbor(bytes: Uint8Array, itemsMax: number): number | ScanFault {
  const end = bytes.length;
  let at = 0;
  let depth = 0;
  let itemCount = 0;
  left[0] = 1;
  isMap[0] = 0;
  for (;;) {
    while (left[depth] === 0) {
      if (depth === 0) return at === end ? itemCount : "trailing_bytes";
      depth--;
    }
    const isKey = isMap[depth] === 1 && (left[depth]! & 1) === 0;
    left[depth] = left[depth]! - 1;
    if (++itemCount > itemsMax) return "too_many_items";
    if (at >= end) return "truncated";
    const major = bytes[at]! >> 5;
    const info = bytes[at++]! & 0x1f;
    if (isKey && major !== 3) return "key_not_text";
    if (major === 6) return "tag";
    if (major === 7) {
      if (info >= 20 && info <= 22) continue;
      if (info === 26 || info === 27) {
        const size = info === 26 ? 4 : 8;
        if (size > end - at) return "truncated";
        if (!isIntegral(bytes, at, size)) return "float";
        at += size;
        continue;
      }
      if (info === 25) return "float";
      return info === 31 ? "indefinite_length" : "simple_value";
    }
    if (info > 27) return info === 31 ? "indefinite_length" : "reserved";
    let value = info;
    if (info >= 24) {
      const size = 1 << (info - 24);
      if (size > end - at) return "truncated";
      let high = 0;
      value = 0;
      for (let i = 0; i < size; i++) {
        if (i === 4) {
          high = value;
          value = 0;
        }
        value = ((value << 8) | bytes[at++]!) >>> 0;
      }
      if (high > HIGH_MAX) return major < 2 ? "integer_too_large" : "truncated";
      value += high * 0x1_0000_0000;
    }
    if (major === 0) continue;
    if (major === 1) {
      if (value === Number.MAX_SAFE_INTEGER) return "integer_too_large";
      continue;
    }
    if (major <= 3) {
      if (value > end - at) return "truncated";
      if (major === 3 && !isUtf8(bytes, at, at + value)) return "bad_utf8";
      if (isKey) {
        if (value > KEY_BYTES_MAX) return "key_too_long";
        if (isRepeated(bytes, at, value, depth)) return "key_repeated";
      }
      at += value;
      continue;
    }
    // An item takes a byte at least, so no count can be larger than what is left.
    if (value > (major === 5 ? (end - at) / 2 : end - at)) return "truncated";
    if (major === 5 && value > MAP_ENTRIES_MAX) return "map_too_large";
    if (depth === DEPTH_MAX) return "too_deep";
    depth++;
    left[depth] = major === 5 ? value * 2 : value;
    isMap[depth] = major === 5 ? 1 : 0;
    keyCount[depth] = 0;
  }
}

/** JavaScript's encoders write integers beyond 32 bits as floats: one that is an integer is as good as one. */
function isIntegral(bytes: Uint8Array, at: number, size: 4 | 8): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, size);
  return Number.isSafeInteger(size === 4 ? view.getFloat32(0) : view.getFloat64(0));
}

/** Whether the open map has the key already; if not, it has now. */
function isRepeated(bytes: Uint8Array, at: number, length: number, depth: number): boolean {
  const first = depth * MAP_ENTRIES_MAX;
  const count = keyCount[depth]!;
  for (let i = first; i < first + count; i++) {
    if (keyLength[i] !== length) continue;
    const other = keyAt[i]!;
    let same = 0;
    while (same < length && bytes[other + same] === bytes[at + same]) same++;
    if (same === length) return true;
  }
  keyAt[first + count] = at;
  keyLength[first + count] = length;
  keyCount[depth] = count + 1;
  return false;
}

/** RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
function isUtf8(bytes: Uint8Array, at: number, end: number): boolean {
  while (at < end) {
    const lead = bytes[at++]!;
    if (lead < 0x80) continue;
    let more = 1;
    let lowest = 0x80;
    let highest = 0xbf;
    if (lead < 0xc2 || lead > 0xf4) return false;
    if (lead >= 0xf0) {
      more = 3;
      if (lead === 0xf0) lowest = 0x90;
      if (lead === 0xf4) highest = 0x8f;
    } else if (lead >= 0xe0) {
      more = 2;
      if (lead === 0xe0) lowest = 0xa0;
      if (lead === 0xed) highest = 0x9f;
    }
    if (more > end - at) return false;
    if (bytes[at]! < lowest || bytes[at]! > highest) return false;
    for (let i = 1; i < more; i++) if ((bytes[at + i]! & 0xc0) !== 0x80) return false;
    at += more;
  }
  return true;
}
