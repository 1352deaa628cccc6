// Makes the package that is published: compiled JavaScript and types in dist/package, and dist/millrace-X.Y.Z.tgz of it.
// Run: npm run pack. Exit code 1 when an export has no file, when a consumer's strict type check fails, when a
// name of this machine or of its registry is inside, or when it is larger than it may be.

import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir, hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PUBLISHED_TEXTS, type PublishedManifest, publishedManifest } from "./pack_manifest.ts";
import { importsOf } from "./source_scan.ts";
import { answerHelp } from "./usage.ts";

answerHelp(import.meta.url);

const TARBALL_BYTES_MAX = 2_000_000;
/** A folder of the repository that no published text may speak of, whatever the machine. */
const NEVER_INSIDE = ["/node_modules/.bin/", "sourceMappingURL", "file:///"];

/** What Node 20 lacks, and the types of its successors and of Bun let through. Files of one host are its own matter. */
const NEWER_THAN_NODE_20 =
  /\bPromise\.(withResolvers|try)\b|\bArray\.fromAsync\b|\b(Object|Map)\.groupBy\b|\bRegExp\.escape\b|\bError\.isError\b|\bUint8Array\.from(Base64|Hex)\b|\.(values|keys|entries)\(\)\s*\.(map|filter|toArray|some|every|find|take|drop|forEach|reduce|flatMap)\(/;

const root = join(import.meta.dirname!, "..");
const dist = join(root, "dist");
const folder = join(dist, "package");
const tsc = join(root, "node_modules/.bin/tsc");

function refuse(why: string): never {
  console.error(`Cannot pack: ${why}`);
  process.exit(1);
}

function run(command: string, args: readonly string[], cwd: string): string {
  const result = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
  });
  if (result.status !== 0) {
    refuse(`${command.split("/").pop()} ${args.join(" ")}\n${result.stdout}${result.stderr}`);
  }
  return result.stdout;
}

const filesIn = (path: string): string[] =>
  readdirSync(path, { recursive: true, encoding: "utf8" })
    .map((name) => name.replaceAll("\\", "/"))
    .filter((name) => statSync(join(path, name)).isFile())
    .sort();

/** Every file that an export or the command can reach, one to one; the language of Node 20. */
function compile(sources: readonly string[], work: string): void {
  const project = join(work, "tsconfig.json");
  writeFileSync(
    project,
    JSON.stringify({
      extends: join(root, "tsconfig.json"),
      compilerOptions: {
        noEmit: false,
        allowImportingTsExtensions: false,
        rewriteRelativeImportExtensions: true,
        declaration: true,
        target: "es2023",
        // What Node 20 lacks must not compile unseen; ArrayBuffer.transfer is asked for where it is used.
        lib: ["es2023", "es2024.arraybuffer", "es2024.string", "esnext.disposable"],
        typeRoots: [join(root, "node_modules/@types")],
        rootDir: root,
        outDir: folder,
      },
      files: sources.map((source) => join(root, source)),
      include: [],
    }),
  );
  run(tsc, ["-p", project], root);
}

/** tsc rewrites specifiers in JavaScript alone. */
function rewriteTypes(): void {
  for (const name of filesIn(folder)) {
    if (!name.endsWith(".d.ts")) continue;
    const path = join(folder, name);
    const text = readFileSync(path, "utf8");
    const rewritten = text.replaceAll(
      /((?:\bfrom |\bimport |\bimport\()")(\.{1,2}\/[^"]*?)\.ts"/g,
      (_all, before, specifier) => `${before}${specifier}.js"`,
    );
    writeFileSync(path, rewritten);
  }
}

/** What compiled code imports: the truth about dependencies. Types count, as consumers read them. */
function importedByPackage(): ReadonlySet<string> {
  const found = new Set<string>();
  for (const name of filesIn(folder)) {
    if (!/\.(js|d\.ts)$/.test(name)) continue;
    for (const { specifier } of importsOf(readFileSync(join(folder, name), "utf8"))) {
      if (specifier === null) continue;
      found.add(specifier);
      if (!specifier.startsWith(".")) continue;
      const target = join(folder, dirname(name), specifier);
      if (!existsSync(target)) refuse(`${name} imports ${specifier}, which is not there`);
    }
  }
  return found;
}

function checkExports(manifest: PublishedManifest): void {
  for (const [name, targets] of Object.entries(manifest.exports)) {
    for (const target of [targets.types, targets.default]) {
      if (!existsSync(join(folder, target))) refuse(`export "${name}" has no ${target}`);
    }
  }
}

/** Nothing inside may tell where it was made, nor need a newer Node than we promise. */
function checkTexts(): void {
  const registry = new URL(run("npm", ["config", "get", "registry"], root).trim()).host;
  const told = [root, homedir(), tmpdir(), registry, hostname()].filter((word) => word.length > 4);
  for (const name of filesIn(folder)) {
    const text = readFileSync(join(folder, name), "utf8");
    for (const word of [...told, ...NEVER_INSIDE]) {
      if (text.includes(word)) refuse(`${name} names "${word}"`);
    }
    const newer = /(^|\/)(bun|deno)_\w+\.js$/.test(name) ? null : NEWER_THAN_NODE_20.exec(text);
    if (newer !== null && name.endsWith(".js"))
      refuse(`${name} uses ${newer[0]}: Node 20 has none`);
  }
}

