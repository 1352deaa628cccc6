// Options that callers without types may have wrong: refused where they are given, by name.
// Invariant: what passes is a number within its bound or one of the words there are; nothing is corrected.
// Kafka: ConfigDef validators.

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
