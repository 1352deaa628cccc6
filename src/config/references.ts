// `{ env: "NAME" }` in plugin options: secrets stand in the environment, not in the file.

/** Puts what `replace` returns in the place of every `{ env: "NAME" }`. */
export function mapReferences(value: unknown, replace: (name: string) => unknown): unknown {
  if (Array.isArray(value)) return value.map((each) => mapReferences(each, replace));
  if (typeof value !== "object" || value === null) return value;
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  const entries = Object.entries(value);
  if (entries.length === 1 && entries[0]![0] === "env" && typeof entries[0]![1] === "string") {
    return replace(entries[0]![1]);
  }
  return Object.fromEntries(entries.map(([key, each]) => [key, mapReferences(each, replace)]));
}
