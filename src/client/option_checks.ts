// Options that callers without types may have wrong: refused where they are given, by name.
// Invariant: what passes is a number within its bound or one of the words there are; nothing is corrected.
// Kafka: ConfigDef validators.

import { ClientError } from "./client_error.ts";

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
    if (value === undefined || (typeof value === "number" && value >= bound)) continue;
    throw new TypeError(`${name} must be a number from ${bound} on: found ${shown(value)}`);
  }
  for (const name of Object.keys(words) as (keyof O & string)[]) {
    const value: unknown = options[name];
    const known = words[name]!;
    if (value === undefined || known.includes(value as string)) continue;
    throw new TypeError(`${name} must be one of ${known.join(", ")}: found ${shown(value)}`);
  }
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
