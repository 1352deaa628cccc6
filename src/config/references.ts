// Secrets stand outside of the file: in plugin options `{ env: "NAME" }` is a variable's value and
// `{ file: "PATH" }` what a file holds, less one newline at its end.
// Invariant: options themselves are never a reference, only values in them; messages show the reference.

import { ConfigError } from "./config_error.ts";
import type { EnvReference, FileReference } from "./define_config.ts";

/** A value that stands somewhere else. */
export type Reference = EnvReference | FileReference;

/** Where references lead to. */
export interface ReferencePlaces {
  /** The value of an environment variable. */
  readonly lookUp: (name: string) => string | undefined;
  /** The folder that relative file names start from. */
  readonly folder: string;
  /** Told of what leads nowhere, in place of an error: a plan is to be shown, and nothing started. */
  readonly onMissing?: OnMissing | undefined;
}

/**
 * @param path The plugin whose options hold the reference: "transports[0]".
 * @param why "the variable X, which is not set"
 */
export type OnMissing = (reference: Reference, path: string, why: string) => void;

/** The reference that `value` is, or null. */
export function referenceOf(value: unknown): Reference | null {
  if (typeof value !== "object" || value === null) return null;
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return null;
  const [entry, more] = Object.entries(value);
  if (entry === undefined || more !== undefined || typeof entry[1] !== "string") return null;
  return entry[0] === "env" || entry[0] === "file" ? (value as Reference) : null;
}

/** Puts what `replace` returns in the place of every reference in plugin options. */
export function mapReferences(
  options: Readonly<Record<string, unknown>>,
  replace: (reference: Reference) => unknown,
): Record<string, unknown> {
  const mapped = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(mapped);
    const reference = referenceOf(value);
    if (reference !== null) return replace(reference);
    if (typeof value !== "object" || value === null) return value;
    if (Object.getPrototypeOf(value) !== Object.prototype) return value;
    return mapEntries(value, mapped);
  };
  return mapEntries(options, mapped);
}

/** What a reference stands for. @throws {ConfigError} "the variable X, which is not set", to follow "refers to" */
export function readReference(reference: Reference, { lookUp, folder }: ReferencePlaces): string {
  if ("env" in reference) {
    const value = lookUp(reference.env);
    if (value !== undefined) return value;
    throw new ConfigError(`the variable ${reference.env}, which is not set`);
  }
  const { file } = reference;
  const path = process.getBuiltinModule("node:path").resolve(folder, file);
  try {
    const text = process.getBuiltinModule("node:fs").readFileSync(path, "utf8");
    return text.replace(/\r?\n$/, "");
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    const why = code === "ENOENT" ? "which does not exist" : `which cannot be read: ${message}`;
    throw new ConfigError(`the file "${file}", ${why}`, { cause: error });
  }
}

/**
 * Options with every reference replaced; what leads nowhere stays a reference where `onMissing` is told of it.
 *
 * @throws {ConfigError} naming `path` and what is not there
 */
export function dereferenced(
  path: string,
  options: Readonly<Record<string, unknown>>,
  places: ReferencePlaces,
): Record<string, unknown> {
  return mapReferences(options, (reference) => {
    try {
      return readReference(reference, places);
    } catch (error) {
      const { message } = error as Error;
      if (places.onMissing === undefined) {
        throw new ConfigError(`${path} refers to ${message}`, { cause: error });
      }
      places.onMissing(reference, path, message);
      return reference;
    }
  });
}

function mapEntries(object: object, map: (value: unknown) => unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]));
}
