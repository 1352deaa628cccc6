// JSON that strangers wrote: bounded in depth before it is parsed, and told where it is broken.
// Invariant: text nested deeper than the bound never reaches JSON.parse, whose stack it could use up.

import { Refusal } from "./problem.ts";

/** Objects and arrays within one another. */
export const JSON_DEPTH_MAX = 64;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** @throws {Refusal} 400 with the position, in characters from 0, where there is one */
export function parseJson(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new Refusal(400, "invalid_json", "The body is not UTF-8");
  }
  const deepAt = tooDeepAt(text);
  if (deepAt >= 0) {
    throw invalid(`JSON may be nested ${JSON_DEPTH_MAX} deep at most`, text, deepAt);
  }
  try {
    return JSON.parse(text);
  } catch {
    const at = faultAt(text);
    const what = at >= text.length ? "The body ends within its JSON" : "The body is not JSON";
    throw invalid(what, text, at);
  }
}

function invalid(what: string, text: string, position: number): Refusal {
  const before = text.slice(0, position).split("\n");
  const line = before.length;
  const column = before[line - 1]!.length + 1;
  return new Refusal(400, "invalid_json", `${what} (line ${line}, column ${column})`, {
    members: { position, line, column },
  });
}

/** Where nesting goes beyond the bound; -1 when it does not. */
function tooDeepAt(text: string): number {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      at = stringEnd(text, at) - 1;
    } else if (code === 0x7b || code === 0x5b) {
      if (++depth > JSON_DEPTH_MAX) return at;
    } else if (code === 0x7d || code === 0x5d) depth--;
  }
  return -1;
}

/** Behind the string that begins at `at`, or the text's end. */
function stringEnd(text: string, at: number): number {
  for (at++; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x5c) at++;
    else if (code === 0x22) return at + 1;
  }
  return text.length;
}

const SPACE = /[ \t\n\r]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/y;
const WORD = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

/** Where broken JSON is broken first: hosts say it in different ways, or not at all. */
function faultAt(text: string): number {
  let at = skip(SPACE, text, 0);
  const closers: string[] = [];
  let wants: "value" | "key" | "first value" | "first key" | "rest" = "value";
  for (;;) {
    if (wants === "rest") {
      const closer = closers.at(-1);
      if (closer === undefined) return at;
      if (text[at] === closer) closers.pop();
      else if (text[at] === ",") wants = closer === "}" ? "key" : "value";
      else return at;
      at++;
    } else if ((wants === "first value" || wants === "first key") && text[at] === closers.at(-1)) {
      closers.pop();
      wants = "rest";
      at++;
    } else if (wants === "key" || wants === "first key") {
      if (text[at] !== '"') return at;
      const string = readString(text, at);
      if (!string.isWhole) return string.end;
      at = skip(SPACE, text, string.end);
      if (text[at] !== ":") return at;
      at++;
      wants = "value";
    } else if (text[at] === "{" || text[at] === "[") {
      const isObject = text[at] === "{";
      closers.push(isObject ? "}" : "]");
      wants = isObject ? "first key" : "first value";
      at++;
    } else if (text[at] === '"') {
      const string = readString(text, at);
      if (!string.isWhole) return string.end;
      at = string.end;
      wants = "rest";
    } else {
      const end = skip(WORD, text, at);
      if (end === at) return at;
      at = end;
      wants = "rest";
    }
    at = skip(SPACE, text, at);
  }
}

/** By hand: a pattern would go back over a long string, again and again. */
function readString(
  text: string,
  from: number,
): { readonly end: number; readonly isWhole: boolean } {
  let at = from + 1;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === 0x22) return { end: at + 1, isWhole: true };
    if (code < 0x20) break;
    if (code !== 0x5c) {
      at++;
      continue;
    }
    const end = skip(ESCAPE, text, at);
    if (end === at) break;
    at = end;
  }
  return { end: at, isWhole: false };
}

function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}
