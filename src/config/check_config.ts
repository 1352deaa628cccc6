// Checks a config file against its schema, and says what is wrong in one sentence a problem: the path
// of the key, what was found and what is wanted; for an unknown key the nearest known one.
// Invariant: a plugin object made in the file is left alone; everything else passes the schema.

import type { z } from "zod";
import { CONFIG_SCHEMA, MODULE_SCHEMA, OPTION_SCHEMAS, slotSchema } from "./config_schema.ts";
import { hint } from "./nearest_key.ts";
import { mapReferences } from "./references.ts";

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

const SLOTS = { storage: "storage", metadata: "metadata" } as const;
const SLOT_LISTS = { transports: "transport", auth: "auth" } as const;

/**
 * Everything that is wrong with `config`; empty when it is fine.
 *
 * @param lookUp The value of an environment variable that an option refers to.
 */
export function problemsOf(
  config: unknown,
  lookUp: (name: string) => string | undefined,
): string[] {
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    return [`the file must hold an object: found ${shown(config)}`];
  }
  const whole: Record<string, unknown> = { ...config };
  const problems: string[] = [];
  for (const [key, slot] of Object.entries(SLOTS)) {
    if (whole[key] === undefined) continue;
    problems.push(...slotProblems(slot, whole[key], [key], lookUp));
    delete whole[key];
  }
  for (const [key, slot] of Object.entries(SLOT_LISTS)) {
    const list = whole[key];
    if (!Array.isArray(list)) continue; // The schema below says so.
    problems.push(...list.flatMap((each, at) => slotProblems(slot, each, [key, at], lookUp)));
    delete whole[key];
  }
  return [...checked(CONFIG_SCHEMA, whole, whole, []), ...problems];
}

/** Whether a slot holds a plugin made in the file. */
export function isPluginObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && "kind" in value && "contract" in value;
}

function slotProblems(
  slot: string,
  value: unknown,
  path: Path,
  lookUp: (name: string) => string | undefined,
): string[] {
  if (isPluginObject(value)) return [];
  const use = typeof value === "string" ? value : (value as { use?: unknown } | null)?.use;
  const words = Object.keys(OPTION_SCHEMAS[slot]!);
  if (typeof use !== "string") {
    return [
      `${pathText(path)} must be a name, { use, options } or a plugin: found ${shown(value)}`,
    ];
  }
  const isModule = /[/.:]/.test(use);
  if (!isModule && !words.includes(use)) {
    const at = typeof value === "string" ? path : [...path, "use"];
    const known = words.length === 0 ? "no built-in one yet" : words.join(", ");
    return [
      `${pathText(at)} must be a built-in ${slot} (${known}) or a module with a /, . or :, found "${use}"${hint(use, words)}`,
    ];
  }
  if (typeof value === "string") return [];
  const missing: string[] = [];
  const resolved = mapReferences(value, (name) => {
    const found = lookUp(name);
    if (found === undefined) missing.push(name);
    return found ?? "";
  });
  if (missing.length > 0) {
    return missing.map(
      (name) => `${pathText(path)} refers to the variable ${name}, which is not set`,
    );
  }
  return checked((isModule ? null : slotSchema(slot, use)) ?? MODULE_SCHEMA, resolved, value, path);
}

/** `raw` is what messages show: a secret that a reference stands for is not printed. */
function checked(schema: z.ZodType, value: unknown, raw: unknown, path: Path): string[] {
  const result = schema.safeParse(value);
  if (result.success) return [];
  return result.error.issues.flatMap((issue) => sentences(issue, schema, raw, path));
}

function sentences(issue: Issue, schema: z.ZodType, value: unknown, base: Path): string[] {
  const path = [...base, ...issue.path];
  const found = valueAt(value, issue.path);
  const at = pathText(path);
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => {
        const known = keysAt(schema, issue.path);
        const list = known.length === 0 ? "" : ` (known: ${known.join(", ")})`;
        return `Unknown key "${pathText([...path, key])}"${hint(key, known) || list}`;
      });
    case "invalid_type":
      return [`${at} must be ${article(issue.expected)}: found ${shown(found)}`];
    case "invalid_value":
      return [`${at} must be ${issue.values.map(shown).join(" or ")}: found ${shown(found)}`];
    case "too_small":
      return issue.origin === "string" || issue.origin === "array"
        ? [`${at} must not be empty: found ${shown(found)}`]
        : [`${at} must be at least ${issue.minimum}: found ${shown(found)}`];
    case "too_big":
      return [
        issue.origin === "string"
          ? `${at} must have at most ${issue.maximum} characters: found ${shown(found)}`
          : `${at} must be at most ${issue.maximum}: found ${shown(found)}`,
      ];
    case "invalid_union":
      return [`${at} must be text, a number, true or false: found ${shown(found)}`];
    default:
      return [`${at} must be ${issue.message}: found ${shown(found)}`];
  }
}

/** Known keys of the object at `path`, read from the schema itself. */
function keysAt(schema: z.ZodType, path: Path): string[] {
  let at: unknown = schema;
  for (const step of path) {
    at = inner(at);
    const { shape, element } = at as { shape?: Record<string, unknown>; element?: unknown };
    at = typeof step === "number" ? element : shape?.[String(step)];
  }
  return Object.keys((inner(at) as { shape?: object } | undefined)?.shape ?? {});
}

function inner(schema: unknown): unknown {
  let at = schema as { unwrap?: () => unknown } | undefined;
  while (typeof at?.unwrap === "function" && !("shape" in at) && !("element" in at)) {
    at = at.unwrap() as typeof at;
  }
  return at;
}

/** `transports[0].options.listen`, `settings["log.dirs"]`. */
export function pathText(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else if (/^[A-Za-z_$][\w$]*$/.test(String(step)))
      text += `${text === "" ? "" : "."}${String(step)}`;
    else text += text === "" ? String(step) : `[${JSON.stringify(step)}]`;
  }
  return text;
}

function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const step of path) at = (at as Record<PropertyKey, unknown> | undefined)?.[step];
  return at;
}

function article(expected: string): string {
  const words: Record<string, string> = {
    int: "a whole number",
    number: "a number",
    string: "text",
    boolean: "true or false",
    array: "a list",
    object: "an object",
    record: "an object",
  };
  return words[expected] ?? expected;
}

function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "function") return "a function";
  const text = typeof value === "bigint" ? `${value}n` : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
