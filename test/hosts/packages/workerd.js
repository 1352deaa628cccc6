// What the checks in workerd share: which exports want Node's modules, one bundled file of a source, as wrangler would
// make it, and workerd with such files. Compatibility flags are given, none else is set: no module of Node's is there unless asked for.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const HOSTS_OWN = ["node:*", "cloudflare:*", "bun:*", "@node-rs/*", "*.wasm"];

/** Why an export is no use on workerd without Node's modules. */
export const needsNode = {
  ".": "starts a broker of files and sockets",
  "./plugins/metadata-file": "files are node:fs",
  "./plugins/storage-fs": "files are node:fs",
  "./plugins/storage-kv":
    "SQLite's file is node:fs; the storage of a Durable Object has storage-kv/edge",
};

/** An export's name as part of a check's. */
export const labelOf = (name) => (name === "." ? "millrace" : name.slice(2).replaceAll("/", "_"));

/** Everything that `source` reaches in one file; compiled modules stay the host's. Returns the problem, or "". */
export function bundle(bun, source, file) {
  const flags = ["--target=browser", "--conditions=workerd", "--conditions=worker", "--format=esm"];
  const outside = HOSTS_OWN.map((each) => `--external=${each}`);
  const args = ["build", source, ...flags, ...outside, `--outfile=${file}`];
  const result = spawnSync(bun, args, { encoding: "utf8" });
  return result.status === 0
    ? ""
    : `does not bundle: ${result.stderr}`.replaceAll(/\s*\n\s*/g, " ");
}

/** Workerd whose main module is the first of `modules`, a file's name or { path, contents }. */
export async function startWorkerd(peers, { modules, ...options }) {
  const entry = createRequire(join(peers, "package.json")).resolve("miniflare");
  const { Miniflare } = await import(pathToFileURL(entry).href);
  // wrangler makes modules of .wasm files, too.
  const wasm = readFileSync("node_modules/xxhash-wasm/workerd/xxhash.wasm");
  const [main, ...others] = modules.map((given) => ({
    type: "ESModule",
    ...(typeof given === "string" ? { path: given, contents: readFileSync(given, "utf8") } : given),
  }));
  return new Miniflare({
    compatibilityDate: "2026-01-01",
    host: "127.0.0.1",
    port: 0,
    modules: [main, { type: "CompiledWasm", path: "xxhash.wasm", contents: wasm }, ...others],
    ...options,
  });
}
