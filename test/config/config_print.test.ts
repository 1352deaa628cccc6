// `millrace config print` as a command: every flag of start, a table for people, JSON for programs, all settings.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readArguments } from "../../src/cli/arguments.ts";
import { check as configCheck } from "../../src/cli/commands/config.ts";
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

  test("shows the whole plan also where what options refer to is not there", async () => {
    // It ended with 2 and showed nothing, on every machine that has not got the secrets.
    const path = join(folder, "unset.json");
    const kafka = { use: "kafka", options: { listen: { env: "KAFKA_AT" }, fetchBytesMax: 4096 } };
    const listeners = [
      { name: "tcp", listen: { env: "TCP_AT" }, tls: { certificatePem: { file: "no.crt" } } },
    ];
    const key = { privateKeyPem: { env: "NO_KEY" } };
    Object.assign(listeners[0]!.tls, key);
    const hash = { env: "ALICE_HASH" };
    const config = {
      transports: [kafka, "http", { use: "tcp", options: { listeners } }],
      auth: [{ use: "token", options: { tokens: [{ principal: "User:alice", hash }] } }],
    };
    writeFileSync(path, JSON.stringify(config));
    const { code, stdout, stderr } = await run([path]);
    expect(code).toBe(0);
    const row = (text: string) => stdout.split("\n").find((line) => line.startsWith(text));
    const hashKey = "auth[0].options.tokens[0].hash ";
    expect(row(hashKey)).toContain('{"env":"ALICE_HASH"}');
    expect(row(hashKey)).toContain("unset: the variable ALICE_HASH, which is not set");
    expect(row("transports[0].options.listen ")).toContain("variable KAFKA_AT, which is not set");
    expect(row("transports[0].options.fetchBytesMax ")).toContain("4096");
    expect(row("transports[1].options.listen ")).toContain("127.0.0.1:8080");
    expect(row("transports[2].options.listen ")).toContain("variable TCP_AT, which is not set");
    expect(stdout).toContain('the file "no.crt", which does not exist');
    expect(stdout).not.toContain("127.255");
    expect(stderr).toContain(
      "warning: auth[0] refers to the variable ALICE_HASH, which is not set: a start is refused",
    );
    expect(stderr.match(/KAFKA_AT/g)).toHaveLength(1);

    const found = await rows([path, "--tcp", "127.0.0.1:5"], {
      ALICE_HASH: `sha256:${"0".repeat(64)}`,
    });
    expect(found.get("transports[0].options.listen")).toMatchObject({
      value: { env: "KAFKA_AT" },
      source: "file",
      isUnset: true,
    });
    expect(found.get("transports[2].options.listen")).toMatchObject({
      value: "127.0.0.1:5",
      source: "flag",
    });
    expect(found.get(hashKey.trim())).not.toHaveProperty("isUnset");

    // What is there is still checked, and a file of addresses cannot be written without them.
    const wrong = { KAFKA_AT: "here", ALICE_HASH: "x" };
    await expect(run([path], wrong)).rejects.toThrow("transports[0].options.listen must be");
    await expect(run([path, "--as-config"])).rejects.toThrow(
      "Cannot write transports[0].options.listen",
    );
    const check = readArguments(configCheck, [path, "--json"]);
    const told: string[] = [];
    const host = {
      ...processHost(async (settings) => readStaticSettings(settings)),
      environment: {},
    };
    const asked = { ...host, print: async (text: string) => void told.push(text) };
    expect(await configCheck.run(check, asked)).toBe(1);
    expect(told.join("")).toContain("ALICE_HASH, which is not set");
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
