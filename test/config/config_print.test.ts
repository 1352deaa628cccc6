// `millrace config print` as a command: every flag of start, a table for people, JSON for programs, all settings.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readArguments } from "../../src/cli/arguments.ts";
import { print } from "../../src/cli/commands/config_print.ts";
import { type CliHost, processHost } from "../../src/cli/host.ts";
import { FLAGS } from "../../src/config/layers.ts";
import { readStaticSettings, settingDefaults } from "../../src/core/mod.ts";

let folder = "";
let file = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-print-"));
  file = join(folder, "c.json");
  writeFileSync(file, JSON.stringify({ data: "d", broker: { rack: "r" } }));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(words: readonly string[], environment: Record<string, string> = {}) {
  let stdout = "";
  let stderr = "";
  const host: CliHost = {
    ...processHost(async (settings) => ({
      ...readStaticSettings(settings),
      defaults: settingDefaults(),
    })),
    environment,
    print: async (text) => void (stdout += text),
    tell: (text) => void (stderr += text),
  };
  const code = await print.run(readArguments(print, words), host);
  return { code, stdout, stderr };
}
interface Row {
  readonly path: string;
  readonly value: unknown;
  readonly source: string;
  readonly detail: string;
}
async function rows(words: readonly string[], environment: Record<string, string> = {}) {
  const { stdout } = await run([...words, "--json"], environment);
  return new Map((JSON.parse(stdout) as Row[]).map((row) => [row.path, row]));
}

describe("millrace config print", () => {
  test("takes every flag that start takes", () => {
    const names = print.flags.map(({ name }) => `--${name}`);
    for (const flag of [...Object.keys(FLAGS), "--option", "--insecure"]) {
      expect(names).toContain(flag);
    }
  });

  test("shows four layers, each by its name", async () => {
    const words = [
      file,
      "--tcp",
      "127.0.0.1:5",
      "-o",
      "num.partitions=3",
      "-o=fetch.max.bytes=2048",
    ];
    const found = await rows(words, { MILLRACE_HTTP: "off", MILLRACE_LOG_LEVEL: "warn" });
    expect(found.get("broker.rack")).toMatchObject({ value: "r", source: "file", detail: file });
    expect(found.get("log.level")).toMatchObject({
      value: "warn",
      source: "environment",
      detail: "MILLRACE_LOG_LEVEL",
    });
    expect(found.get("transports[1]")).toMatchObject({ value: "tcp", detail: "--tcp" });
    expect(found.get('settings["num.partitions"]')).toMatchObject({
      value: "3",
      source: "flag",
      detail: "-o num.partitions",
    });
    expect(found.get("transports[0].options.fetchBytesMax")?.value).toBe(2048);
    expect(found.get("storage")).toMatchObject({ value: "fs", source: "default" });
  });

  test("is a table for people", async () => {
    const { stdout } = await run(["--insecure"], { MILLRACE_RACK: "q" });
    const lines = stdout.trimEnd().split("\n");
    expect(lines[0]).toMatch(/^KEY +VALUE +FROM$/);
    expect(lines.find((line) => line.startsWith("broker.rack"))).toMatch(
      / q +variable MILLRACE_RACK$/,
    );
    expect(lines.find((line) => line.startsWith("insecure"))).toMatch(/ true +flag --insecure$/);
    expect(lines.find((line) => line.startsWith("broker.id"))).toMatch(/ 1 +default$/);
  });

  test("--all adds every setting with its default, and none twice", async () => {
    const found = await rows(["--all", "-o", "num.partitions=7"]);
    expect(found.get('settings["num.partitions"]')).toMatchObject({ value: "7", source: "flag" });
    expect(found.get('settings["log.segment.bytes"]')).toMatchObject({
      value: "1073741824",
      source: "default",
    });
    expect(found.size).toBeGreaterThan(40);
    expect((await rows([])).has('settings["log.segment.bytes"]')).toBe(false);
  });

  test("refuses what a start would refuse, and what says two things", async () => {
    const refused = (...words: string[]) => expect(run(words)).rejects;
    await refused("-o", "num.partition=3").toThrow('did you mean "num.partitions"');
    await refused("--http", "8080").toThrow("--http must be HOST:PORT");
    await refused("--kafka", "0.0.0.0:1").toThrow("Refusing to listen on 0.0.0.0:1");
    await refused(file, "--config", file).toThrow("give one");
    await refused("--all", "--as-config").toThrow("give one");
    const warned = await run([file, "-o", "num.io.threads=4"], { MILLRACE_DATTA: "x" });
    expect(warned.stderr).toContain("warning: The setting num.io.threads has no effect");
    expect(warned.stderr).toContain(
      'warning: Unknown variable MILLRACE_DATTA: did you mean "MILLRACE_DATA"',
    );
  });
});
