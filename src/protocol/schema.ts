// The DSL in which every message is declared: plain data, no behaviour, cheap to load.
// Invariant: the order of the fields is their order on the wire; a tagged field lives in the tag section.
// Kafka: the JSON message definitions; docs/adr/0005-schema-dsl.md says why ours are TypeScript.

/** Kinds of values on the wire. */
export type WireType =
  | "bool"
  | "int8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  | "int64"
  | "float64"
  | "string"
  | "uuid"
  | "bytes"
  | "records"
  | "array"
  | "struct";

/**
 * Tagged fields that a schema does not know, by tag. Kept on the struct they came with, so that a message
 * goes out as it came in; views of the frame.
 */
export type UnknownTags = ReadonlyMap<number, Uint8Array>;
/** Where a decoded struct keeps its unknown tags; absent when there are none. */
export const unknownTags: unique symbol = Symbol("unknownTags");

/** What may be said of any field. Versions are written "3", "3-5" or "3+", inclusive, and mean API versions. */
export interface FieldOptions<Default> {
  /** Versions that have the field; all of the message's when left out. */
  readonly versions?: string;
  /** Versions in which it may be null; `true` for all that have it. */
  readonly nullable?: true | string;
  /** Its number in the tag section; then it is sent only when it differs from the default. */
  readonly tag?: number;
  /** Its value where a version lacks it, when not the zero value. */
  readonly default?: Default | null;
  /** A sender may drop a value that the version cannot carry. Without it that is an EncodeError, as in Kafka. */
  readonly ignorable?: true;
  /** What it means, when the name does not say it. */
  readonly about?: string;
}

/** A declared field without its types. */
export interface AnyField extends FieldOptions<unknown> {
  readonly type: WireType;
  /** Element of an array. */
  readonly element?: AnyField;
  /** Fields of a struct, in wire order. */
  readonly fields?: AnyFields;
  /** Keeps its classic form in flexible versions: the client id of the request header. */
  readonly nonFlexible?: true;
}
export type AnyFields = { readonly [name: string]: AnyField };

/** A declared field with its type when decoded, its type when encoded, and whether an encoder may omit it. */
export interface Field<Out, In, Optional extends boolean> extends AnyField {
  /** For inference only; never set. */
  readonly $out: Out;
  readonly $in: In;
  readonly $optional: Optional;
}
// biome-ignore lint/suspicious/noExplicitAny: the constraint for inference has to accept every field.
export type Fields = { readonly [name: string]: Field<any, any, boolean> };

type OrNull<T, O> = O extends { readonly nullable: true | string } ? T | null : T;
/** A field that some version lacks, or whose default is declared, may be left out by the sender. */
type IsOptional<O> = O extends
  | { readonly versions: string }
  | { readonly tag: number }
  | { readonly default: unknown }
  | { readonly ignorable: true }
  ? true
  : false;
type Made<Out, In, O> = Field<OrNull<Out, O>, OrNull<In, O>, IsOptional<O>>;

type ElementOut<E> = E extends Field<infer Out, infer _In, infer _Optional> ? Out : never;
type ElementIn<E> = E extends Field<infer _Out, infer In, infer _Optional> ? In : never;
/** A decoded struct: every field of every version is there. */
export type StructOut<F extends Fields> = { readonly [K in keyof F]: F[K]["$out"] } & {
  readonly [unknownTags]?: UnknownTags;
};
type RequiredNames<F extends Fields> = {
  [K in keyof F]: F[K]["$optional"] extends true ? never : K;
}[keyof F];
/** A struct to encode: fields that some version lacks, or that declare a default, may be left out. */
export type StructIn<F extends Fields> = { readonly [K in RequiredNames<F>]: F[K]["$in"] } & {
  readonly [K in Exclude<keyof F, RequiredNames<F>>]?: F[K]["$in"];
} & { readonly [unknownTags]?: UnknownTags };

