// In a Workers project that has the package installed: bundles every export as wrangler would, and imports it in real
// workerd. All but those of `needsNode` do so without any of Node's modules; those do with the flag nodejs_compat.
// Prints "ok …" and "not ok …" lines.      every_export_workerd.js BUN MINIFLARE'S_FOLDER, run by Node

import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";

/** Why an export is no use on workerd without Node's modules. */
const needsNode = {
  ".": "starts a broker of files and sockets",
  "./plugins/metadata-file": "files are node:fs",
  "./plugins/storage-fs": "files are node:fs",
  "./plugins/storage-kv":
    "SQLite's file is node:fs; the storage of a Durable Object has storage-kv/edge",
};

const [bun, peers] = process.argv.slice(2);
const require = createRequire(join(peers, "node_modules/"));
const { Miniflare } = await import(pathToFileURL(require.resolve("miniflare")).href);
const installed = JSON.parse(readFileSync("node_modules/millrace/package.json", "utf8"));
let failed = false;

function report(label, problem) {
  if (problem !== "") failed = true;
  console.log(problem === "" ? `ok ${label}` : `not ok ${label} ${problem}`);
}

/** One file of everything that the export reaches; `node:`, `cloudflare:` and compiled modules are the host's. */
function bundle(name, file) {
  const specifier = name.replace(/^\./, "millrace");
  writeFileSync(`${file}.in.js`, `export * from "${specifier}";\n`);
  const flags = ["--target=browser", "--conditions=workerd", "--conditions=worker"];
  const outside = ["node:*", "cloudflare:*", "bun:*", "@node-rs/*", "*.wasm"].map(
    (each) => `--external=${each}`,
  );
  const args = [
    "build",
    `${file}.in.js`,
    "--format=esm",
    ...flags,
    ...outside,
    `--outfile=${file}`,
  ];
  const result = spawnSync(bun, args, { encoding: "utf8" });
  return result.status === 0
    ? ""
    : `does not bundle: ${result.stderr}`.replaceAll(/\s*\n\s*/g, " ");
}

/** What importing the bundles says, by file: the number of exports, or the error. */
async function imported(files, compatibilityFlags) {
  const main = `export default {
    async fetch(request) {
      const file = new URL(request.url).searchParams.get("file");
      try {
        return new Response(String(Object.keys(await import(file)).length));
      } catch (error) {
        return new Response(String(error));
      }
    },
  };`;
  // wrangler makes modules of .wasm files, too.
  const contents = readFileSync("node_modules/xxhash-wasm/workerd/xxhash.wasm");
  const miniflare = new Miniflare({
    compatibilityDate: "2026-04-01",
    compatibilityFlags,
    modules: [
      { type: "ESModule", path: "main.js", contents: main },
      { type: "CompiledWasm", path: "xxhash.wasm", contents },
      ...files.map((path) => ({ type: "ESModule", path, contents: readFileSync(path, "utf8") })),
    ],
  });
  try {
    const found = new Map();
    for (const file of files) {
      const answer = await miniflare.dispatchFetch(`http://localhost/?file=./${file}`);
      found.set(file, await answer.text());
    }
    return found;
  } finally {
    await miniflare.dispose();
  }
}

const labelOf = (name) => (name === "." ? "millrace" : name.slice(2).replaceAll("/", "_"));
const bundled = { plain: [], node: [] };
for (const name of Object.keys(installed.exports)) {
  const file = `${labelOf(name)}.js`;
  const problem = bundle(name, file);
  const isWithoutNode = problem === "" && !/["']node:/.test(readFileSync(file, "utf8"));
  if (name in needsNode && isWithoutNode) report(`${file} is of needsNode`, "and needs it no more");
  else if (problem !== "") report(`workerd_imports_${labelOf(name)}`, problem);
  else bundled[name in needsNode ? "node" : "plain"].push(name);
}
for (const [kind, names] of Object.entries(bundled)) {
  const files = names.map((name) => `${labelOf(name)}.js`);
  const found = await imported(files, kind === "node" ? ["nodejs_compat"] : []);
  for (const name of names) {
    const said = found.get(`${labelOf(name)}.js`);
    const label = `workerd_imports_${labelOf(name)}${kind === "node" ? "_with_nodejs_compat" : ""}`;
    report(label, Number(said) > 0 ? "" : said);
  }
}
process.exit(failed ? 1 : 0);
