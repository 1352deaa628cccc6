import { describe, expect, test } from "bun:test";
import { ByteReader } from "../../src/base/byte_reader.ts";
import { ByteWriter, EncodeError } from "../../src/base/byte_writer.ts";
import {
  isUuid,
  randomUuid,
  readUuid,
  uuidFromBytes,
  uuidFromHex,
  uuidToBytes,
  uuidToHex,
  writeUuid,
  ZERO_UUID,
} from "../../src/base/uuid.ts";

let state = 1;
const random = {
  uint32() {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state;
  },
};

describe("uuid", () => {
  test("agrees with Kafka's text form", () => {
    // Uuid.fromString and toString of Kafka 4.3.1; see test/vectors/kafka, primitives.
    expect(ZERO_UUID).toBe(uuidFromHex("00000000-0000-0000-0000-000000000000"));
    expect(uuidFromHex("00000000-0000-0000-0000-000000000001")).toBe("AAAAAAAAAAAAAAAAAAAAAQ");
    expect(uuidToHex("_____________________w")).toBe("ffffffff-ffff-ffff-ffff-ffffffffffff");
  });

  test("bytes, text and hex go round for all bit positions and for random values", () => {
    const all: Uint8Array[] = [];
    for (let bit = 0; bit < 128; bit++) {
      const bytes = new Uint8Array(16);
      bytes[bit >> 3] = 0x80 >> (bit & 7);
      all.push(bytes);
    }
    for (let index = 0; index < 3000; index++) {
      all.push(Uint8Array.from({ length: 16 }, () => random.uint32() >>> 24));
    }
    for (const bytes of all) {
      const base64 = btoa(String.fromCharCode(...bytes))
        .replaceAll("+", "-")
        .replaceAll("/", "_");
      const text = uuidFromBytes(bytes);
      expect(`${text}==`).toBe(base64);
      expect(readUuid(new ByteReader(bytes))).toBe(text);
      expect(uuidToBytes(text)).toEqual(bytes as Uint8Array<ArrayBuffer>);
      expect(uuidFromHex(uuidToHex(text))).toBe(text);
      const writer = new ByteWriter();
      writeUuid(writer, text);
      expect(writer.toBytes()).toEqual(bytes as Uint8Array<ArrayBuffer>);
    }
  });

  test("randomUuid() makes version 4 uuids that no flag parser mistakes", () => {
    for (let index = 0; index < 500; index++) {
      const uuid = randomUuid(random);
      expect(isUuid(uuid)).toBe(true);
      expect(uuid.startsWith("-")).toBe(false);
      expect(uuidToHex(uuid)).toMatch(/^.{14}4.{4}[89ab]/);
    }
  });

  test("refuses other text", () => {
    for (const text of [
      "",
      "AAAAAAAAAAAAAAAAAAAAAB",
      "AAAAAAAAAAAAAAAAAAAAA=",
      "AAAAAAAAAAAAAAAAAAAAA\u1234",
      "A",
    ]) {
      expect(isUuid(text)).toBe(false);
      expect(() => writeUuid(new ByteWriter(), text)).toThrow(EncodeError);
    }
    expect(() => uuidFromHex("zz")).toThrow(EncodeError);
  });
});
