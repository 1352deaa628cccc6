// Finds and reads the config file: millrace.config.ts or .json in the current folder, or the file named.
// Invariant: without a file nothing is loaded but this; with one it is checked before anybody uses it.

import { ConfigError } from "./config_error.ts";
import type { MillraceConfig } from "./define_config.ts";
import type { OnMissing } from "./references.ts";

const NAMES = ["millrace.config.ts", "millrace.config.json"];

export interface LoadedConfig {
  /** As the person named it. */
  readonly path: string;
  /** The folder that relative paths of the file start from. */
  readonly folder: string;
  readonly config: MillraceConfig;
}

/**
 * Reads the file `named`, or the one that lies in `folder`; null when there is none.
 *
 * @param lookUp The value of an environment variable.
 * @param onMissing Told of references that lead nowhere, which are then no problem.
 * @throws {ConfigError} when it cannot be read, or is not what the schema asks for
 */
export async function loadConfig(
  named: string | null,
  folder: string,
  lookUp: (name: string) => string | undefined,
  onMissing?: OnMissing,
): Promise<LoadedConfig | null> {
  const { existsSync } = process.getBuiltinModule("node:fs");
  const { dirname, join, resolve } = process.getBuiltinModule("node:path");
  let path = named;
  if (path === null) {
    path = NAMES.find((name) => existsSync(join(folder, name))) ?? null;
    if (path === null) return null;
  } else if (!existsSync(resolve(folder, path))) {
    throw new ConfigError(`Cannot read config file "${path}": there is no such file`);
  }
  const full = resolve(folder, path);
  const config = await readConfig(path, full);
  const { problemsOf } = await import("./check_config.ts");
  const problems = problemsOf(config, lookUp, dirname(full), onMissing);
  if (problems.length > 0) {
    throw new ConfigError(problems.map((problem) => `In config file "${path}": ${problem}`));
  }
  return { path, folder: dirname(full), config: config as MillraceConfig };
}

async function readConfig(path: string, full: string): Promise<unknown> {
  if (full.endsWith(".json")) {
    try {
      const text = process.getBuiltinModule("node:fs").readFileSync(full, "utf8");
      // Editors on Windows put a mark in front, which JSON does not know.
      return JSON.parse(text.replace(/^\uFEFF/, ""));
    } catch (error) {
      throw new ConfigError(`Cannot read config file "${path}": ${messageOf(error)}`, {
        cause: error,
      });
    }
  }
  if (!/\.[cm]?[jt]s$/.test(full)) {
    throw new ConfigError(
      `Cannot read config file "${path}": its name must end in .ts, .js, .mjs or .json`,
    );
  }
  let module: { default?: unknown };
  try {
    module = await import(process.getBuiltinModule("node:url").pathToFileURL(full).href);
  } catch (error) {
    const why = messageOf(error);
    throw new ConfigError(`Cannot load config file "${path}": ${why}${wayOut(why)}`, {
      cause: error,
    });
  }
  if (module.default === undefined) {
    throw new ConfigError(
      `Cannot use config file "${path}": it must have a default export, e.g. export default defineConfig({})`,
    );
  }
  return module.default;
}

/** What hosts say of the two things that go wrong with a file of code, and what helps. */
export function wayOut(why: string): string {
  if (/Unknown file extension "\.[cm]?ts"/.test(why)) {
    return ": this host reads no TypeScript: write it as millrace.config.json, or run Node 22.18 or newer, Bun or Deno";
  }
  return /(package|module|import) ['"]millrace['"]/i.test(why)
    ? ": npm install millrace beside it, or leave defineConfig and its import out: export default { … } does as well"
    : "";
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, " ");
}