/** Installed in a strict project of someone else, with its own choice of libraries and resolution. */
function checkTypes(manifest: PublishedManifest, work: string): void {
  const consumer = join(work, "consumer");
  mkdirSync(join(consumer, "node_modules"), { recursive: true });
  const installed = join(consumer, "node_modules", manifest.name);
  for (const name of filesIn(folder)) {
    mkdirSync(dirname(join(installed, name)), { recursive: true });
    copyFileSync(join(folder, name), join(installed, name));
  }
  const link = (name: string): void => {
    const path = join(consumer, "node_modules", name);
    mkdirSync(dirname(path), { recursive: true });
    if (!existsSync(path)) symlinkSync(join(root, "node_modules", name), path);
  };
  for (const name of Object.keys(manifest.dependencies)) link(name);
  link("@types/node");
  link("@types/bun");
  link("bun-types");
  link("undici-types");
  const names = Object.keys(manifest.exports).map((name) => name.replace(/^\./, manifest.name));
  const lines = names.map((name, at) => `import * as e${at} from "${name}";`);
  writeFileSync(
    join(consumer, "main.ts"),
    [
      ...lines,
      `import { type Client, defineConfig, Millrace, type MillraceConfig } from "${manifest.name}";`,
      `export const every: readonly object[] = [${names.map((_name, at) => `e${at}`).join(", ")}];`,
      'export const config: MillraceConfig = defineConfig({ data: "./data" });',
      "export const start = (): Promise<Millrace> => Millrace.start(config);",
      "export const client = (millrace: Millrace): Client => millrace.client();",
      "export const stop = (signal: AbortSignal): boolean => signal.aborted;",
      "",
    ].join("\n"),
  );
  writeFileSync(join(consumer, "package.json"), '{ "type": "module", "private": true }\n');
  const base = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noPropertyAccessFromIndexSignature: true,
    skipLibCheck: false,
    noEmit: true,
    target: "es2022",
  };
  const dom = ["es2023", "dom", "dom.iterable", "esnext.disposable"];
  const projects: Readonly<Record<string, object>> = {
    "nodenext, DOM": { module: "nodenext", moduleResolution: "nodenext", lib: dom, types: [] },
    "nodenext, Node": { module: "nodenext", lib: ["es2023"], types: ["node"] },
    "nodenext, DOM and Node": { module: "nodenext", lib: dom, types: ["node"] },
    "bundler, DOM": { module: "esnext", moduleResolution: "bundler", lib: dom, types: [] },
    "bundler, Bun": {
      module: "esnext",
      moduleResolution: "bundler",
      lib: ["esnext"],
      types: ["bun"],
    },
  };
  for (const [name, options] of Object.entries(projects)) {
    const path = join(consumer, "tsconfig.json");
    writeFileSync(
      path,
      JSON.stringify({ compilerOptions: { ...base, ...options }, files: ["main.ts"] }),
    );
    const result = spawnSync(tsc, ["-p", path], { cwd: consumer, encoding: "utf8" });
    if (result.status !== 0) {
      refuse(
        `types of a consumer (${name}):\n${result.stdout.split("\n").slice(0, 20).join("\n")}`,
      );
    }
  }
  console.log(`types: ${names.length} exports in ${Object.keys(projects).length} strict projects`);
}

function main(): void {
  const source = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), "millrace-pack-"));
  try {
    compile([...new Set([...(Object.values(source.exports) as string[]), "src/main.ts"])], work);
    rewriteTypes();
    mkdirSync(join(folder, "bin"), { recursive: true });
    copyFileSync(join(root, "bin/millrace.js"), join(folder, "bin/millrace.js"));
    for (const name of PUBLISHED_TEXTS) copyFileSync(join(root, name), join(folder, name));
    const manifest = publishedManifest(source, importedByPackage());
    writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
    checkExports(manifest);
    checkTexts();
    checkTypes(manifest, work);
    pack();
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function pack(): void {
  for (const old of globSync("millrace-*.tgz", { cwd: dist })) rmSync(join(dist, old));
  const words = ["pack", folder, "--pack-destination", dist, "--json", "--ignore-scripts"];
  const [made] = Object.values(JSON.parse(run("npm", words, root))) as {
    filename: string;
    size: number;
    unpackedSize: number;
    files: { path: string }[];
  }[];
  const { filename, size, unpackedSize, files } = made!;
  const here = new Set(filesIn(folder));
  for (const { path } of files) here.delete(path);
  if (here.size > 0) refuse(`left out of the tarball: ${[...here].slice(0, 5).join(", ")}`);
  const foreign = files.find(({ path }) =>
    /(^|\/)(test|vectors|bench)\/|\.map$|[^d]\.ts$/.test(path),
  );
  if (foreign !== undefined) refuse(`${foreign.path} does not belong into the package`);
  if (size > TARBALL_BYTES_MAX) refuse(`${size} bytes are more than ${TARBALL_BYTES_MAX}`);
  const kb = (bytes: number): string => `${(bytes / 1000).toFixed(0)} kB`;
  console.log(
    `dist/${filename}: ${files.length} files, ${kb(size)} packed, ${kb(unpackedSize)} unpacked`,
  );
}

main();
