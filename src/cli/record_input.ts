// What people feed to `produce`, cut into records: lines, JSON lines, or the whole input as one record.
// Invariant: a line keeps every byte but its newline; the last one counts also without a newline.

import { CommandError } from "./cli_error.ts";

/** A record as the input gives it. */
export interface InputRecord {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly { readonly key: string; readonly value: Uint8Array | null }[];
  readonly partition: number | undefined;
  readonly timestampMs: number | undefined;
}

/** Finds the lines of a stream of chunks. A line longer than the bound is refused. */
export class LineSplitter {
  readonly #lineBytesMax: number;
  #rest: Uint8Array[] = [];
  #restBytes = 0;
  /** Lines given out so far. */
  count = 0;

  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax;
  }

  /** Lines that end in this chunk, as views of it where they began in it. */
  *push(chunk: Uint8Array): Generator<Uint8Array, void, undefined> {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(10, start);
      if (end < 0) break;
      const line = chunk.subarray(start, end);
      start = end + 1;
      this.count++;
      yield this.#restBytes === 0 ? line : this.#joined(line);
    }
    if (start === chunk.length) return;
    const left = chunk.subarray(start);
    this.#restBytes += left.length;
    if (this.#restBytes > this.#lineBytesMax) {
      throw new CommandError(
        "input",
        `Line ${this.count + 1} has more than ${this.#lineBytesMax} bytes: is this a file of lines? --format raw sends a whole file as one record`,
      );
    }
    this.#rest.push(left);
  }

  /** The line after the last newline; null when there is none. */
  end(): Uint8Array | null {
    if (this.#restBytes === 0) return null;
    this.count++;
    return this.#joined(new Uint8Array(0));
  }

  #joined(last: Uint8Array): Uint8Array {
    const line = new Uint8Array(this.#restBytes + last.length);
    let at = 0;
    for (const part of this.#rest) {
      line.set(part, at);
      at += part.length;
    }
    line.set(last, at);
    this.#rest = [];
    this.#restBytes = 0;
    return line;
  }
}

/** A line at its first separator; without one the whole line is the value. */
export function keyedLine(
  line: Uint8Array,
  separator: Uint8Array,
): { key: Uint8Array | null; value: Uint8Array } {
  const at = indexOfBytes(line, separator);
  if (at < 0) return { key: null, value: line };
  return { key: line.subarray(0, at), value: line.subarray(at + separator.length) };
}

function indexOfBytes(bytes: Uint8Array, wanted: Uint8Array): number {
  for (let at = bytes.indexOf(wanted[0]!); at >= 0; at = bytes.indexOf(wanted[0]!, at + 1)) {
    let matched = 1;
    while (matched < wanted.length && bytes[at + matched] === wanted[matched]) matched++;
    if (matched === wanted.length) return at;
  }
  return -1;
}

const FIELDS = ["key", "value", "headers", "partition", "timestamp"];
/** What `consume --format json` adds, so that its output can be produced again. */
const IGNORED = ["topic", "offset"];
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * One line of JSON: `{"key": …, "value": …, "headers": …, "partition": N, "timestamp": MS}`, all of it
 * optional. Keys, values and header values are text, null, or `{"base64": "…"}`.
 *
 * @throws {CommandError} naming the line
 */
export function jsonRecord(line: Uint8Array, lineNumber: number): InputRecord {
  const wrong = (why: string) => new CommandError("input", `Line ${lineNumber}: ${why}`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(decoder.decode(line));
  } catch (error) {
    throw wrong(`not JSON (${(error as Error).message})`);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw wrong('a record must be an object, e.g. {"key": "k", "value": "v"}');
  }
  const record = parsed as Record<string, unknown>;
  for (const name of Object.keys(record)) {
    if (!FIELDS.includes(name) && !IGNORED.includes(name)) {
      throw wrong(
        `unknown field "${name}": known are ${FIELDS.join(", ")} (to send lines of JSON as they are, use --format lines)`,
      );
    }
  }
  const whole = (name: string): number | undefined => {
    const value = record[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
    throw wrong(`"${name}" must be a whole number: found ${JSON.stringify(value)}`);
  };
  return {
    key: payload(record["key"], "key", wrong),
    value: payload(record["value"], "value", wrong),
    headers: headersOf(record["headers"], wrong),
    partition: whole("partition"),
    timestampMs: whole("timestamp"),
  };
}

type Wrong = (why: string) => CommandError;

function payload(value: unknown, name: string, wrong: Wrong): Uint8Array | null {
  if (value === undefined || value === null) return null;
  if (typeof value === "string") return encoder.encode(value);
  const base64 = (value as { base64?: unknown }).base64;
  if (typeof value === "object" && typeof base64 === "string" && Object.keys(value).length === 1) {
    try {
      return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    } catch {
      throw wrong(`"${name}" is not base64`);
    }
  }
  throw wrong(`"${name}" must be text, null or {"base64": "…"}: found ${JSON.stringify(value)}`);
}

function headersOf(headers: unknown, wrong: Wrong): InputRecord["headers"] {
  if (headers === undefined || headers === null) return [];
  if (Array.isArray(headers)) {
    return headers.map((each: unknown) => {
      const { key, value } = (each ?? {}) as { key?: unknown; value?: unknown };
      if (typeof key !== "string") throw wrong('a header must be {"key": "…", "value": "…"}');
      return { key, value: payload(value, `headers.${key}`, wrong) };
    });
  }
  if (typeof headers !== "object") throw wrong('"headers" must be an object or a list');
  return Object.entries(headers).map(([key, value]) => {
    return { key, value: payload(value, `headers.${key}`, wrong) };
  });
}
