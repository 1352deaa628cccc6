// In a Workers project that has the package installed: bundles every export as wrangler would, and imports it in real
// workerd. All but those of `needsNode` do so without any of Node's modules; those do with the flag nodejs_compat.
// Prints "ok …" and "not ok …" lines.      every_export_workerd.js BUN MINIFLARE'S_FOLDER, run by Node

import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { bundle, labelOf, needsNode, startWorkerd } from "./workerd.js";

const [bun, peers] = process.argv.slice(2);
const installed = JSON.parse(readFileSync("node_modules/millrace/package.json", "utf8"));
let failed = false;

function report(label, problem) {
  if (problem !== "") failed = true;
  console.log(problem === "" ? `ok ${label}` : `not ok ${label} ${problem}`);
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
  const workerd = await startWorkerd(peers, {
    compatibilityFlags,
    modules: [{ path: "main.js", contents: main }, ...files],
  });
  try {
    const found = new Map();
    for (const file of files) {
      const answer = await workerd.dispatchFetch(`http://localhost/?file=./${file}`);
      found.set(file, await answer.text());
    }
    return found;
  } finally {
    await workerd.dispose();
  }
}

const bundled = { plain: [], node: [] };
for (const name of Object.keys(installed.exports)) {
  const file = `${labelOf(name)}.js`;
  writeFileSync(`${file}.in.js`, `export * from "${name.replace(/^\./, "millrace")}";\n`);
  const problem = bundle(bun, `${file}.in.js`, file);
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
