// docs/CLIENT.md runs: its blocks of TypeScript, top to bottom, as one program.

import { afterAll, beforeAll, expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Millrace } from "../mod.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-docs-"));
let other: Millrace;
beforeAll(async () => {
  other = await Millrace.start({
    storage: "memory",
    metadata: "memory",
    transports: [{ use: "kafka", options: { listen: "127.0.0.1:0" } }],
    log: { level: "off" },
  });
});
afterAll(async () => {
  await other.stop();
  fs.rmSync(folder, { recursive: true });
});

test("every block does what the page says", async () => {
  const page = fs.readFileSync(new URL("../docs/CLIENT.md", import.meta.url), "utf8");
  const blocks = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1]!);
  expect(blocks.length).toBeGreaterThan(6);
  const lines: string[] = [];
  const code = blocks
    .join("\n")
    .replace('"millrace"', JSON.stringify(new URL("../mod.ts", import.meta.url).href))
    .replace("localhost:9092", `127.0.0.1:${other.endpoints[0]!.port}`)
    // Where the page's own broker would listen, another may.
    .replace('metadata: "memory" }', 'metadata: "memory", transports: [], log: { level: "off" } }')
    .replaceAll("console.log(", "globalThis.say(");
  expect(code).toContain("transports: []");
  const file = path.join(folder, "client_page.ts");
  fs.writeFileSync(file, code);
  const scope = globalThis as { say?: (...words: unknown[]) => void };
  scope.say = (...words) => {
    lines.push(words.map(String).join(" "));
  };
  try {
    await import(pathToFileURL(file).href);
  } finally {
    delete scope.say;
  }
  expect(lines[0]).toBe("1");
  expect(lines[1]).toMatch(/^\d 0$/);
  expect(lines.slice(2, 6)).toHaveLength(4);
  expect(lines.slice(6)).toEqual([
    "2 3600000",
    "audit,orders",
    "true Empty",
    "true kitchen,ledger",
    "London 2",
    "ada London true",
    "alan Wilmslow true",
    "ada undefined London",
    "true",
    "ready",
  ]);
});

test("the options it lists are those that there are", () => {
  const page = fs.readFileSync(new URL("../docs/CLIENT.md", import.meta.url), "utf8");
  const named = new Set(
    [...page.matchAll(/^\| (`[^|]+`) \|/gm)].flatMap((row) =>
      [...row[1]!.matchAll(/`(\w+)`/g)].map((match) => match[1]!),
    ),
  );
  const sources = ["client.ts", "producer_record.ts", "consumer.ts", "group/group_options.ts"].map(
    (name) =>
      fs.readFileSync(fileURLToPath(new URL(`../src/client/${name}`, import.meta.url)), "utf8"),
  );
  const declared = new Set<string>();
  for (const source of sources) {
    const [, body] =
      /export interface (?:Client|Producer|Consumer|GroupConsumer)Options \{\n([\s\S]*?)\n\}/.exec(
        source,
      ) ?? [];
    for (const match of body!.matchAll(/^ {2}readonly (\w+)\?/gm)) declared.add(match[1]!);
  }
  expect(declared.size).toBeGreaterThan(35);
  expect([...declared].filter((name) => !named.has(name))).toEqual([]);
});
