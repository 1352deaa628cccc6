// Which exports of a face (a mod.ts) have no docstring where they are declared. Follows re-exports by name and by star.

import { dirname, join } from "node:path";
import { codeOnly, importsOf, lineAt } from "./source_scan.ts";

export interface Undocumented {
  readonly name: string;
  /** Where it is declared, or the face itself when the declaration was not found. */
  readonly path: string;
  readonly line: number;
}

const declaration = (name: string): RegExp =>
  new RegExp(
    `^(?:export\\s+)?(?:declare\\s+)?(?:default\\s+)?(?:async\\s+)?(?:abstract\\s+)?(?:function\\*?|const|let|class|interface|type)\\s+${name.replace(/\$/g, "\\$")}(?![\\w$])`,
    "m",
  );

/** Names re-exported from one file under the name they have there; "*" for all of them. */
interface Reexport {
  readonly names: readonly string[] | "*";
  readonly from: string;
}

function reexportsOf(path: string, source: string): readonly Reexport[] {
  const code = codeOnly(source);
  const lines = new Map<number, string>();
  for (const each of importsOf(source)) {
    if (each.specifier?.startsWith(".")) lines.set(each.line, join(dirname(path), each.specifier));
  }
  const found: Reexport[] = [];
  for (const match of code.matchAll(
    /^(export|import)\s+(?:type\s+)?(\*|\{[^}]*\})[^;]*?from\b/gm,
  )) {
    const from = lines.get(lineAt(code, match.index));
    if (from === undefined) continue;
    if (match[1] === "export") {
      found.push({ names: match[2] === "*" ? "*" : namesIn(match[2]!), from });
    } else if (match[2] !== "*") {
      // `import { a } from "./a.ts"; export { a };`
      const exported = new Set(localExports(code));
      found.push({ names: namesIn(match[2]!).filter((name) => exported.has(name)), from });
    }
  }
  return found;
}

/** `{ a, type B, c as d }` → a, B, c: the names at the place they come from. */
function namesIn(braces: string): readonly string[] {
  return braces
    .replace(/[{}]/g, "")
    .split(",")
    .map(
      (part) =>
        part
          .trim()
          .replace(/^type\s+/, "")
          .split(/\s+as\s+/)[0]!,
    )
    .filter((name) => name !== "");
}

/** Names in `export { … };` without a `from`. */
function localExports(code: string): readonly string[] {
  return [...code.matchAll(/^export\s+(?:type\s+)?(\{[^}]*\})\s*;/gm)].flatMap((match) => [
    ...namesIn(match[1]!),
  ]);
}

/** Names declared with `export` in the file itself. */
function declaredExports(code: string): readonly string[] {
  const pattern =
    /^export\s+(?:declare\s+)?(?:async\s+)?(?:abstract\s+)?(?:function\*?|const|let|class|interface|type)\s+([\w$]+)/gm;
  return [...code.matchAll(pattern)].map((match) => match[1]!);
}

/** Their header block documents request and response together, version by version. */
const documentedByHeader = /^src\/protocol\/(messages|internal_records)\//;

/** Every export of `face` that lacks a docstring at its declaration. */
export function undocumentedExports(
  face: string,
  sources: ReadonlyMap<string, string>,
): readonly Undocumented[] {
  const missing: Undocumented[] = [];
  const seen = new Set<string>();

  const visit = (path: string, wanted: readonly string[] | "*"): void => {
    const source = sources.get(path);
    if (source === undefined || documentedByHeader.test(path)) return; // a missing file: see check_imports
    const code = codeOnly(source);
    const reexports = reexportsOf(path, source);
    const names =
      wanted === "*"
        ? [
            ...declaredExports(code),
            ...reexports.flatMap(({ names }) => (names === "*" ? [] : names)),
          ]
        : wanted;
    for (const name of new Set(names)) {
      if (seen.has(`${path} ${name}`)) continue;
      seen.add(`${path} ${name}`);
      const at = declaration(name).exec(code);
      if (at !== null) {
        if (!hasDocstring(source, at.index)) {
          missing.push({ name, path, line: lineAt(source, at.index) });
        }
        continue;
      }
      for (const { names: given, from } of reexports) {
        if (given === "*" || given.includes(name)) visit(from, [name]);
      }
    }
    if (wanted === "*") {
      for (const { names: given, from } of reexports) if (given === "*") visit(from, "*");
    }
  };

  visit(face, "*");
  return missing;
}

function hasDocstring(source: string, position: number): boolean {
  const before = source
    .slice(0, position)
    .replace(/\/\/[^\n]*\n\s*$/, "")
    .trimEnd();
  if (!before.endsWith("*/")) return false;
  return before.slice(before.lastIndexOf("/*")).startsWith("/**");
}
