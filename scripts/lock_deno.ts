// Writes deno.lock from package.json and deno.json: `bun run scripts/lock_deno.ts`, after any change of a dependency.
//
// Deno resolves every entry of package.json, also the tools that only npm runs (bun, deno, biome, typescript), with
// their binaries for every platform; a registry that mirrors one platform then fails a plain `deno run`. So the tools
// are locked by their own hash alone, without the binaries that Deno never starts.

import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answerHelp } from "./usage.ts";

answerHelp(import.meta.url);

const root = join(import.meta.dirname!, "..");
const tools = ["@biomejs/biome", "bun", "deno", "typescript"];

interface DenoLock {
  specifiers: Record<string, string>;
  npm: Record<string, object>;
  workspace: { packageJson: { dependencies: string[] } };
}

const read = (path: string) => JSON.parse(readFileSync(path, "utf8"));
const sorted = <T>(table: Record<string, T>): Record<string, T> =>
  Object.fromEntries(Object.entries(table).sort(([a], [b]) => (a < b ? -1 : 1)));

const manifest = read(join(root, "package.json"));
const hashes = read(join(root, "package-lock.json")).packages;
const versions: Record<string, string> = { ...manifest.devDependencies };
for (const tool of tools) delete manifest.devDependencies[tool];

const folder = mkdtempSync(join(tmpdir(), "millrace-lock-"));
try {
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  copyFileSync(join(root, "deno.json"), join(folder, "deno.json"));
  writeFileSync(join(folder, "entry.ts"), 'import "hono"; import "@node-rs/crc32";\n');
  execFileSync(join(root, "node_modules/.bin/deno"), ["cache", "entry.ts"], { cwd: folder });
  const lock: DenoLock = read(join(folder, "deno.lock"));
  for (const tool of tools) {
    const version = versions[tool]!;
    const { integrity, hasInstallScript } = hashes[`node_modules/${tool}`];
    lock.specifiers[`npm:${tool}@${version}`] = version;
    lock.npm[`${tool}@${version}`] = {
      integrity,
      ...(hasInstallScript === true ? { scripts: true } : {}),
      bin: true,
    };
    lock.workspace.packageJson.dependencies.push(`npm:${tool}@${version}`);
  }
  lock.workspace.packageJson.dependencies.sort();
  lock.specifiers = sorted(lock.specifiers);
  lock.npm = sorted(lock.npm);
  writeFileSync(join(root, "deno.lock"), `${JSON.stringify(lock, null, 2)}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
