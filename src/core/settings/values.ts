// Reads the text of a setting by its type and bounds, by Kafka's rules, and says what is wrong with it.
// Invariant: a text that was read is canonical, and reads again to the same value.
// Kafka: ConfigDef.parseType, ConfigDef.Range, ValidString, ValidList, ThrottledReplicaListValidator.

import type { SettingDefinition, SettingType } from "./definitions.ts";

/** A value read: `text` is canonical ("TRUE" becomes "true", " a , b" becomes "a,b"). */
export interface SettingValue {
  readonly text: string;
  /** For numbers: the value, rounded where a long is beyond ±(2^53−1). For booleans 0 or 1. Else 0. */
  readonly number: number;
  /** For lists: the items. Else empty. */
  readonly items: readonly string[];
}

export type SettingOutcome =
  | { readonly ok: true; readonly value: SettingValue }
  | { readonly ok: false; readonly message: string };

const NO_ITEMS: readonly string[] = [];
const WHOLE = /^[+-]?[0-9]+$/;
const DOUBLE = /^[+-]?(?:NaN|Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fFdD]?)$/;
const INTEGER_BITS: Readonly<Partial<Record<SettingType, bigint>>> = {
  short: 16n,
  int: 32n,
  long: 64n,
};

/** Reads and checks `text`. The message names the value found and what is wanted. */
export function readSetting(definition: SettingDefinition, text: string): SettingOutcome {
  const trimmed = text.trim();
  switch (definition.type) {
    case "boolean":
      return readBoolean(definition, trimmed);
    case "short":
    case "int":
    case "long":
    case "double":
      return readNumber(definition, trimmed);
    case "list":
      return readList(definition, trimmed);
    case "string":
    case "class":
      return readWord(definition, trimmed);
    case "password":
      return done(text, 0);
  }
}

function done(text: string, value: number, items = NO_ITEMS): SettingOutcome {
  return { ok: true, value: { text, number: value, items } };
}

function fail(definition: SettingDefinition, found: string, wanted: string): SettingOutcome {
  const shown = found.length > 80 ? `${found.slice(0, 80)}…` : found;
  return {
    ok: false,
    message: `Invalid value "${shown}" for configuration ${definition.name}: wanted ${wanted}`,
  };
}

function readBoolean(definition: SettingDefinition, text: string): SettingOutcome {
  const lower = text.toLowerCase();
  if (lower === "true") return done("true", 1);
  if (lower === "false") return done("false", 0);
  return fail(definition, text, "true or false");
}

function readNumber(definition: SettingDefinition, text: string): SettingOutcome {
  const bits = INTEGER_BITS[definition.type];
  let value: number;
  let canonical: string;
  if (bits !== undefined) {
    if (!WHOLE.test(text) || text.length > 40)
      return fail(definition, text, wantedNumber(definition));
    const exact = BigInt(text.startsWith("+") ? text.slice(1) : text);
    if (BigInt.asIntN(Number(bits), exact) !== exact) {
      return fail(definition, text, wantedNumber(definition));
    }
    value = Number(exact);
    canonical = exact.toString();
  } else {
    if (!DOUBLE.test(text)) return fail(definition, text, wantedNumber(definition));
    value = Number(text.replace(/[fFdD]$/, ""));
    canonical = text;
  }
  if (definition.valid !== "" && !isInRanges(definition.valid, value)) {
    return fail(definition, text, wantedNumber(definition));
  }
  return done(canonical, value);
}

function isInRanges(valid: string, value: number): boolean {
  for (const part of valid.split("|")) {
    const dots = part.indexOf("..");
    if (dots === -1) {
      if (value === Number(part)) return true;
      continue;
    }
    const low = part.slice(0, dots);
    const high = part.slice(dots + 2);
    if ((low === "" || value >= Number(low)) && (high === "" || value <= Number(high))) return true;
  }
  return false;
}

/** Says the kind of number, the unit that the name ends in, and the bounds: "a whole number of milliseconds (int), at least 1". */
export function wantedNumber(definition: SettingDefinition): string {
  const kind = definition.type === "double" ? "a number" : "a whole number";
  const unit = unitOf(definition.name);
  const bounds = definition.valid
    .split("|")
    .filter((part) => part !== "")
    .map((part) => {
      const dots = part.indexOf("..");
      if (dots === -1) return part;
      const low = part.slice(0, dots);
      const high = part.slice(dots + 2);
      if (high === "") return `at least ${low}`;
      return `${low} to ${high}`;
    })
    .join(" or ");
  return `${kind}${unit === "" ? "" : ` of ${unit}`} (${definition.type})${bounds === "" ? "" : `, ${bounds}`}`;
}

const UNITS: readonly (readonly [ending: string, unit: string])[] = [
  [".ms", "milliseconds"],
  [".millis", "milliseconds"],
  [".seconds", "seconds"],
  [".secs", "seconds"],
  [".minutes", "minutes"],
  [".hours", "hours"],
  [".bytes", "bytes"],
];

function unitOf(name: string): string {
  for (const [ending, unit] of UNITS) if (name.endsWith(ending)) return unit;
  return "";
}

function readList(definition: SettingDefinition, text: string): SettingOutcome {
  const items = text === "" ? [] : text.split(",").map((item) => item.trim());
  if (items.includes("")) return fail(definition, text, "a list without empty items");
  if (new Set(items).size !== items.length) {
    return fail(definition, text, "a list that names nothing twice");
  }
  if (definition.valid === "throttled") {
    const isAll = items.length === 1 && items[0] === "*";
    if (!isAll && !items.every((item) => /^[0-9]+:[0-9]+$/.test(item))) {
      return fail(definition, text, '"*" or a list of PARTITION:BROKER, e.g. "0:1,1:2"');
    }
  } else if (definition.valid !== "") {
    const allowed = definition.valid.split("|");
    if (!items.every((item) => allowed.includes(item))) {
      return fail(definition, text, `a list of ${allowed.join(", ")}`);
    }
  }
  return done(items.join(","), 0, items);
}

function readWord(definition: SettingDefinition, text: string): SettingOutcome {
  const { valid } = definition;
  if (valid === "") return done(text, 0);
  if (valid === "nonempty") {
    return text === "" ? fail(definition, text, "a text that is not empty") : done(text, 0);
  }
  const isAnyCase = valid.startsWith("~");
  const allowed = (isAnyCase ? valid.slice(1) : valid).split("|");
  const found = isAnyCase ? text.toUpperCase() : text;
  if (allowed.some((word) => (isAnyCase ? word.toUpperCase() : word) === found)) {
    return done(text, 0);
  }
  return fail(definition, text, `one of ${allowed.join(", ")}`);
}

/** The name of `names` that `name` was most likely meant to be; null when none is near. */
export function nearestName(name: string, names: Iterable<string>): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(name.length / 4)) + 1;
  for (const candidate of names) {
    if (Math.abs(candidate.length - name.length) >= bestDistance) continue;
    const distance = editDistance(name, candidate, bestDistance);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance, given up (returning `limit`) as soon as it cannot be below `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let least = i;
    for (let j = 1; j <= b.length; j++) {
      const cost = a.charCodeAt(i - 1) === b.charCodeAt(j - 1) ? 0 : 1;
      const cell = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + cost);
      row.push(cell);
      if (cell < least) least = cell;
    }
    if (least >= limit) return limit;
    previous = row;
  }
  return previous[b.length]!;
}
