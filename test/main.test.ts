// The program from outside: its flags, its one line on standard output, signals, exit codes, and one
// line that names the fix for everything that can be wrong at a start.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const root = join(import.meta.dirname!, "..");
const isDeno = "Deno" in globalThis;
const program = isDeno ? ["run", "-A", join(root, "mod.ts")] : ["run", join(root, "src/main.ts")];

let folder = "";
const running = new Set<ChildProcess>();
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-main-"));
});
afterAll(() => {
  for (const child of running) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}
interface Program {
  readonly child: ChildProcess;
  /** The first line on standard output, or null when it ended without one. */
  readonly ready: Promise<string | null>;
  readonly ended: Promise<Ended>;
}

function run(
  args: readonly string[],
  options: { env?: Record<string, string>; words?: string[]; host?: string } = {},
): Program {
  const child = spawn(options.host ?? process.execPath, [...(options.words ?? program), ...args], {
    cwd: folder,
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  let stdout = "";
  let stderr = "";
  child.stderr!.on("data", (text) => (stderr += text));
  const ended = new Promise<Ended>((resolve) =>
    child.on("close", (code) => {
      running.delete(child);
      resolve({ code, stdout, stderr });
    }),
  );
  const ready = new Promise<string | null>((resolve) => {
    child.stdout!.on("data", (text) => {
      stdout += text;
      if (stdout.includes("\n")) resolve(stdout.slice(0, stdout.indexOf("\n")));
    });
    void ended.then(() => resolve(null));
  });
  return { child, ready, ended };
}

/** Flags of a broker on a folder and a free port of its own. */
const on = (name: string, ...more: string[]) => [
  "--data",
  join(folder, name),
  "--kafka",
  "127.0.0.1:0",
  ...more,
];
const portOf = (ready: string | null) =>
  Number(/ kafka=127\.0\.0\.1:(\d+) /.exec(ready ?? "")?.[1]);

/** Not child.kill: under Deno it would report the signal, not the exit code. */
function signal(started: Program, name: "SIGTERM" | "SIGINT"): void {
  process.kill(started.child.pid!, name);
}

async function refusal(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const ended = await run(args, { env }).ended;
  expect(ended.stdout).toBe("");
  return ended;
}

describe("millrace start", () => {
  test("says that it is ready in one line, serves, and stops on SIGTERM with 0, twice over", async () => {
    for (const words of [["start"], []]) {
      const started = run([...words, ...on("twice", "--log-level", "warn")]);
      const line = await started.ready;
      expect(line).toMatch(
        /^ready kafka=127\.0\.0\.1:\d+ http=127\.0\.0\.1:\d+ data=\S+ in \d+ ms$/,
      );
      const socket = connect({ host: "127.0.0.1", port: portOf(line) });
      await new Promise<void>((resolve, reject) => {
        socket.on("connect", resolve);
        socket.on("error", reject);
      });
      // ApiVersions v0, correlation id 7, no client id.
      socket.write(Buffer.from([0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 255, 255]));
      const answer = await new Promise<Buffer>((resolve) => socket.once("data", resolve));
      expect(answer.readInt32BE(4)).toBe(7);
      expect(answer.readInt16BE(8)).toBe(0);
      socket.destroy();
      signal(started, "SIGTERM");
      const ended = await started.ended;
      expect(ended).toEqual({ code: 0, stdout: `${line}\n`, stderr: "" });
    }
  });

  test("SIGINT stops it too, and log lines on standard error are JSON", async () => {
    const started = run(on("logs"));
    await started.ready;
    signal(started, "SIGINT");
    const ended = await started.ended;
    expect(ended.code).toBe(0);
    const events = ended.stderr
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).event);
    expect(events).toContain("broker_started");
    expect(events.at(-1)).toBe("broker_stopped");
  });

  test("a taken port: one line with the port and the fix, exit code 1", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const args = ["--data", join(folder, "busy"), "--kafka", `127.0.0.1:${port}`];
    const ended = await refusal([...args, "--log-level", "off"]);
    server.close();
    expect(ended.code).toBe(1);
    expect(ended.stderr.trim().split("\n")).toHaveLength(1);
    expect(ended.stderr).toContain(`port ${port} is taken`);
    expect(ended.stderr).toContain("choose another port");
  });

  test("a taken HTTP port that was asked for is refused; one that nobody asked for gives way", async () => {
    const server = createServer();
    const isHeld = await new Promise<boolean>((resolve) => {
      server.on("error", () => resolve(false)); // Somebody else holds it, which does as well.
      server.listen(8080, "127.0.0.1", () => resolve(true));
    });
    const asked = await refusal(on("http", "--http", "127.0.0.1:8080", "--log-level", "off"));
    expect(asked.code).toBe(1);
    expect(asked.stderr.trim().split("\n")).toHaveLength(1);
    expect(asked.stderr).toContain("port 8080 is taken");
    expect(asked.stderr).toContain("choose another port");
    const kafka = createServer();
    await new Promise<void>((resolve) => kafka.listen(0, "127.0.0.1", resolve));
    const { port } = kafka.address() as { port: number };
    await new Promise((resolve) => kafka.close(resolve));
    const args = ["--data", join(folder, "http"), "--kafka", `127.0.0.1:${port}`];
    const started = run([...args, "--log-level", "warn"]);
    const line = await started.ready;
    const bound = Number(/ http=127\.0\.0\.1:(\d+) /.exec(line ?? "")?.[1]);
    expect(bound).toBeGreaterThan(0);
    expect(bound).not.toBe(8080);
    const answer = await fetch(`http://127.0.0.1:${bound}/healthz`);
    expect(answer.status).toBe(200);
    await answer.body?.cancel();
    signal(started, "SIGTERM");
    const ended = await started.ended;
    expect(ended.code).toBe(0);
    expect(JSON.parse(ended.stderr)).toMatchObject({
      level: "warn",
      event: "http_port_taken",
      taken: "127.0.0.1:8080",
      listening: `127.0.0.1:${bound}`,
    });
    if (isHeld) server.close();
  });

  test("--kafka off and --http off do without", async () => {
    const started = run(["--data", join(folder, "off"), "--kafka", "off", "--http", "off"]);
    expect(await started.ready).toMatch(/^ready data=\S+ in \d+ ms$/);
    signal(started, "SIGTERM");
    expect((await started.ended).code).toBe(0);
  });

  test("a locked folder: one line with the folder and the fix, exit code 1", async () => {
    const first = run(on("locked"));
    await first.ready;
    const ended = await refusal(on("locked", "--log-level", "off"));
    signal(first, "SIGTERM");
    expect((await first.ended).code).toBe(0);
    expect(ended.code).toBe(1);
    expect(ended.stderr.trim().split("\n")).toHaveLength(1);
    expect(ended.stderr).toContain(join(folder, "locked"));
    expect(ended.stderr).toMatch(/stop that process, or give this broker another/);
  });

  test("a newer data format: one line, exit code 1", async () => {
    const started = run(on("newer", "--log-level", "off"));
    await started.ready;
    signal(started, "SIGTERM");
    await started.ended;
    writeFileSync(join(folder, "newer/broker-1/format.json"), '{"format":99}');
    const ended = await refusal(on("newer", "--log-level", "off"));
    expect(ended.code).toBe(1);
    expect(ended.stderr.trim().split("\n")).toHaveLength(1);
    expect(ended.stderr).toContain("99");
  });

  test("wrong flags, variables, settings and files: one line each, exit code 2, nothing made", async () => {
    writeFileSync(join(folder, "wrong.json"), '{ "tranports": [] }');
    const cases: [string[], Record<string, string>, string][] = [
      [["--dta", "x"], {}, 'Unknown flag "--dta": did you mean "--data"'],
      [on("none"), { MILLRACE_BROKER_ID: "x" }, "MILLRACE_BROKER_ID must be a whole number"],
      [on("none", "-o", "num.partition=1"), {}, 'did you mean "num.partitions"'],
      [on("none", "-o", "num.partitions=0"), {}, "num.partitions"],
      [on("none", "--config", "wrong.json"), {}, 'Unknown key "tranports"'],
      [["--data", "none", "--kafka", "0.0.0.0:0"], {}, "--insecure"],
      [on("none", "--http", "0.0.0.0:0"), {}, "--insecure"],
      [on("none"), { MILLRACE_TCP: "0.0.0.0:0" }, "--insecure"],
      [on("none", "-o", "advertised.listeners=A://0.0.0.0:1"), {}, "clients can reach"],
    ];
    const outcomes = await Promise.all(cases.map(([args, env]) => refusal(args, env)));
    for (const [at, ended] of outcomes.entries()) {
      expect(ended.stderr).toContain(cases[at]![2]);
      expect(ended.stderr.trim().split("\n")).toHaveLength(1);
      expect(ended.code).toBe(2);
    }
    expect(existsSync(join(folder, "none"))).toBe(false);
  });

  test("a config file is used, and what it advertises is what clients are told", async () => {
    const config = {
      data: "from_file",
      broker: { id: 4 },
      transports: [{ use: "kafka", options: { listen: "127.0.0.1:0", advertise: "me.example:7" } }],
      log: { level: "off" },
    };
    writeFileSync(join(folder, "good.json"), JSON.stringify(config));
    const started = run(["--config", "good.json"]);
    expect(portOf(await started.ready)).toBeGreaterThan(0);
    signal(started, "SIGTERM");
    expect((await started.ended).code).toBe(0);
    expect(existsSync(join(folder, "from_file/broker-4"))).toBe(true);
  });

  test("--version and start --help answer on standard output", async () => {
    const version = await run(["--version"]).ended;
    expect(version).toMatchObject({ code: 0, stderr: "" });
    expect(version.stdout).toMatch(/^millrace \d+\.\d+\.\d+ \((bun|deno) [\d.]+\)\n$/);
    const help = await run(["start", "--help"]).ended;
    expect(help.code).toBe(0);
    expect(help.stdout).toContain("--kafka HOST:PORT");
  });
});

const deno = join(root, "node_modules/.bin/deno");
// From Bun alone: a Deno that starts another through node:child_process gives it all permissions.
describe.if(!isDeno && existsSync(deno))("deno run mod.ts without a terminal", () => {
  const words = ["run", "--no-prompt", join(root, "mod.ts")];

  test("prints what to type, and what it prints works", async () => {
    const args = ["--data", "./plain", "--kafka", "127.0.0.1:0", "--log-level", "off"];
    const ended = await run(args, { words, host: deno }).ended;
    expect(ended).toMatchObject({ code: 1, stdout: "" });
    expect(ended.stderr.trim().split("\n")).toHaveLength(1);
    expect(ended.stderr).toContain(`deno run -A mod.ts ${args.join(" ")}`);
    const flags = ended.stderr.match(/--allow-\S+(?=[ )])/g)!;
    expect(flags).toEqual(["--allow-net=127.0.0.1:0", "--allow-read=.", "--allow-write=./plain"]);
    const started = run(args, {
      words: ["run", "--no-prompt", ...flags, join(root, "mod.ts")],
      host: deno,
    });
    expect(await started.ready).toMatch(/^ready kafka=/);
    signal(started, "SIGTERM");
    expect((await started.ended).code).toBe(0);
  });
});