/** Takes one value of true or false, a byte on the wire. */
export function bool<const O extends FieldOptions<boolean>>(
  options?: O,
): Made<boolean, boolean, O> {
  return made("bool", options);
}
export function int8<const O extends FieldOptions<number>>(options?: O): Made<number, number, O> {
  return made("int8", options);
}
export function int16<const O extends FieldOptions<number>>(options?: O): Made<number, number, O> {
  return made("int16", options);
}
export function uint16<const O extends FieldOptions<number>>(options?: O): Made<number, number, O> {
  return made("uint16", options);
}
export function int32<const O extends FieldOptions<number>>(options?: O): Made<number, number, O> {
  return made("int32", options);
}
export function uint32<const O extends FieldOptions<number>>(options?: O): Made<number, number, O> {
  return made("uint32", options);
}
/** Decodes to a number; outside ±(2^53−1) to a bigint, which the decoded message reports (docs/adr/0004). */
export function int64<const O extends FieldOptions<number | bigint>>(
  options?: O,
): Made<number, number | bigint, O> {
  return made("int64", options);
}
export function float64<const O extends FieldOptions<number>>(
  options?: O,
): Made<number, number, O> {
  return made("float64", options);
}
/** UTF-8, at most 32,767 bytes. */
export function string<const O extends FieldOptions<string> & { readonly nonFlexible?: true }>(
  options?: O,
): Made<string, string, O> {
  return made("string", options);
}
/** 16 bytes on the wire, Kafka's 22 characters of base64url here. */
export function uuid<const O extends FieldOptions<string>>(options?: O): Made<string, string, O> {
  return made("uuid", options);
}
/** Decodes to a view of the frame. */
export function bytes<const O extends FieldOptions<Uint8Array>>(
  options?: O,
): Made<Uint8Array, Uint8Array, O> {
  return made("bytes", options);
}
/** Record batches. Decodes to a view of the frame; an encoder takes one view or several, and copies no large one. */
export function records<const O extends FieldOptions<never>>(
  options?: O,
): Made<Uint8Array, Uint8Array | readonly Uint8Array[], O> {
  return made("records", options);
}
/** Several of one element, or, given fields, of one struct. */
export function array<const E extends AnyField | Fields, const O extends FieldOptions<never>>(
  element: E,
  options?: O,
): E extends Fields
  ? Made<readonly StructOut<E>[], readonly StructIn<E>[], O>
  : Made<readonly ElementOut<E>[], readonly ElementIn<E>[], O> {
  const isField = typeof (element as AnyField).type === "string";
  const of = isField ? (element as AnyField) : { type: "struct", fields: element as AnyFields };
  return { type: "array", element: of, ...options } as never;
}
/** Fields in a struct of their own. */
export function struct<const F extends Fields, const O extends FieldOptions<never>>(
  fields: F,
  options?: O,
): Made<StructOut<F>, StructIn<F>, O> {
  return { type: "struct", fields, ...options } as never;
}

function made(type: WireType, options: FieldOptions<unknown> | undefined): never {
  return (options === undefined ? { type } : { type, ...options }) as never;
}

/** One message: a request, a response, a header, or something stored. */
export interface Message<F extends Fields = Fields> {
  readonly name: string;
  /** Lowest and highest version there is, inclusive. */
  readonly lowest: number;
  readonly highest: number;
  /** First version of the compact form with tags; Infinity when there is none. */
  readonly flexibleFrom: number;
  readonly fields: F;
  /** Number in front of the stored key, or of the record type; null when it is not one of several. */
  readonly recordType: number | null;
  /** Codecs by version, made at first use. Belongs to compile.ts. */
  readonly codecs: unknown[];
}

/** One API: a key with its request and its response, which always have the same versions. */
export interface Api<Q extends Fields = Fields, R extends Fields = Fields> {
  readonly apiKey: number;
  /** Kafka's name, e.g. "Produce". */
  readonly name: string;
  readonly lowest: number;
  /** Highest version declared, stable or not. */
  readonly highest: number;
  /** Highest version to offer: one less than `highest` while the last version is still unstable in Kafka. */
  readonly highestStable: number;
  /** Lowest version to list in ApiVersions: below `lowest` for Produce alone (decision 16). */
  readonly advertisedLowest: number;
  readonly flexibleFrom: number;
  readonly request: Message<Q>;
  readonly response: Message<R>;
}

/** Declares an API. `versions` is closed ("3-13"), `flexible` open ("9+") or left out. */
export function api<const Q extends Fields, const R extends Fields>(declared: {
  readonly apiKey: number;
  readonly name: string;
  readonly versions: string;
  readonly flexible?: string;
  readonly latestVersionUnstable?: true;
  readonly advertisedLowest?: number;
  readonly request: Q;
  readonly response: R;
}): Api<Q, R> {
  const { apiKey, name } = declared;
  const request = message({ ...declared, name: `${name}Request`, fields: declared.request });
  const response = message({ ...declared, name: `${name}Response`, fields: declared.response });
  const { lowest, highest, flexibleFrom } = request;
  return {
    apiKey,
    name,
    lowest,
    highest,
    highestStable: declared.latestVersionUnstable === true ? highest - 1 : highest,
    advertisedLowest: declared.advertisedLowest ?? lowest,
    flexibleFrom,
    request,
    response,
  };
}

/** Declares a message that is not part of an API. */
export function message<const F extends Fields>(declared: {
  readonly name: string;
  readonly versions: string;
  readonly flexible?: string;
  readonly recordType?: number;
  readonly fields: F;
}): Message<F> {
  const [lowest, highest] = versionRange(declared.versions, 0, Number.POSITIVE_INFINITY);
  const flexibleFrom =
    declared.flexible === undefined
      ? Number.POSITIVE_INFINITY
      : versionRange(declared.flexible, lowest, highest)[0];
  return {
    name: declared.name,
    lowest,
    highest,
    flexibleFrom,
    fields: declared.fields,
    recordType: declared.recordType ?? null,
    codecs: [],
  };
}

/** The bounds, inclusive, of "3", "3-5" or "3+"; of all versions when left out. An open end is `highest`. */
export function versionRange(
  versions: string | undefined,
  lowest: number,
  highest: number,
): [lowest: number, highest: number] {
  if (versions === undefined) return [lowest, highest];
  const dash = versions.indexOf("-");
  const from = Number.parseInt(versions, 10);
  if (versions.endsWith("+")) return [from, highest];
  return [from, dash < 0 ? from : Number.parseInt(versions.slice(dash + 1), 10)];
}
