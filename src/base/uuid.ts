// Uuids of topics, directories and members: 16 bytes on the wire, Kafka's 22 characters of base64url in memory.
// Invariant: one uuid has one text; equal bytes give equal strings, so that === and Map work.
// Kafka: org.apache.kafka.common.Uuid.

import type { ByteReader } from "./byte_reader.ts";
import { type ByteWriter, EncodeError } from "./byte_writer.ts";

/** The uuid of 16 zero bytes: "none" or "unknown" on the wire. */
export const ZERO_UUID = "AAAAAAAAAAAAAAAAAAAAAA";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/** Value of a character code, or 255. */
const values = new Uint8Array(128).fill(255);
for (let index = 0; index < 64; index++) values[ALPHABET.charCodeAt(index)] = index;

/** Direct-mapped memory of texts: topics are looked up by id on the hot path, and a known id allocates nothing. */
const REMEMBERED_COUNT = 1024;
const rememberedWords = new Int32Array(4 * REMEMBERED_COUNT);
const rememberedTexts: string[] = new Array<string>(REMEMBERED_COUNT).fill(ZERO_UUID);

/** Reads 16 bytes as base64url text. */
export function readUuid(reader: ByteReader): string {
  return textOfWords(reader.int32(), reader.int32(), reader.int32(), reader.int32());
}

/** Writes base64url text as 16 bytes. @throws {EncodeError} when it is not a uuid */
export function writeUuid(writer: ByteWriter, uuid: string): void {
  if (!isUuid(uuid)) throw notUuid(uuid);
  for (let word = 0; word < 4; word++) writer.int32(wordAt(uuid, word));
}

/** Whether `text` is the base64url form: 22 characters, of which the last carries two bits only. */
export function isUuid(text: string): boolean {
  if (text.length !== 22) return false;
  for (let index = 0; index < 22; index++) {
    const code = text.charCodeAt(index);
    if (code > 127 || values[code] === 255) return false;
  }
  return (values[text.charCodeAt(21)]! & 15) === 0;
}

/** Base64url text of 16 bytes starting at `position`. */
export function uuidFromBytes(bytes: Uint8Array, position = 0): string {
  if (bytes.length < position + 16) throw new EncodeError("A uuid has 16 bytes");
  return textOfWords(
    int32At(bytes, position),
    int32At(bytes, position + 4),
    int32At(bytes, position + 8),
    int32At(bytes, position + 12),
  );
}

/** The 16 bytes. @throws {EncodeError} when `uuid` is not a uuid */
export function uuidToBytes(uuid: string): Uint8Array<ArrayBuffer> {
  if (!isUuid(uuid)) throw notUuid(uuid);
  const bytes = new Uint8Array(16);
  for (let word = 0; word < 4; word++) {
    const value = wordAt(uuid, word);
    bytes[4 * word] = value >> 24;
    bytes[4 * word + 1] = value >> 16;
    bytes[4 * word + 2] = value >> 8;
    bytes[4 * word + 3] = value;
  }
  return bytes;
}

/** The dashed hexadecimal form, 8-4-4-4-12 in lower case. @throws {EncodeError} when `uuid` is not a uuid */
export function uuidToHex(uuid: string): string {
  if (!isUuid(uuid)) throw notUuid(uuid);
  let hex = "";
  for (let word = 0; word < 4; word++) {
    hex += (wordAt(uuid, word) >>> 0).toString(16).padStart(8, "0");
  }
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The base64url form of 32 hexadecimal digits, with or without dashes. @throws {EncodeError} for other text */
export function uuidFromHex(text: string): string {
  const hex = text.replaceAll("-", "");
  if (!/^[0-9a-fA-F]{32}$/.test(hex)) throw notUuid(text);
  const bytes = new Uint8Array(16);
  for (let index = 0; index < 16; index++) {
    bytes[index] = Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16);
  }
  return uuidFromBytes(bytes);
}

/**
 * A fresh version 4 uuid out of `random`, never one that starts with "-" (a command line would take it for a flag)
 * and never one that Kafka reserves.
 *
 * @param random uniform integers in [0, 2^32)
 */
export function randomUuid(random: { uint32(): number }): string {
  for (;;) {
    const second = (random.uint32() & 0xffff0fff) | 0x4000;
    const third = (random.uint32() & 0x3fffffff) | 0x80000000;
    const text = textOfWords(random.uint32() | 0, second, third, random.uint32() | 0);
    if (text.charCodeAt(0) !== 0x2d) return text;
  }
}

function textOfWords(a: number, b: number, c: number, d: number): string {
  let hash = Math.imul(a ^ (b >>> 7), 0x9e3779b1) ^ Math.imul(c ^ (d >>> 5), 0x85ebca6b);
  hash = (hash ^ (hash >>> 15)) & (REMEMBERED_COUNT - 1);
  const at = 4 * hash;
  const words = rememberedWords;
  if (words[at] === a && words[at + 1] === b && words[at + 2] === c && words[at + 3] === d) {
    return rememberedTexts[hash]!;
  }
  const text = base64urlOfWords(a, b, c, d);
  words[at] = a;
  words[at + 1] = b;
  words[at + 2] = c;
  words[at + 3] = d;
  rememberedTexts[hash] = text;
  return text;
}

function base64urlOfWords(a: number, b: number, c: number, d: number): string {
  // 24 bits a turn: the six words below are the 128 bits, cut at every third byte.
  return (
    four(a >>> 8) +
    four(((a & 0xff) << 16) | (b >>> 16)) +
    four(((b & 0xffff) << 8) | (c >>> 24)) +
    four(c & 0xffffff) +
    four(d >>> 8) +
    ALPHABET[(d >>> 2) & 63]! +
    ALPHABET[(d << 4) & 63]!
  );
}

function four(bits: number): string {
  return (
    ALPHABET[bits >>> 18]! +
    ALPHABET[(bits >>> 12) & 63]! +
    ALPHABET[(bits >>> 6) & 63]! +
    ALPHABET[bits & 63]!
  );
}

/** Word 0 to 3 of a text that `isUuid` accepts. */
function wordAt(uuid: string, word: number): number {
  // Bit 32 * word lies in character floor(32 * word / 6).
  const firstBit = 32 * word;
  let at = (firstBit / 6) | 0;
  let haveBits = 6 - (firstBit % 6);
  let value = values[uuid.charCodeAt(at)]! & ((1 << haveBits) - 1);
  while (haveBits + 6 <= 32) {
    value = (value << 6) | values[uuid.charCodeAt(++at)]!;
    haveBits += 6;
  }
  const restBits = 32 - haveBits;
  if (restBits > 0) {
    value = (value << restBits) | (values[uuid.charCodeAt(++at)]! >> (6 - restBits));
  }
  return value | 0;
}

function int32At(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

function notUuid(text: string): EncodeError {
  return new EncodeError(
    `A uuid must be 22 characters of base64url: ${JSON.stringify(text).slice(0, 60)}`,
  );
}
