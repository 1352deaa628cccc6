// Golden bytes of Kafka's own library, for every version of every message: decoded to the JSON that the library
// gave, and encoded again, from what was decoded and from the JSON, to the same bytes.

import { describe, expect, test } from "bun:test";
import { ByteReader } from "../../src/base/byte_reader.ts";
import { ByteWriter } from "../../src/base/byte_writer.ts";
import { internalRecords } from "../../src/protocol/all_internal_records.ts";
import { apis } from "../../src/protocol/all_messages.ts";
import { codecOf } from "../../src/protocol/compile.ts";
import { withDefaults } from "../../src/protocol/defaults.ts";
import type { Message } from "../../src/protocol/schema.ts";
import {
  decodeStoredKey,
  decodeStoredValue,
  encodeStoredKey,
  encodeStoredValue,
  storedRecordType,
} from "../../src/protocol/stored.ts";
import {
  bytesOfHex,
  type GoldenVector,
  hexOfBytes,
  loadApiVectors,
  loadOtherVectors,
} from "../vectors/load.ts";
import { jsonOf, structOf } from "./json_form.ts";

function hexOf(message: Message, version: number, value: unknown): string {
  const writer = new ByteWriter();
  codecOf(message, version).write(writer, value as never);
  return hexOfBytes(writer.toBytes());
}

/** What is wrong with a vector, or null. Plain comparisons: expect() ten thousand times over would take a second. */
function faultOf(message: Message, vector: GoldenVector): string | null {
  const { v, kind, json, hex } = vector;
  const where = `${message.name} v${v} ${kind}`;
  const reader = new ByteReader(bytesOfHex(hex));
  const decoded = codecOf(message, v).read(reader);
  if (reader.remaining !== 0) return `${where}: ${reader.remaining} bytes left`;
  const seen = JSON.stringify(jsonOf(message.fields, v, decoded));
  if (seen !== JSON.stringify(json)) return `${where}: decoded ${seen}`;
  for (const name of Object.keys(message.fields)) {
    if ((decoded as Record<string, unknown>)[name] === undefined) return `${where}: no ${name}`;
  }
  if (hexOf(message, v, decoded) !== hex) return `${where}: encoded ${hexOf(message, v, decoded)}`;
  const fromJson = structOf(message.fields, v, json);
  if (hexOf(message, v, fromJson) !== hex) return `${where}: encoded from JSON differently`;
  const completed = withDefaults(message, fromJson as never);
  if (hexOf(message, v, completed) !== hex) return `${where}: differs when completed`;
  return null;
}

function faultsOf(message: Message, vectors: readonly GoldenVector[]): string[] {
  return vectors.map((vector) => faultOf(message, vector)).filter((fault) => fault !== null);
}

describe("golden vectors of the APIs", () => {
  const all = loadApiVectors();
  const byKey = new Map(apis.map((api) => [api.apiKey, api]));

  test("are all there", () => {
    expect(all.map((each) => each.apiKey)).toEqual(apis.map((api) => api.apiKey));
    expect(apis.length).toBe(89);
    const count = all.reduce((sum, each) => sum + each.request.length + each.response.length, 0);
    expect(count).toBe(3844);
    let versions = 0;
    for (const { apiKey, request, response } of all) {
      const api = byKey.get(apiKey)!;
      for (const vectors of [request, response]) {
        const seen = [...new Set(vectors.map((each) => each.v))].sort((a, b) => a - b);
        expect(seen[0]).toBe(api.lowest);
        expect(seen.at(-1)).toBe(api.highest);
        expect(seen.length).toBe(api.highest - api.lowest + 1);
        versions += seen.length;
      }
    }
    expect(versions).toBe(604);
  });

  test("decode and encode to the byte", () => {
    for (const { apiKey, name, request, response } of all) {
      const api = byKey.get(apiKey)!;
      expect(api.name).toBe(name);
      expect(faultsOf(api.request, request)).toEqual([]);
      expect(faultsOf(api.response, response)).toEqual([]);
    }
  });
});

describe("golden vectors of headers, embedded and stored messages", () => {
  const all = loadOtherVectors();
  const byName = new Map(internalRecords.map((message) => [message.name, message]));

  test("are all there", () => {
    expect([...all.keys()].sort()).toEqual([...byName.keys()].sort());
    expect([...all.values()].reduce((sum, each) => sum + each.length, 0)).toBe(779);
  });

  test("decode and encode to the byte", () => {
    for (const [name, vectors] of all) expect(faultsOf(byName.get(name)!, vectors)).toEqual([]);
  });

  test("have their record type or version in front when stored", () => {
    let count = 0;
    for (const [name, vectors] of all) {
      const message = byName.get(name)!;
      for (const { v, json, stored } of vectors) {
        if (stored === undefined) continue;
        count++;
        const bytes = bytesOfHex(stored);
        const value = structOf(message.fields, v, json) as never;
        if (name.endsWith("Key")) {
          expect(storedRecordType(bytes)).toBe(message.recordType!);
          expect(jsonOf(message.fields, v, decodeStoredKey(message, bytes))).toEqual(json);
          expect(hexOfBytes(encodeStoredKey(message, value))).toBe(stored);
        } else {
          expect(jsonOf(message.fields, v, decodeStoredValue(message, bytes))).toEqual(json);
          expect(hexOfBytes(encodeStoredValue(message, v, value))).toBe(stored);
        }
      }
    }
    expect(count).toBeGreaterThan(300);
  });
});
