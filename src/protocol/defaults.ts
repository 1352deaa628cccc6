// What a field holds where a version lacks it, and whether a value says no more than that.
// Invariant: default arrays, bytes and structs are shared and frozen; nobody may write into them.
// Kafka: the rules of the message generator for defaults.

import { ZERO_UUID } from "../base/uuid.ts";
import type { MessageInputOf, MessageOf } from "./infer.ts";
import { type AnyField, type AnyFields, type Message, unknownTags } from "./schema.ts";

/** A struct as the codecs see it. */
export type StructValue = {
  [name: string]: unknown;
  [unknownTags]?: ReadonlyMap<number, Uint8Array>;
};

const emptyArray: readonly never[] = Object.freeze([]);
const emptyBytes = new Uint8Array(0);

/** The default of a field: the declared one, or the zero value of its type. */
export function defaultOf(field: AnyField): unknown {
  if (field.default !== undefined) return field.default;
  switch (field.type) {
    case "bool":
      return false;
    case "string":
      return "";
    case "uuid":
      return ZERO_UUID;
    case "bytes":
      return emptyBytes;
    case "records":
      return field.nullable === undefined ? emptyBytes : null;
    case "array":
      return emptyArray;
    case "struct":
      return Object.freeze(defaultsOf(field.fields!));
    default:
      return 0;
  }
}

/** A struct of defaults, keys in wire order. Fresh, so that the caller may fill it. */
export function defaultsOf(fields: AnyFields): StructValue {
  const value: StructValue = {};
  for (const name of Object.keys(fields)) value[name] = defaultOf(fields[name]!);
  return value;
}

/** A test of whether a value equals the field's default. `undefined` does. */
export function defaultTest(field: AnyField): (value: unknown) => boolean {
  const standard = defaultOf(field);
  switch (field.type) {
    case "int64":
      return (value) =>
        value === undefined ||
        value === standard ||
        (typeof value === "bigint" && value === BigInt(standard as number | bigint));
    case "bytes":
    case "records":
    case "array":
      if (standard === null) return (value) => value === undefined || value === null;
      return (value) =>
        value === undefined || (value !== null && (value as { length: number }).length === 0);
    case "struct": {
      if (standard === null) return (value) => value === undefined || value === null;
      const tests = Object.entries(field.fields!).map(
        ([name, each]) => [name, defaultTest(each)] as const,
      );
      return (value) => {
        if (value === undefined || value === standard) return true;
        if (value === null) return false;
        const struct = value as StructValue;
        if (struct[unknownTags] !== undefined) return false;
        return tests.every(([name, isDefault]) => isDefault(struct[name]));
      };
    }
    default:
      return (value) => value === undefined || value === standard;
  }
}

/** The message with every field it leaves out set to its default: what decoding its bytes would give. */
export function withDefaults<const M extends Message>(
  message: M,
  input: MessageInputOf<M>,
): MessageOf<M> {
  return completeStruct(message.fields, input as StructValue) as MessageOf<M>;
}

function completeStruct(fields: AnyFields, input: StructValue): StructValue {
  const value: StructValue = { ...input };
  for (const name of Object.keys(fields)) {
    const field = fields[name]!;
    const given = input[name];
    if (given === undefined) value[name] = defaultOf(field);
    else if (given === null) value[name] = null;
    else if (field.type === "struct")
      value[name] = completeStruct(field.fields!, given as StructValue);
    else if (field.type === "array" && field.element!.type === "struct") {
      const inner = field.element!.fields!;
      value[name] = (given as StructValue[]).map((each) => completeStruct(inner, each));
    }
  }
  return value;
}
