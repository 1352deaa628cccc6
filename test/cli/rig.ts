// Commands from outside, as a shell runs them, and a broker for them to talk to.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { processHost } from "../../src/cli/host.ts";
import { runCli } from "../../src/cli/main.ts";

const root = join(import.meta.dirname!, "..", "..");
const program =
  "Deno" in globalThis ? ["run", "-A", join(root, "mod.ts")] : ["run", join(root, "src/main.ts")];

export interface Ended {
  readonly code: number | null;
  readonly stdout: Uint8Array;
  readonly stderr: string;
}

export interface CliRig {
  readonly folder: string;
  readonly bootstrap: string;
  /** Runs `millrace …` to its end. */
  run(args: readonly string[], input?: Uint8Array | string): Promise<Ended>;
  /** As `run`, in this process: a start of the runtime costs more than most commands. */
  call(
    args: readonly string[],
    input?: Uint8Array | string,
    environment?: Readonly<Record<string, string>>,
  ): Promise<Ended>;
  /** As `call`, but fails unless the exit code is 0; the output as text. */
  ok(args: readonly string[], input?: Uint8Array | string): Promise<string>;
  /** A command that goes on. */
  start(args: readonly string[]): ChildProcess;
  stop(): Promise<void>;
}

export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** A broker on a folder and a port of its own. */
export async function startCliRig(
  settings: readonly string[] = [],
  flags: readonly string[] = [],
): Promise<CliRig> {
  const folder = mkdtempSync(join(tmpdir(), "millrace-cli-"));
  const children = new Set<ChildProcess>();
  let bootstrap = "";
  const { readFile, writeFile, checkSettings } = processHost();
  const start = (args: readonly string[]): ChildProcess => {
    const child = spawn(process.execPath, [...program, ...args], {
      cwd: folder,
      env: { ...process.env, MILLRACE_BOOTSTRAP: bootstrap },
      stdio: ["pipe", "pipe", "pipe"],
    });
    children.add(child);
    child.on("close", () => children.delete(child));
    return child;
  };
  const run = (args: readonly string[], input: Uint8Array | string = ""): Promise<Ended> => {
    const child = start(args);
    const stdout: Uint8Array[] = [];
    let stderr = "";
    child.stdout!.on("data", (chunk: Uint8Array) => stdout.push(chunk));
    child.stderr!.on("data", (chunk) => (stderr += chunk));
    child.stdin!.on("error", () => {}); // It need not read its input to the end.
    child.stdin!.end(input);
    return new Promise((resolve) => {
      child.on("close", (code) => resolve({ code, stdout: joined(stdout), stderr }));
    });
  };
  const call = async (
    args: readonly string[],
    input: Uint8Array | string = "",
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Ended> => {
    const stdout: Uint8Array[] = [];
    let stderr = "";
    const write = async (bytes: Uint8Array) => void stdout.push(bytes.slice());
    const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
    const code = await runCli(args, {
      readFile,
      writeFile,
      checkSettings,
      environment: { MILLRACE_BOOTSTRAP: bootstrap, ...environment },
      isInputTerminal: false,
      isOutputTerminal: false,
      isErrorTerminal: false,
      interrupted: new AbortController().signal,
      // Odd pieces, as a pipe may give them.
      async *input() {
        for (let at = 0; at < bytes.length; at += 8_191) yield bytes.subarray(at, at + 8_191);
      },
      output: { write, close: () => Promise.resolve() },
      print: (text) => write(new TextEncoder().encode(text)),
      tell: (text) => {
        stderr += text;
      },
    });
    return { code, stdout: joined(stdout), stderr };
  };
  const broker = start([
    "start",
    "--data",
    join(folder, "data"),
    "--kafka",
    "127.0.0.1:0",
    ...settings.flatMap((setting) => ["-o", setting]),
    ...flags,
  ]);
  bootstrap = await readyAddress(broker);
  return {
    folder,
    bootstrap,
    run,
    start,
    call,
    async ok(args, input) {
      const { code, stdout, stderr } = await call(args, input);
      if (code !== 0) throw new Error(`millrace ${args.join(" ")} ended with ${code}: ${stderr}`);
      return textOf(stdout);
    },
    async stop() {
      const ended = new Promise((resolve) => broker.on("close", resolve));
      process.kill(broker.pid!, "SIGTERM");
      await ended;
      for (const child of children) child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function readyAddress(broker: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let stdout = "";
    let stderr = "";
    broker.stderr!.on("data", (text) => (stderr += text));
    broker.stdout!.on("data", (text) => {
      stdout += text;
      const match = /^ready kafka=(\S+) /m.exec(stdout);
      if (match !== null) resolve(match[1]!);
    });
    broker.on("close", (code) => reject(new Error(`The broker ended with ${code}: ${stderr}`)));
  });
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
