// Checks a config file against its schema, and says what is wrong in one sentence a problem: the path
// of the key, what was found and what is wanted; for an unknown key the nearest known one.
// Invariant: a plugin object made in the file is left alone; everything else passes the schema.

import type { z } from "zod";
import { CONFIG_SCHEMA, MODULE_SCHEMA, OPTION_SCHEMAS, slotSchema } from "./config_schema.ts";
import { type Path, pathText } from "./key_path.ts";
import { hint } from "./nearest_key.ts";
import {
  mapReferences,
  type OnMissing,
  type Reference,
  type ReferencePlaces,
  readReference,
} from "./references.ts";
import { isSecretKey, masked } from "./secrets.ts";

type Issue = z.core.$ZodIssue;
type Options = Readonly<Record<string, unknown>>;

const SLOTS = { storage: "storage", metadata: "metadata" } as const;
const SLOT_LISTS = { transports: "transport", auth: "auth" } as const;

/**
 * Everything that is wrong with `config`; empty when it is fine.
 *
 * @param lookUp The value of an environment variable that an option refers to.
 * @param folder Where the names of files that options refer to start from.
 * @param onMissing Told of references that lead nowhere, which are then no problem.
 */
export function problemsOf(
  config: unknown,
  lookUp: (name: string) => string | undefined,
  folder = "",
  onMissing?: OnMissing,
): string[] {
  const places = { lookUp, folder, onMissing };
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    return [`the file must hold an object: found ${shown(config)}`];
  }
  const whole: Record<string, unknown> = { ...config };
  const problems: string[] = [];
  for (const [key, slot] of Object.entries(SLOTS)) {
    if (whole[key] === undefined) continue;
    problems.push(...slotProblems(slot, whole[key], [key], places));
    delete whole[key];
  }
  for (const [key, slot] of Object.entries(SLOT_LISTS)) {
    const list = whole[key];
    if (!Array.isArray(list)) continue; // The schema below says so.
    problems.push(...list.flatMap((each, at) => slotProblems(slot, each, [key, at], places)));
    delete whole[key];
  }
  return [...checked(CONFIG_SCHEMA, whole, whole, []), ...problems];
}

/** Whether a slot holds a plugin made in the file. */
export function isPluginObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && "kind" in value && "contract" in value;
}

function slotProblems(slot: string, value: unknown, path: Path, places: ReferencePlaces): string[] {
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
  const builtIn = isModule ? null : slotSchema(slot, use);
  // Without options it must do without: one that needs some says which.
  if (typeof value === "string") {
    return builtIn === null ? [] : checked(builtIn, { use, options: {} }, { use }, path);
  }
  const missing: string[] = [];
  const unknown = new Set<unknown>();
  const replace = (reference: Reference): string => {
    try {
      return readReference(reference, places);
    } catch (error) {
      const { message } = error as Error;
      unknown.add(reference);
      if (places.onMissing !== undefined) places.onMissing(reference, pathText(path), message);
      else missing.push(`${pathText(path)} refers to ${message}`);
      return "";
    }
  };
  const { options = {} } = value as { options?: unknown };
  const isTree = typeof options === "object" && options !== null && !Array.isArray(options);
  const resolved = {
    ...(value as object),
    options: isTree ? mapReferences(options as Options, replace) : options,
  };
  if (missing.length > 0) return missing;
  return checked(builtIn ?? MODULE_SCHEMA, resolved, value, path, unknown);
}

/** `raw` is what messages show: a secret that a reference stands for is not printed. Of what is `unknown` there are none. */
function checked(
  schema: z.ZodType,
  value: unknown,
  raw: unknown,
  path: Path,
  unknown: ReadonlySet<unknown> = new Set(),
): string[] {
  const result = schema.safeParse(value);
  if (result.success) return [];
  return result.error.issues
    .filter((issue) => !unknown.has(valueAt(raw, issue.path)))
    .flatMap((issue) => sentences(issue, schema, raw, path));
}

function sentences(issue: Issue, schema: z.ZodType, value: unknown, base: Path): string[] {
  const path = [...base, ...issue.path];
  const found = valueAt(value, issue.path);
  const at = pathText(path);
  const key = path.at(-1);
  // What should be a hash may be the token itself.
  const isHidden = typeof found === "string" && (isSecretKey(key) || key === "hash");
  const shownValue = isHidden ? "something that is not shown" : shown(found);
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => {
        const known = keysAt(schema, issue.path);
        const list = known.length === 0 ? "" : ` (known: ${known.join(", ")})`;
        return `Unknown key "${pathText([...path, key])}"${hint(key, known) || list}`;
      });
    case "invalid_type":
      return [`${at} must be ${article(issue.expected)}: found ${shownValue}`];
    case "invalid_value":
      return [
        `${at} must be ${issue.values.map(shown).join(" or ")}: found ${shownValue}${hint(String(found), issue.values.map(String))}`,
      ];
    case "too_small":
      return issue.origin === "string" || issue.origin === "array"
        ? [`${at} must not be empty: found ${shownValue}`]
        : [`${at} must be at least ${issue.minimum}: found ${shownValue}`];
    case "too_big":
      return [
        issue.origin === "string"
          ? `${at} must have at most ${issue.maximum} characters: found ${shownValue}`
          : `${at} must be at most ${issue.maximum}: found ${shownValue}`,
      ];
    case "invalid_union":
      return [`${at} must be text, a number, true or false: found ${shownValue}`];
    default:
      return [`${at} must be ${issue.message}: found ${shownValue}`];
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
  // A slot that is wrong as a whole may hold secrets further down, and a token where its hash belongs.
  const hide = (key: string, each: unknown) => masked(key === "hash" ? "token" : key, each);
  const text = typeof value === "bigint" ? `${value}n` : JSON.stringify(value, hide);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
