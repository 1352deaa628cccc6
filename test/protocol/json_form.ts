// Decoded values as the JSON that the golden vectors are written in, and back. For tests: it walks the declarations
// by itself, so that a fault of compile.ts cannot hide in it.

import { uuidFromHex, uuidToHex } from "../../src/base/uuid.ts";
import {
  type AnyField,
  type AnyFields,
  unknownTags,
  versionRange,
} from "../../src/protocol/schema.ts";
import { bytesOfHex, hexOfBytes } from "../vectors/load.ts";

type Json = Record<string, unknown>;
type Struct = Record<string | symbol, unknown>;

/** The JSON form of a decoded struct in one version. */
export function jsonOf(fields: AnyFields, version: number, value: unknown): Json {
  const struct = value as Struct;
  const json: Json = {};
  for (const [name, field] of Object.entries(fields)) {
    if (has(field, version)) json[name] = jsonOfValue(field, version, struct[name]);
  }
  const unknown = struct[unknownTags] as ReadonlyMap<number, Uint8Array> | undefined;
  if (unknown !== undefined) {
    json["_unknownTags"] = Object.fromEntries(
      [...unknown].map(([tag, bytes]) => [String(tag), hexOfBytes(bytes)]),
    );
  }
  return json;
}

/** The struct that a JSON form means; fields that the version lacks stay out. */
export function structOf(fields: AnyFields, version: number, json: Json): Struct {
  const struct: Struct = {};
  for (const [name, field] of Object.entries(fields)) {
    if (name in json) struct[name] = valueOfJson(field, version, json[name]);
  }
  const unknown = json["_unknownTags"] as Record<string, string> | undefined;
  if (unknown !== undefined) {
    struct[unknownTags] = new Map(
      Object.entries(unknown).map(([tag, hex]) => [Number(tag), bytesOfHex(hex)]),
    );
  }
  return struct;
}

/** Whether a version has a field. */
export function has(field: AnyField, version: number): boolean {
  const [from, to] = versionRange(field.versions, 0, Number.POSITIVE_INFINITY);
  return version >= from && version <= to;
}

function jsonOfValue(field: AnyField, version: number, value: unknown): unknown {
  if (value === null) return null;
  switch (field.type) {
    case "int64":
      return String(value);
    case "uuid":
      return uuidToHex(value as string);
    case "bytes":
    case "records":
      return hexOfBytes(value as Uint8Array);
    case "array":
      return (value as unknown[]).map((each) => jsonOfValue(field.element!, version, each));
    case "struct":
      return jsonOf(field.fields!, version, value);
    default:
      return value;
  }
}

function valueOfJson(field: AnyField, version: number, json: unknown): unknown {
  if (json === null) return null;
  switch (field.type) {
    case "int64": {
      const number = Number(json);
      return Number.isSafeInteger(number) ? number : BigInt(json as string);
    }
    case "uuid":
      return uuidFromHex(json as string);
    case "bytes":
    case "records":
      return bytesOfHex(json as string);
    case "array":
      return (json as unknown[]).map((each) => valueOfJson(field.element!, version, each));
    case "struct":
      return structOf(field.fields!, version, json as Json);
    default:
      return json;
  }
}
