// In a project that has the package installed: imports every export that its package.json lists, by name, and
// compares the list with the repository's. Prints "ok …" and "not ok …" lines. Plain JavaScript, for every host.
//   every_export.js HOST REPOSITORY/package.json

import { readFileSync } from "node:fs";
import process from "node:process";

const [host, repository] = process.argv.slice(2);
const installed = JSON.parse(readFileSync("node_modules/millrace/package.json", "utf8"));
const wanted = Object.keys(JSON.parse(readFileSync(repository, "utf8")).exports);
const names = Object.keys(installed.exports);
let failed = false;

function report(name, problem) {
  if (problem !== "") failed = true;
  console.log(problem === "" ? `ok ${host}_${name}` : `not ok ${host}_${name} ${problem}`);
}

const missing = wanted.filter((name) => !names.includes(name));
report("has_every_export_of_the_repository", missing.join(" "));
for (const name of names) {
  const label = name === "." ? "imports_millrace" : `imports_${name.slice(2).replaceAll("/", "_")}`;
  try {
    const exported = Object.keys(await import(name.replace(/^\./, "millrace")));
    report(label, exported.length > 0 ? "" : "has no exports");
  } catch (error) {
    report(label, String(error).replaceAll(/\s*\n\s*/g, " "));
  }
}
process.exit(failed ? 1 : 0);
