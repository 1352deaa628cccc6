// What a script of scripts/ or bench/ says to --help: its opening comment, in which the indented lines are how it is called.
// Invariant: who asks for help starts nothing. test/scripts/usage.test.ts asks every script.

import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = join(import.meta.dirname!, "..");

/** Prints how the script is used and ends the program, if that was asked for. @param url The script's import.meta.url */
export function answerHelp(url: string): void {
  if (!process.argv.slice(2).some((arg) => arg === "--help" || arg === "-h")) return;
  console.log(usageOf(url));
  process.exit(0);
}

/** How the script is used. @param url Its import.meta.url */
export function usageOf(url: string): string {
  const path = fileURLToPath(url);
  const name = relative(root, path).replaceAll("\\", "/");
  return usageIn(name, readFileSync(path, "utf8"));
}

/** The opening comment of `source` as help. @param name The script's path, which is how it is called where nothing says more */
export function usageIn(name: string, source: string): string {
  const opening = /^(?:\/\/.*\n)*/.exec(source)![0];
  const lines = opening.split("\n").map((line) => line.replace(/^\/\/ ?/, ""));
  const calls = lines.filter((line) => line.startsWith("  "));
  const prose = lines.filter((line) => line !== "" && !line.startsWith("  "));
  return ["Usage:", ...(calls.length > 0 ? calls : [`  bun ${name}`]), "", ...prose].join("\n");
}
