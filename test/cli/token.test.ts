// From `token create` to a login: the line that it prints goes into a config file as it stands, a broker starts
// on it, and commands log in with a file or a variable.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCli } from "../../src/cli/main.ts";
import { type CliRig, startCliRig, textOf } from "./rig.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-token-"));
const tokenFile = join(folder, "alice.token");
let rig: CliRig;
let token: string;

/** A command that needs no broker. */
async function run(args: readonly string[], input: string | Uint8Array = "") {
  let stdout = "";
  let stderr = "";
  const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
  const code = await runCli(args, {
    environment: {},
    async *input() {
      yield bytes;
    },
    print: async (text: string) => void (stdout += text),
    tell: (text: string) => void (stderr += text),
  } as never);
  return { code, stdout, stderr };
}

beforeAll(async () => {
  const { stdout } = await run(["token", "create", "--name", "alice"]);
  const [, created, , entry] = stdout.split("\n\n").map((part) => part.trim());
  token = created!;
  writeFileSync(tokenFile, `${token}\n`);
  const config = join(folder, "millrace.config.json");
  const rules = [{ principal: "User:alice", allow: ["all"], topics: ["orders-"] }];
  writeFileSync(
    config,
    JSON.stringify({
      auth: [{ use: "token", options: { tokens: [JSON.parse(entry!)], rules } }],
    }),
  );
  rig = await startCliRig(["connection.failed.authentication.delay.ms=1"], ["--config", config]);
});
afterAll(async () => {
  await rig.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe("token create", () => {
  test("makes another one each time, and the config is told its hash alone", async () => {
    const seen = new Set<string>();
    for (let i = 0; i < 5; i++) {
      const { code, stdout } = await run(["token", "create", "--json", "--name", "bob"]);
      expect(code).toBe(0);
      const { token: made, entry } = JSON.parse(stdout);
      expect(made).toMatch(/^mr_[A-Za-z0-9_-]{43}$/);
      expect(entry.principal).toBe("User:bob");
      expect(entry.hash).toMatch(/^sha256:[A-Za-z0-9_-]{43}$/);
      expect(JSON.stringify(entry)).not.toContain(made);
      expect("expiresAt" in entry).toBe(false);
      seen.add(made).add(entry.hash);
    }
    expect(seen.size).toBe(10);
  });

  test("--days ends it", async () => {
    const { stdout } = await run(["token", "create", "--json", "--days", "30"]);
    const { expiresAt } = JSON.parse(stdout).entry;
    expect(expiresAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    const days = (Date.parse(expiresAt) - Date.now()) / 86_400_000;
    expect(Math.abs(days - 30)).toBeLessThan(0.01);
  });
});

describe("token hash", () => {
  test("is the one that create printed, with or without the line end", async () => {
    const { stdout } = await run(["token", "create", "--json"]);
    const { token: made, entry } = JSON.parse(stdout);
    for (const input of [made, `${made}\n`, `${made}\r\n`]) {
      expect((await run(["token", "hash"], input)).stdout).toBe(`${entry.hash}\n`);
    }
    const named = await run(["token", "hash", "--name", "carol"], made);
    expect(JSON.parse(named.stdout)).toEqual({ principal: "User:carol", hash: entry.hash });
  });

  test("of known bytes is their SHA-256", async () => {
    const { stdout } = await run(["token", "hash"], "abcdefghijklmnopqrstuvwxyz");
    const bytes = Uint8Array.from(
      "71c480df93d6ae2f1efad1447c66c9525e316218cf51fc8d9ed832f2daf18b73".match(/../g)!,
      (pair) => Number.parseInt(pair, 16),
    );
    const base64Url = btoa(String.fromCharCode(...bytes))
      .replaceAll("+", "-")
      .replaceAll("/", "_")
      .replace("=", "");
    expect(stdout).toBe(`sha256:${base64Url}\n`);
  });

  test("refuses what could be guessed, what is no text, and what is no token", async () => {
    const short = await run(["token", "hash"], "hunter2hunter2");
    expect([short.code, short.stdout]).toEqual([2, ""]);
    expect(short.stderr).not.toContain("hunter2");
    expect((await run(["token", "hash"], "")).code).toBe(2);
    expect((await run(["token", "hash"], new Uint8Array(40).fill(0xff))).stderr).toContain("UTF-8");
    expect((await run(["token", "hash"], "x".repeat(100_000))).stderr).toContain("too long");
  });
});

describe("a command logs in", () => {
  test("with --user and --token-file", async () => {
    const login = ["--user", "alice", "--token-file", tokenFile];
    expect((await rig.call(["topic", "create", "orders-a", ...login])).code).toBe(0);
    expect((await rig.call(["produce", "orders-a", ...login], "one\ntwo\n")).code).toBe(0);
    const { stdout } = await rig.call(["consume", "orders-a", ...login]);
    expect(textOf(stdout)).toBe("one\ntwo\n");
    const listed = await rig.call(["topic", "list", ...login]);
    expect(textOf(listed.stdout)).toBe("orders-a\n");
  });

  test("with MILLRACE_USER and MILLRACE_TOKEN", async () => {
    const environment = { MILLRACE_USER: "alice", MILLRACE_TOKEN: token };
    expect((await rig.call(["topic", "list"], "", environment)).code).toBe(0);
    const file = ["--token-file", tokenFile];
    const wrong = { MILLRACE_USER: "alice", MILLRACE_TOKEN: "other" };
    expect((await rig.call(["topic", "list", ...file], "", wrong)).code).toBe(0);
  });

  test("and is told what to do where that fails", async () => {
    const cases: [string[], Record<string, string>, number, string][] = [
      [["topic", "list"], {}, 1, "--user NAME --token-file PATH"],
      [["topic", "list"], { MILLRACE_USER: "alice" }, 2, "no token for user"],
      [["topic", "list"], { MILLRACE_TOKEN: token }, 2, "no name"],
      [
        ["topic", "list"],
        { MILLRACE_USER: "alice", MILLRACE_TOKEN: "wrong-token" },
        1,
        "is this the user's token",
      ],
      [
        ["topic", "create", "bills"],
        { MILLRACE_USER: "alice", MILLRACE_TOKEN: token },
        1,
        "a rule under auth",
      ],
      [
        ["topic", "list", "--user", "alice", "--token-file", join(folder, "none")],
        {},
        1,
        "no such",
      ],
    ];
    for (const [args, environment, code, text] of cases) {
      const ended = await rig.call(args, "", environment);
      expect([args, ended.code]).toEqual([args, code]);
      expect(ended.stderr).toContain(text);
      expect(ended.stderr).not.toContain(token);
      expect(ended.stderr).not.toContain("wrong-token");
    }
  });
});
