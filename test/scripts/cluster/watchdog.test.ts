// A rig that is killed from outside takes its brokers with it, and so does one whose check is gone.

import { afterEach, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

const nodes = join(import.meta.dirname!, "../../../scripts/cluster/nodes.ts");
const isDeno = "Deno" in globalThis;
let ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.reverse()) end();
  ends = [];
});

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It is gone.
  }
}

/** One that has ended and that nobody has asked after yet is gone too. */
function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const stat = `/proc/${pid}/stat`;
  if (!existsSync("/proc/self/stat")) return true;
  return existsSync(stat) && !/\) Z /.test(readFileSync(stat, "utf8"));
}

async function isGone(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 1000 && isThere(pid); tries++) await pause(10);
  return !isThere(pid);
}

/** A program with a server in a group of its own, whose process is the answer; `ended` is one that it has ended itself. */
async function rig(env: Record<string, string>) {
  const folder = mkdtempSync(join(tmpdir(), "millrace-watchdog-"));
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  const program = join(folder, "rig.ts");
  writeFileSync(
    program,
    `import { LOOPBACK, Server } from ${JSON.stringify(nodes)};
     const launch = { place: "n1", command: ["sh", "-c", "echo serves; exec sleep 600"], env: {}, readyText: "serves" };
     const server = (name: string) => new Server(name, ${JSON.stringify(folder)}, LOOPBACK, launch);
     const first = server("first");
     await first.start();
     await first.kill();
     const second = server("second");
     await second.start();
     console.log(second.pid);
     setInterval(() => {}, 1000);`,
  );
  const words = isDeno ? ["run", "-A", "--no-check", program] : ["run", program];
  const child: ChildProcess = spawn(process.execPath, words, {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  ends.push(() => kill(child.pid!, "SIGKILL"));
  const lines = createInterface({ input: child.stdout! });
  const pid = Number(await new Promise<string>((resolve) => lines.once("line", resolve)));
  ends.push(() => kill(-pid, "SIGKILL"));
  return { child, pid };
}

test("kill -9 of the rig ends its brokers", async () => {
  const { child, pid } = await rig({});
  expect(isThere(pid)).toBe(true);
  child.kill("SIGKILL");
  expect(await isGone(pid)).toBe(true);
});

test("a rig whose check is gone ends, and its brokers", async () => {
  const check = spawn("sleep", ["600"], { stdio: "ignore" });
  ends.push(() => kill(check.pid!, "SIGKILL"));
  const { child, pid } = await rig({ RELAY_PID: String(check.pid) });
  const exit = new Promise((resolve) => child.once("exit", resolve));
  expect(isThere(pid)).toBe(true);
  check.kill("SIGKILL");
  expect(await exit).toBe(130);
  expect(await isGone(pid)).toBe(true);
});
