// Words of the command line to values, by a command's flags. The only importer of citty.
// Invariant: no word is ignored: an unknown flag is refused with the nearest known one, and a value that
// does not fit is refused with what would.

import { parseArgs } from "citty";
import { hint } from "../config/nearest_key.ts";
import { UsageError } from "./cli_error.ts";
import { type Flag, HELP_FLAG, type Words } from "./flags.ts";

const SCALES: Readonly<Record<string, number>> = { k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** What a command was given. */
export class Arguments {
  readonly #command: string;
  readonly #values: ReadonlyMap<string, string>;
  readonly #switches: ReadonlySet<string>;
  readonly #lists: ReadonlyMap<string, readonly string[]>;

  constructor(
    command: string,
    values: ReadonlyMap<string, string>,
    switches: ReadonlySet<string>,
    lists: ReadonlyMap<string, readonly string[]>,
  ) {
    this.#command = command;
    this.#values = values;
    this.#switches = switches;
    this.#lists = lists;
  }

  /** A flag's value or a positional, or undefined. */
  text(name: string): string | undefined {
    return this.#values.get(name);
  }

  /** A positional that must be there. */
  required(name: string): string {
    const value = this.#values.get(name);
    if (value === undefined) throw this.wrong(`${name.toUpperCase()} is missing`);
    return value;
  }

  has(name: string): boolean {
    return this.#switches.has(name);
  }

  list(name: string): readonly string[] {
    return this.#lists.get(name) ?? [];
  }

  /** A whole number from `min` to `max`, or undefined. Takes 64k, 1m and the like. */
  whole(name: string, min: number, max = Number.MAX_SAFE_INTEGER): number | undefined {
    const text = this.#values.get(name);
    return text === undefined ? undefined : this.wholeOf(`--${name}`, text, min, max);
  }

  /** `text` as a whole number; `what` says whose value it is. */
  wholeOf(what: string, text: string, min: number, max = Number.MAX_SAFE_INTEGER): number {
    const match = /^(-?\d[\d_]*)([kmg]?)$/i.exec(text.trim());
    const scale = SCALES[match?.[2]?.toLowerCase() ?? ""] ?? 1;
    const value = match === null ? Number.NaN : Number(match[1]!.replaceAll("_", "")) * scale;
    if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
    const isBounded = max < Number.MAX_SAFE_INTEGER || value > max;
    const range = isBounded ? `from ${min} to ${max}` : `of at least ${min}`;
    throw this.wrong(`${what} must be a whole number ${range}: found "${text}"`);
  }

  /** NAME=VALUE pairs of a flag that may be repeated. */
  pairs(name: string): [string, string][] {
    return this.list(name).map((text) => {
      const at = text.indexOf("=");
      if (at <= 0) throw this.wrong(`--${name} must be NAME=VALUE: found "${text}"`);
      return [text.slice(0, at), text.slice(at + 1)];
    });
  }

  wrong(message: string): UsageError {
    return new UsageError(message, this.#command);
  }
}

/** Reads the words after a command's name. @throws {UsageError} */
export function readArguments(spec: Words, words: readonly string[]): Arguments {
  const flags = [...spec.flags, HELP_FLAG];
  const { plain, lists, positionals } = sorted(spec, flags, words);
  const parsed = parseArgs(
    plain,
    Object.fromEntries(
      flags.map((flag) => [
        flag.name,
        { type: flag.value === undefined ? ("boolean" as const) : ("string" as const) },
      ]),
    ),
  );
  const values = new Map<string, string>();
  const switches = new Set<string>();
  for (const flag of flags) {
    const value = parsed[flag.name];
    if (flag.value === undefined) {
      if (value === true) switches.add(flag.name);
    } else if (typeof value === "string") {
      requireChoice(spec, flag, value);
      values.set(flag.name, value);
    }
  }
  placePositionals(spec, positionals, values, lists, switches.has("help"));
  return new Arguments(spec.name, values, switches, lists);
}

/** Takes lists and positionals out, and writes what is left as `--name=value`. */
function sorted(
  spec: Words,
  flags: readonly Flag[],
  words: readonly string[],
): { plain: string[]; lists: Map<string, string[]>; positionals: string[] } {
  const plain: string[] = [];
  const positionals: string[] = [];
  const lists = new Map<string, string[]>();
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (word === "--") {
      positionals.push(...words.slice(at + 1));
      break;
    }
    if (!word.startsWith("-") || word === "-") {
      positionals.push(word);
      continue;
    }
    const equals = word.indexOf("=");
    const name = equals < 0 ? word : word.slice(0, equals);
    const flag = flags.find((each) => `--${each.name}` === name || `-${each.short}` === name);
    if (flag === undefined) {
      const known = flags.map((each) => `--${each.name}`);
      throw new UsageError(`Unknown flag "${name}"${hint(name, known)}`, spec.name);
    }
    if (flag.value === undefined) {
      if (equals >= 0) throw new UsageError(`${name} takes no value`, spec.name);
      plain.push(`--${flag.name}`);
      continue;
    }
    const value = equals < 0 ? words[++at] : word.slice(equals + 1);
    if (value === undefined) {
      throw new UsageError(`${name} needs a value: ${name} ${flag.value}`, spec.name);
    }
    if (flag.isList === true) lists.set(flag.name, [...(lists.get(flag.name) ?? []), value]);
    else plain.push(`--${flag.name}=${value}`);
  }
  return { plain, lists, positionals };
}

function requireChoice(spec: Words, flag: Flag, value: string): void {
  const { choices } = flag;
  if (choices === undefined || choices.includes(value)) return;
  const nearest = hint(value, choices);
  throw new UsageError(
    `--${flag.name} must be one of ${choices.join(", ")}: found "${value}"${nearest}`,
    spec.name,
  );
}

function placePositionals(
  spec: Words,
  words: readonly string[],
  values: Map<string, string>,
  lists: Map<string, string[]>,
  isHelp: boolean,
): void {
  let at = 0;
  for (const each of spec.positionals ?? []) {
    const isThere = at < words.length;
    if (!isThere && each.isOptional !== true && !isHelp) {
      throw new UsageError(`${each.name.toUpperCase()} is missing`, spec.name);
    }
    if (each.isList === true) {
      lists.set(each.name, words.slice(at));
      at = words.length;
    } else if (isThere) values.set(each.name, words[at++]!);
  }
  if (at < words.length) {
    throw new UsageError(`Too many words: found "${words[at]}"`, spec.name);
  }
}
