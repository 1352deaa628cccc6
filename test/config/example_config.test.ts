// examples/millrace.config.ts, one file for everything: started in this process and by the program; and what
// config print makes of it starts the same broker.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Millrace } from "../../mod.ts";
import type { PluginUse } from "../../src/config/define_config.ts";
import { loadConfig } from "../../src/config/load_config.ts";

const root = join(import.meta.dirname!, "../..");
const file = join(root, "examples/millrace.config.ts");
const isDeno = "Deno" in globalThis;
const program = isDeno ? ["run", "-A", join(root, "mod.ts")] : ["run", join(root, "src/main.ts")];
const token = "mr_a-token-that-nobody-guesses";
const hash = `sha256:${createHash("sha256").update(token).digest("hex")}`;
const anyPorts = ["kafka", "http", "tcp"].flatMap((word) => [`--${word}`, "127.0.0.1:0"]);

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-example-"));
  process.env["APP_TOKEN_HASH"] = hash;
});
afterAll(() => {
  delete process.env["APP_TOKEN_HASH"];
  rmSync(folder, { recursive: true, force: true });
});

/** The status of `GET /v1/topics/orders-1` with each of three ways to ask. */
async function statuses(http: string): Promise<number[]> {
  const asked = [`Bearer ${token}`, "Bearer wrong", null].map(async (authorization) => {
    const headers: Record<string, string> = authorization === null ? {} : { authorization };
    const answer = await fetch(`http://${http}/v1/topics/orders-1`, { headers });
    await answer.body?.cancel();
    return answer.status;
  });
  return await Promise.all(asked);
}

/** Runs the program to its end; `whenReady` gets the line that says where it listens, and ends a broker. */
function run(
  args: readonly string[],
  whenReady?: (line: string) => Promise<void>,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [...program, ...args], { cwd: folder });
  return new Promise((resolve, reject) => {
    let stdout = "";
    let stderr = "";
    child.stderr.on("data", (chunk) => (stderr += String(chunk)));
    child.stdout.on("data", (chunk) => {
      const isFirst = !stdout.includes("\n");
      stdout += String(chunk);
      if (whenReady === undefined || !isFirst || !stdout.includes("\n")) return;
      const stop = () => process.kill(child.pid!, "SIGTERM"); // Not child.kill: see main.test.ts.
      whenReady(stdout).then(stop, (error) => {
        stop();
        reject(error);
      });
    });
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

test("in this process", async () => {
  const { config: example } = (await loadConfig(file, root, (name) => process.env[name]))!;
  const transports = example.transports!.map((each) => {
    const { use, options } = each as PluginUse;
    return { use, options: { ...options, listen: "127.0.0.1:0" } };
  });
  const config = {
    ...example,
    transports,
    data: join(folder, "embedded"),
    log: { level: "off" as const },
  };
  await using millrace = await Millrace.start(config);
  expect(millrace.endpoints.map(({ protocol }) => protocol)).toEqual(["kafka", "http", "tcp"]);
  const http = millrace.endpoints.find(({ protocol }) => protocol === "http")!;
  expect(await statuses(`127.0.0.1:${http.port}`)).toEqual([404, 401, 401]);
  for (const store of ["broker-1/log.sqlite", "metadata/broker-1.sqlite"]) {
    expect(existsSync(join(folder, `embedded/${store}`))).toBe(true);
  }
});

test("by the program, from the file and from what config print makes of it", async () => {
  const checked = await run(["config", "check", file]);
  expect(checked).toMatchObject({ code: 0, stderr: "" });
  const data = join(folder, "started");
  const flags = ["--data", data, ...anyPorts, "--log-level", "error"];
  const printed = await run(["config", "print", "--config", file, ...flags, "--as-config"]);
  expect(printed).toMatchObject({ code: 0, stderr: "" });
  expect(printed.stdout).not.toContain(hash);
  const saved = join(folder, "saved.json");
  writeFileSync(saved, printed.stdout);
  for (const args of [
    ["--config", file, ...flags],
    ["--config", saved],
  ]) {
    const ended = await run(args, async (line) => {
      const found = /^ready kafka=127\S+:\d+ http=(\S+) tcp=127\S+:\d+ data=(\S+) in \d+ ms$/m.exec(
        line,
      );
      expect(found).not.toBeNull();
      expect(await statuses(found![1]!)).toEqual([404, 401, 401]);
    });
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(existsSync(join(data, "broker-1/log.sqlite"))).toBe(true);
  }
});
