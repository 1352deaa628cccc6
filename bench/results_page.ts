// Where a run's table goes: between its markers in RESULTS.md. Invariant: nothing else on the page is touched.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** @throws {Error} when the page has no such markers */
export function writeResults(name: string, text: string): void {
  const file = join(import.meta.dirname!, "RESULTS.md");
  const old = readFileSync(file, "utf8");
  const [open, close] = [`<!-- ${name} -->`, "<!-- end -->"];
  const from = old.indexOf(open);
  const to = old.indexOf(close, from);
  if (from < 0 || to < 0) throw new Error(`${file} has lost its markers of ${name}`);
  writeFileSync(file, `${old.slice(0, from + open.length)}\n${text}\n${old.slice(to)}`);
}
