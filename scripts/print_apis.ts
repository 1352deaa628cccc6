// Writes the table of served APIs into docs/KIPS.md: `bun run scripts/print_apis.ts`. What stands there comes from
// the handlers and their messages; test/docs.test.ts fails when it is behind.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { handlers } from "../plugins/transport-kafka/handlers/table.ts";
import { answerHelp } from "./usage.ts";

const begin = "<!-- apis: begin -->";
const end = "<!-- apis: end -->";

/** The page with the table as it has to be. */
export function withApis(page: string): string {
  const rows = handlers.flatMap((handler) =>
    handler === undefined
      ? []
      : [
          `| ${handler.api.apiKey} | ${handler.api.name} | ${handler.api.lowest}–${handler.api.highestStable} |`,
        ],
  );
  const table = ["| key | API | versions |", "|---|---|---|", ...rows].join("\n");
  const from = page.indexOf(begin) + begin.length;
  return `${page.slice(0, from)}\n\n${table}\n\n${page.slice(page.indexOf(end))}`;
}

if (import.meta.main) {
  answerHelp(import.meta.url);
  const path = join(import.meta.dirname!, "../docs/KIPS.md");
  writeFileSync(path, withApis(readFileSync(path, "utf8")));
}
