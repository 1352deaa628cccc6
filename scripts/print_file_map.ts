// Writes the file map of docs/ARCHITECTURE.md: every shipped file with the first sentence of its header.
//   bun scripts/print_file_map.ts [--check]
// With --check it only says, by exit code 1, that the map is behind the tree.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { answerHelp } from "./usage.ts";

const root = join(import.meta.dirname!, "..");
const page = join(root, "docs/ARCHITECTURE.md");
const [begin, end] = ["<!-- file map: begin -->", "<!-- file map: end -->"];

/** One file an API: their names say it, and a table of eighty lines would hide the rest. */
const folded =
  /^(src\/protocol\/(?:messages|internal_records)|plugins\/[\w-]+\/handlers)\/(?!table\.ts)/;

/** In characters; a longer one is cut at its first colon, bracket or clause. */
const longSentence = 120;

/** The first sentence of the comment that opens a file. */
export function firstSentence(source: string): string {
  const lines: string[] = [];
  for (const line of source.replace(/^#!.*\n/, "").split("\n")) {
    const text = /^\s*(?:\/\/|\/?\*+)\s?(.*?)(?:\*\/)?$/.exec(line)?.[1];
    if (text === undefined || (text.trim() === "" && lines.length > 0)) break;
    lines.push(text.trim());
  }
  const header = lines.join(" ").trim();
  const sentence = /^.*?\.(?=\s|$)/.exec(header)?.[0].slice(0, -1) ?? header;
  return sentence.length <= longSentence ? sentence : sentence.split(/: | \(|, (?:and|so)/)[0]!;
}

/** The map as Markdown: a table for each folder. */
export function fileMap(files: ReadonlyMap<string, string>): string {
  const folders = new Map<string, string[]>();
  for (const [path, source] of files) {
    const folder = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : ".";
    const rows = folders.get(folder) ?? [];
    folders.set(folder, rows);
    if (folded.test(path)) {
      rows[0] = `| \`…\` | ${rows.length === 0 ? 1 : Number(/^\| `…` \| (\d+)/.exec(rows[0]!)![1]) + 1} files, one an API or a kind of record |`;
    } else {
      rows.push(
        `| \`${path.slice(path.lastIndexOf("/") + 1)}\` | ${firstSentence(source).replace(/\|/g, "\\|")} |`,
      );
    }
  }
  return [...folders]
    .map(
      ([folder, rows]) =>
        `### ${folder === "." ? "Top" : folder}/\n\n| file | what it is |\n|---|---|\n${rows.join("\n")}`,
    )
    .join("\n\n")
    .replace("### Top/", "### Top");
}

if (import.meta.main) {
  answerHelp(import.meta.url);
  const paths = execFileSync(
    "git",
    ["ls-files", "-co", "--exclude-standard", "mod.ts", "src", "plugins"],
    {
      cwd: root,
      encoding: "utf8",
    },
  )
    .split("\n")
    .filter((path) => path.endsWith(".ts"))
    .sort();
  const files = new Map(paths.map((path) => [path, readFileSync(join(root, path), "utf8")]));
  const before = readFileSync(page, "utf8");
  const [head, tail] = [before.indexOf(begin) + begin.length, before.indexOf(end)];
  const after = `${before.slice(0, head)}\n\n${fileMap(files)}\n\n${before.slice(tail)}`;
  if (process.argv.includes("--check")) {
    if (after !== before) {
      console.error("docs/ARCHITECTURE.md: the file map is behind: run scripts/print_file_map.ts");
      process.exit(1);
    }
  } else writeFileSync(page, after);
}
