// deno.json and package.json say the same: `bun run scripts/check_exports.ts`. Exit code 1 when they do not.
// Equal exports whose targets exist, every face and plugin exported, the same ones in the published package, exact
// versions, both lockfiles up to date, every dependency imported and everything imported a dependency.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readTree } from "./check_imports.ts";
import { publishedManifest, undeclared } from "./pack_manifest.ts";
import { importsOf } from "./source_scan.ts";
import { answerHelp } from "./usage.ts";

type Table = Readonly<Record<string, string>>;

export interface Manifests {
  readonly packageJson: {
    readonly version: string;
    readonly exports: Table;
    readonly dependencies: Table;
    readonly optionalDependencies?: Table;
    readonly devDependencies: Table;
    readonly overrides?: Table;
  };
  readonly denoJson: {
    readonly version: string;
    readonly exports: Table;
    readonly imports: Table;
  };
  readonly denoLock: { readonly specifiers: Table };
  readonly packageLock: {
    readonly packages: Readonly<Record<string, { readonly version?: string }>>;
  };
  /** Faces in the tree: every mod.ts of a room or a plugin, as "./src/core/mod.ts". */
  readonly faces: readonly string[];
  /** What shipped files import from outside, e.g. "zod" or "@scope/name/part". */
  readonly imported: ReadonlySet<string>;
  readonly exists: (path: string) => boolean;
}

export function checkExports(given: Manifests): readonly string[] {
  const { packageJson, denoJson, denoLock, packageLock, faces, imported, exists } = given;
  const violations: string[] = [];
  const refuse = (where: string, why: string): void => void violations.push(`${where}: ${why}`);

  for (const name of new Set([
    ...Object.keys(packageJson.exports),
    ...Object.keys(denoJson.exports),
  ])) {
    const [npm, deno] = [packageJson.exports[name], denoJson.exports[name]];
    if (npm !== deno)
      refuse("exports", `"${name}" is ${npm} in package.json, ${deno} in deno.json`);
    else if (npm !== undefined && !exists(npm))
      refuse("exports", `"${name}" → ${npm} does not exist`);
    const own = name === "." ? "millrace" : `millrace/${name.slice(2)}`;
    if (!name.startsWith("./plugins/") && denoJson.imports[own] !== deno) {
      refuse("deno.json", `imports "${own}" is ${denoJson.imports[own]}, wanted ${deno}`);
    }
  }
  const published = publishedManifest(packageJson, imported);
  for (const [name, target] of Object.entries(packageJson.exports)) {
    const { types, default: code } = published.exports[name] ?? {};
    if (`${types} ${code}` !== target.replace(/^(.*)\.ts$/, "$1.d.ts $1.js")) {
      refuse("exports", `"${name}" → ${target} cannot be published: it must be a .ts file`);
    }
  }
  for (const name of undeclared(packageJson, imported)) {
    refuse("package.json", `${name} is imported by shipped code and is no dependency`);
  }
  const exported = new Set(Object.values(packageJson.exports));
  for (const face of faces) if (!exported.has(face)) refuse("exports", `${face} is not exported`);

  if (packageJson.version !== denoJson.version) {
    refuse("version", `${packageJson.version} in package.json, ${denoJson.version} in deno.json`);
  }
  const all = {
    ...packageJson.dependencies,
    ...packageJson.optionalDependencies,
    ...packageJson.devDependencies,
  };
  for (const [name, version] of Object.entries(all)) {
    if (!/^\d+\.\d+\.\d+$/.test(version))
      refuse("package.json", `${name} must be pinned: ${version}`);
    const locked = packageLock.packages[`node_modules/${name}`]?.version;
    if (locked !== version) refuse("package-lock.json", `${name} is ${locked}, wanted ${version}`);
    if (denoLock.specifiers[`npm:${name}@${version}`] !== version) {
      refuse("deno.lock", `lacks ${name}@${version}: run scripts/lock_deno.ts`);
    }
  }
  const shipped = { ...packageJson.dependencies, ...packageJson.optionalDependencies };
  for (const name of Object.keys(shipped)) {
    const isUsed = [...imported].some((each) => each === name || each.startsWith(`${name}/`));
    if (!isUsed) refuse("package.json", `${name} is imported by nothing shipped`);
  }
  for (const [name, target] of Object.entries(denoJson.imports)) {
    if (target.startsWith("npm:") && target !== `npm:${name}@${all[name]}`) {
      refuse("deno.json", `imports "${name}" is ${target}, wanted npm:${name}@${all[name]}`);
    }
  }
  if (packageJson.overrides?.["cbor-extract"] !== "2.2.2") {
    refuse("package.json", "overrides cbor-extract must be 2.2.2: later ones abort Bun and Deno");
  }
  return violations;
}

function facesIn(root: string): readonly string[] {
  const inFolder = (folder: string): string[] =>
    existsSync(join(root, folder))
      ? readdirSync(join(root, folder))
          .map((name) => `./${folder}/${name}/mod.ts`)
          .filter((path) => existsSync(join(root, path)))
      : [];
  return [...inFolder("src"), ...inFolder("plugins")];
}

function importedBy(root: string): ReadonlySet<string> {
  const found = new Set<string>();
  for (const [path, source] of readTree(root)) {
    if (!/^(src|plugins)\/|^mod\.ts$/.test(path)) continue;
    for (const { specifier } of importsOf(source)) if (specifier !== null) found.add(specifier);
  }
  return found;
}

if (import.meta.main) {
  answerHelp(import.meta.url);
  const root = join(import.meta.dirname!, "..");
  const read = (name: string) => JSON.parse(readFileSync(join(root, name), "utf8"));
  const violations = checkExports({
    packageJson: read("package.json"),
    denoJson: read("deno.json"),
    denoLock: read("deno.lock"),
    packageLock: read("package-lock.json"),
    faces: facesIn(root),
    imported: importedBy(root),
    exists: (path) => existsSync(join(root, path)),
  });
  for (const violation of violations) console.error(violation);
  if (violations.length > 0) process.exit(1);
  console.log("exports: package.json, deno.json and both lockfiles agree");
}
