// Writes docs/config.schema.json from the zod schema of src/config; with --check only says whether it is current.
//   bun scripts/print_config_schema.ts [--check]
// Biome lays the file out; so contents are compared, not text.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { configJsonSchema } from "../src/config/config_schema.ts";
import { answerHelp } from "./usage.ts";

answerHelp(import.meta.url);

const path = join(import.meta.dirname!, "../docs/config.schema.json");
const text = `${JSON.stringify(configJsonSchema(), null, 2)}\n`;
if (!process.argv.includes("--check")) writeFileSync(path, text);
else if (
  JSON.stringify(JSON.parse(readFileSync(path, "utf8"))) !== JSON.stringify(JSON.parse(text))
) {
  console.error("docs/config.schema.json is not current: bun run scripts/print_config_schema.ts");
  process.exit(1);
}
