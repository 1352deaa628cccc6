// Enforces import_rules.ts over the tree. Exit code 1 on a violation; --graph prints who imports whom.
//   bun scripts/check_imports.ts [--graph]
// Refused: an arrow that the table does not grant, a cycle (type-only ones too), a package with two importers,
// a computed import outside config, a relative import of a file that does not exist.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative, sep } from "node:path";
import {
  faceImporters,
  faces,
  type Grant,
  pluginMay,
  pluginOutside,
  type RoomRule,
  rooms,
  sharedPackages,
  testOutside,
  testPaths,
} from "./import_rules.ts";
import { type Import, importsOf } from "./source_scan.ts";
import { answerHelp } from "./usage.ts";

/** Source text by path from the root, with forward slashes. */
export type Tree = ReadonlyMap<string, string>;

export interface ImportReport {
  /** `path:line: what, and what to do`, in path order. */
  readonly violations: readonly string[];
  /** Room → room → how many import statements. */
  readonly arrows: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

const roots = ["src", "plugins", "scripts", "test", "bench"];

/** The TypeScript files that the rules are about. */
export function readTree(root: string): Tree {
  const tree = new Map<string, string>();
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (entry.name !== "node_modules" && !entry.name.startsWith(".")) walk(path);
      } else if (entry.name.endsWith(".ts")) {
        tree.set(relative(root, path).split(sep).join("/"), readFileSync(path, "utf8"));
      }
    }
  };
  const present = new Set(readdirSync(root));
  for (const folder of roots) if (present.has(folder)) walk(join(root, folder));
  for (const file of ["mod.ts", "millrace.config.ts"]) {
    if (present.has(file)) tree.set(file, readFileSync(join(root, file), "utf8"));
  }
  return new Map([...tree].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const startsWith = (path: string, prefixes: readonly string[]): boolean =>
  prefixes.some((prefix) => (prefix.endsWith("/") ? path.startsWith(prefix) : path === prefix));

/** The rule that a path falls under, or null when no room claims it. */
function ruleFor(path: string): RoomRule | null {
  if (startsWith(path, testPaths)) {
    return { room: path.split("/")[0]!, paths: testPaths, may: {}, outside: {} };
  }
  const plugin = /^plugins\/([^/]+)\//.exec(path);
  if (plugin !== null) {
    const outside = Object.fromEntries(
      (pluginOutside[plugin[1]!] ?? []).map((name) => [name, "all" as const]),
    );
    return { room: `plugins/${plugin[1]}`, paths: [plugin[0]], may: pluginMay, outside };
  }
  return rooms.find((rule) => startsWith(path, rule.paths)) ?? null;
}

/** `@scope/name/part` → `@scope/name`; `node:fs/promises` stays whole. */
function packageOf(specifier: string): string {
  if (specifier.startsWith("node:") || specifier.startsWith("bun:")) return specifier;
  const bare = specifier.replace(/^npm:/, "").split("/");
  const name = bare[0]!.startsWith("@") ? `${bare[0]}/${bare[1]}` : bare[0]!;
  return name.replace(/(?<=.)@[\d^~].*$/, "");
}

export function checkImports(tree: Tree): ImportReport {
  const violations: string[] = [];
  const arrows = new Map<string, Map<string, number>>();
  const edges = new Map<string, Set<string>>();
  const importers = new Map<string, Set<string>>();

  for (const [path, source] of tree) {
    const rule = ruleFor(path);
    const out = new Set<string>();
    edges.set(path, out);
    if (rule === null) {
      violations.push(`${path}:1: belongs to no room: move it, or add the room to import_rules.ts`);
      continue;
    }
    for (const each of importsOf(source)) {
      const refuse = (why: string): void => void violations.push(`${path}:${each.line}: ${why}`);
      if (each.specifier === null) {
        if (!isTest(path) && rule.computed?.includes(path) !== true) {
          refuse("computed import: only src/config may load what it is told to");
        }
      } else if (each.specifier.startsWith(".")) {
        const target = normalize(join(dirname(path), each.specifier))
          .split(sep)
          .join("/");
        if (!/\.(d\.)?ts$/.test(target)) {
          if (/\.[a-z]+$/.test(target)) continue; // json, text and the like
          refuse(`"${each.specifier}" has no extension: write the .ts`);
        } else if (!tree.has(target)) refuse(`"${each.specifier}" does not exist`);
        else {
          out.add(target);
          checkInside(path, rule, target, each, refuse, arrows);
        }
      } else checkOutside(path, rule, each.specifier, refuse, importers);
    }
  }

  for (const [name, files] of importers) {
    if (files.size > 1 && !sharedPackages.includes(name)) {
      violations.push(
        `${[...files][0]}:1: package "${name}" has ${files.size} importers, wanted 1: ${[...files].join(", ")}`,
      );
    }
  }
  for (const cycle of cyclesOf(edges))
    violations.push(`${cycle[0]}:1: cycle: ${cycle.join(" → ")}`);
  return { violations: violations.sort(), arrows };
}

const isTest = (path: string): boolean => startsWith(path, testPaths);

function checkInside(
  path: string,
  rule: RoomRule,
  target: string,
  each: Import,
  refuse: (why: string) => void,
  arrows: Map<string, Map<string, number>>,
): void {
  const to = ruleFor(target);
  if (to === null || to.room === rule.room) return;
  const row = arrows.get(rule.room) ?? new Map<string, number>();
  arrows.set(rule.room, row.set(to.room, (row.get(to.room) ?? 0) + 1));
  if (isTest(path)) return;
  const family = to.room.startsWith("plugins/") ? "plugins/*" : to.room;
  const grant: Grant | undefined = rule.may[to.room] ?? rule.may[family];
  if (isTest(target)) refuse(`${rule.room} may not import test code (${target})`);
  else if (grant === undefined) refuse(`${rule.room} may not import ${to.room} (${target})`);
  else if (grant === "dynamic" && (each.kind !== "dynamic" || !target.endsWith("/mod.ts"))) {
    refuse(`${rule.room} may load ${to.room} only by import() of its mod.ts (${target})`);
  } else if (grant === "types" && each.kind !== "type") {
    refuse(`${rule.room} may import only types of ${to.room}: write "import type" (${target})`);
  } else if (typeof grant !== "string" && !grant.includes(target)) {
    refuse(`${rule.room} may import of ${to.room} only ${grant.join(", ")}, not ${target}`);
  } else if (faces.includes(target) && !startsWith(path, faceImporters)) {
    refuse(`import the file that defines it, not the face ${target}`);
  }
}

function checkOutside(
  path: string,
  rule: RoomRule,
  specifier: string,
  refuse: (why: string) => void,
  importers: Map<string, Set<string>>,
): void {
  const name = packageOf(specifier);
  if (isTest(path)) {
    // Tests and benchmarks may compare with any package; scripts get by with what tests use.
    const ok =
      !path.startsWith("scripts/") ||
      testOutside.includes(name.startsWith("node:") ? "node:*" : name);
    if (!ok) refuse(`scripts may not import "${name}"`);
    return;
  }
  const isHost = name.startsWith("node:") || name.startsWith("bun:");
  const grant =
    rule.outside?.[name] ?? (name.startsWith("node:") ? rule.outside?.["node:*"] : undefined);
  if (grant === undefined) refuse(`${rule.room} may not import "${name}"`);
  else if (grant !== "all" && !grant.includes(path)) {
    refuse(`only ${grant.join(", ")} may import "${name}"`);
  }
  if (name === "cbor-x" && specifier !== "cbor-x/index-no-eval") {
    refuse(`import "cbor-x/index-no-eval": "${specifier}" loads native code that aborts Bun`);
  }
  if (!isHost) importers.set(name, (importers.get(name) ?? new Set()).add(path));
}

/** One shortest cycle for each file that lies on one and is its first in path order. */
function cyclesOf(edges: ReadonlyMap<string, ReadonlySet<string>>): readonly (readonly string[])[] {
  const cycles: string[][] = [];
  const reported = new Set<string>();
  for (const start of [...edges.keys()].sort()) {
    if (reported.has(start)) continue;
    const cameFrom = new Map<string, string>();
    const queue = [start];
    for (let at = queue.shift(); at !== undefined; at = queue.shift()) {
      for (const next of edges.get(at) ?? []) {
        if (next === start) {
          const cycle = [start];
          for (let back = at; back !== start; back = cameFrom.get(back)!) cycle.unshift(back);
          cycle.unshift(start);
          cycles.push(cycle);
          for (const file of cycle) reported.add(file);
          queue.length = 0;
          break;
        }
        if (!cameFrom.has(next)) {
          cameFrom.set(next, at);
          queue.push(next);
        }
      }
    }
  }
  return cycles;
}

/** The arrows between rooms as text, one line a room. */
export function graphText({ arrows }: ImportReport): string {
  return [...arrows]
    .map(
      ([from, row]) => `${from.padEnd(28)} → ${[...row].map(([to, n]) => `${to} ${n}`).join(", ")}`,
    )
    .join("\n");
}

if (import.meta.main) {
  answerHelp(import.meta.url);
  const root = join(import.meta.dirname!, "..");
  const report = checkImports(readTree(root));
  if (process.argv.includes("--graph")) console.log(graphText(report));
  for (const violation of report.violations) console.error(violation);
  if (report.violations.length > 0) {
    console.error(`imports: ${report.violations.length} violations of scripts/import_rules.ts`);
    process.exit(1);
  }
  console.log("imports: every arrow is in the table, no cycles");
}
