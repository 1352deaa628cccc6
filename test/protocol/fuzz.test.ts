// Hostile bytes, seeded: for every version of every message, random bytes and golden vectors with something changed.
// Whatever they are, decoding ends in a value or in a DecodeError, holds no more elements than the frame has bytes,
// and what was decoded can be written and read again without change.

import { describe, expect, test } from "bun:test";
import { ByteReader, DecodeError } from "../../src/base/byte_reader.ts";
import { ByteWriter } from "../../src/base/byte_writer.ts";
import { internalRecords } from "../../src/protocol/all_internal_records.ts";
import { apis } from "../../src/protocol/all_messages.ts";
import { codecOf } from "../../src/protocol/compile.ts";
import { createApiRegistry, decodeAnyRequest } from "../../src/protocol/mod.ts";
import type { Message } from "../../src/protocol/schema.ts";
import {
  bytesOfHex,
  type GoldenVector,
  hexOfBytes,
  loadApiVectors,
  loadCaptures,
  loadOtherVectors,
} from "../vectors/load.ts";
import { jsonOf } from "./json_form.ts";

const SEED = 20260729;

/** mulberry32: small, seeded, and the same everywhere. */
function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Elements and fields of a decoded value, and the bytes of its text and views. */
function weigh(value: unknown): { elements: number; bytes: number } {
  if (value === null || typeof value !== "object") {
    return { elements: 0, bytes: typeof value === "string" ? value.length : 0 };
  }
  if (value instanceof Uint8Array) return { elements: 0, bytes: value.length };
  let elements = Array.isArray(value) ? value.length : 0;
  let bytes = 0;
  for (const each of Object.values(value)) {
    const inner = weigh(each);
    elements += inner.elements;
    bytes += inner.bytes;
  }
  return { elements, bytes };
}

/** "refused" or "read"; anything else is thrown. */
function feed(message: Message, version: number, bytes: Uint8Array): "refused" | "read" {
  const codec = codecOf(message, version);
  const reader = new ByteReader(bytes);
  let value: unknown;
  try {
    value = codec.read(reader);
  } catch (error) {
    if (error instanceof DecodeError) return "refused";
    throw new Error(`${message.name} v${version} on ${hexOfBytes(bytes)}`, { cause: error });
  }
  const { elements, bytes: textBytes } = weigh(value);
  if (elements > bytes.length || textBytes > bytes.length + 64 * (elements + 40)) {
    throw new Error(`${message.name} v${version} grew on ${hexOfBytes(bytes)}`);
  }
  const writer = new ByteWriter();
  codec.write(writer, value as never);
  const again = codec.read(new ByteReader(writer.toBytes()));
  const first = JSON.stringify(jsonOf(message.fields, version, value));
  if (JSON.stringify(jsonOf(message.fields, version, again)) !== first) {
    throw new Error(`${message.name} v${version} does not go round on ${hexOfBytes(bytes)}`);
  }
  return "read";
}

/** A copy with one thing changed, as chance has it. */
function mutate(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  const copy = bytes.slice();
  if (copy.length === 0) return Uint8Array.of(random(256));
  const at = random(copy.length);
  switch (random(7)) {
    case 0:
      return copy.subarray(0, at);
    case 1:
      copy[at] = random(256);
      return copy;
    case 2:
      copy[at]! ^= 1 << random(8);
      return copy;
    case 3:
      // Lengths like to be here: the largest, and the ones around zero.
      copy.fill([0xff, 0x00, 0x7f, 0x80, 0x01][random(5)]!, at, at + 1 + random(5));
      return copy;
    case 4: {
      const to = Math.min(copy.length, at + random(16));
      return Uint8Array.from([...copy.subarray(0, at), ...copy.subarray(to)]);
    }
    case 5:
      return Uint8Array.from([...copy.subarray(0, at), random(256), ...copy.subarray(at)]);
    default:
      copy.copyWithin(at, random(copy.length), random(copy.length));
      return copy;
  }
}

const everyMessage: Message[] = [
  ...apis.flatMap((api) => [api.request, api.response]),
  ...internalRecords,
];

describe("hostile bytes", () => {
  test("random ones, for every version of every message", () => {
    const random = randomOf(SEED);
    const seen = { refused: 0, read: 0 };
    for (const message of everyMessage) {
      for (let version = message.lowest; version <= message.highest; version++) {
        for (let round = 0; round < 40; round++) {
          // Small bytes make lengths that fit, and get further in.
          const below = [256, 8, 3][round % 3]!;
          const bytes = Uint8Array.from({ length: random(160) }, () => random(below));
          seen[feed(message, version, bytes)]++;
        }
      }
    }
    expect(seen.refused).toBeGreaterThan(1000);
    expect(seen.read).toBeGreaterThan(1000);
  });

  test("golden vectors with something changed", () => {
    const random = randomOf(SEED + 1);
    const seen = { refused: 0, read: 0 };
    const byName = new Map(everyMessage.map((message) => [message.name, message]));
    const all: [string, readonly GoldenVector[]][] = [...loadOtherVectors()];
    for (const { name, request, response } of loadApiVectors()) {
      all.push([`${name}Request`, request], [`${name}Response`, response]);
    }
    for (const [name, vectors] of all) {
      for (const { v, hex } of vectors) {
        const golden = bytesOfHex(hex);
        if (golden.length > 4000) continue;
        for (let round = 0; round < 6; round++) {
          let bytes = mutate(golden, random);
          while (random(3) === 0) bytes = mutate(bytes, random);
          seen[feed(byName.get(name)!, v, bytes)]++;
        }
      }
    }
    expect(seen.refused).toBeGreaterThan(5000);
    expect(seen.read).toBeGreaterThan(5000);
  });

  test("golden vectors cut at every byte are refused, or were complete before the cut", () => {
    for (const { apiKey, request } of loadApiVectors()) {
      const api = apis.find((each) => each.apiKey === apiKey)!;
      for (const { v, kind, hex } of request) {
        if (kind !== "random") continue;
        const golden = bytesOfHex(hex);
        const codec = codecOf(api.request, v);
        for (let end = 0; end < golden.length; end++) {
          // The memory goes on behind the cut: only the bound may stop the reader.
          expect(() => codec.read(new ByteReader(golden, 0, end))).toThrow(DecodeError);
        }
      }
    }
  });

  test("whole frames of real clients with something changed", () => {
    const random = randomOf(SEED + 2);
    const registry = createApiRegistry(apis);
    let refused = 0;
    for (const { exchanges } of loadCaptures()) {
      for (const { q } of exchanges) {
        const bytes = mutate(bytesOfHex(q), random);
        try {
          decodeAnyRequest(registry, bytes);
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error;
          refused++;
        }
      }
    }
    expect(refused).toBeGreaterThan(200);
  });
});
