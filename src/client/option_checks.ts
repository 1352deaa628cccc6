// Options that callers without types may have wrong: refused where they are given, by name.
// Invariant: what passes is a number within its bound or one of the words there are; nothing is corrected.
// Kafka: ConfigDef validators.

import { hint } from "../base/nearest_key.ts";
import { ClientError } from "./client_error.ts";

/** The name of every option: one that is left out of a list would be refused, and the compiler says so. */
export type OptionNames<O extends object> = { readonly [name in keyof Required<O>]: true };

/** Options of everybody who reads, in a group or by himself. */
export const READING_NAMES = {
  untilEnd: true,
  recordsMax: true,
  isolation: true,
  waitMsMax: true,
  bytesMin: true,
  bytesMax: true,
  partitionBytesMax: true,
  bufferBytesMax: true,
  batchBytesMax: true,
  signal: true,
} as const;

/** How many of something: there is no half of one. */
const COUNTS = new Set(["limit", "recordsMax"]);

/**
 * Refuses what is no object, and options whose names nobody knows: callers without types would wait in vain for an effect.
 * What is undefined is not there.
 *
 * @param whose as in "of a table"
 * @param others names that belong elsewhere, and may have been meant
 * @throws {TypeError}
 */
export function checkNames<O extends object>(
  options: O,
  names: OptionNames<O>,
  whose: string,
  others: readonly string[] = [],
): void {
  requireObject(options, `The options of ${whose}`);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || Object.hasOwn(names, name)) continue;
    const known = [...Object.keys(names), ...others].filter((each) => each !== name);
    const near = hint(name, known) || `; there are ${Object.keys(names).join(", ")}`;
    throw new TypeError(`There is no option "${name}" of ${whose}${near}`);
  }
}

/** @param what as in "The options of a table" @throws {TypeError} */
export function requireObject(options: unknown, what: string): void {
  if (typeof options === "object" && options !== null && !Array.isArray(options)) return;
  throw new TypeError(`${what} must be an object: found ${shown(options)}`);
}

/** A list of topics' names. @throws {TypeError} */
export function checkTopics(topics: unknown): void {
  if (topics === undefined) return;
  if (!Array.isArray(topics)) {
    throw new TypeError(`topics must be a list of names: found ${shown(topics)}`);
  }
  for (const each of topics) {
    if (typeof each === "string" && each !== "") continue;
    throw new TypeError(`topics must be names: found ${shown(each)}`);
  }
}

/**
 * What offsets to commit have wrong; null when nothing.
 *
 * @returns "invalid_request", or null
 */
export function offsetsFault(offsets: unknown): ClientError | null {
  if (!Array.isArray(offsets)) {
    const text = `Offsets to commit are a list of { topic, partition, offset }: found ${shown(offsets)}`;
    return new ClientError("invalid_request", text);
  }
  for (const each of offsets) {
    const { topic, partition, offset } = each ?? {};
    const isPlace = typeof topic === "string" && topic !== "" && isWhole(partition);
    if (isPlace && isWhole(offset)) continue;
    const text = isPlace
      ? `An offset is a whole number from 0: found ${offset} for ${topic}-${partition}`
      : `An offset to commit has a topic and a partition: found "${topic}" and ${partition}`;
    return new ClientError("invalid_request", text);
  }
  return null;
}

function isWhole(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/**
 * Refuses numbers out of bounds and words that nobody knows. What is left out passes.
 *
 * @param lowest each numeric option's lowest value; Infinity may be given where no bound is wanted
 * @param words each option that takes one of some values
 * @throws {TypeError}
 */
export function checkOptions<O extends object>(
  options: O,
  lowest: { readonly [name in keyof O]?: number },
  words: { readonly [name in keyof O]?: readonly (string | number)[] } = {},
): void {
  for (const name of Object.keys(lowest) as (keyof O & string)[]) {
    const value: unknown = options[name];
    const bound = lowest[name]!;
    const isCount = COUNTS.has(name);
    const isWhole = !isCount || value === Number.POSITIVE_INFINITY || Number.isInteger(value);
    if (value === undefined || (typeof value === "number" && value >= bound && isWhole)) continue;
    const kind = isCount ? "a whole number" : "a number";
    throw new TypeError(`${name} must be ${kind} from ${bound} on: found ${shown(value)}`);
  }
  for (const name of Object.keys(words) as (keyof O & string)[]) {
    const value: unknown = options[name];
    const known = words[name]!;
    if (value === undefined || known.includes(value as string)) continue;
    throw new TypeError(`${name} must be one of ${known.join(", ")}: found ${shown(value)}`);
  }
}

function shown(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (Array.isArray(value)) return "a list";
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
