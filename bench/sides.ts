// The brokers that are measured: how each starts on a fresh folder, is asked for its figures through kbench, and ends.
// Invariant: every side gets the same load from the same generator; a side differs only in its command.
import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../test/compat/free_port.ts";

const repo = join(import.meta.dirname!, "..");

export const SIDES = ["kafka", "kafka-fsync", "millrace-bun", "millrace-deno"] as const;
export type Side = (typeof SIDES)[number];

/** One line of kbench's JSON; which keys are there depends on the command. */
export type Figures = Record<string, number | string | boolean | undefined>;

export const tool = (name: "bun" | "deno"): string => join(repo, "node_modules/.bin", name);

/** A line of the shell that the client checks share: they install the peers. */
function fromLib(line: string): string {
  const script = `. "$0/test/compat/lib.sh"; ${line}`;
  const done = spawnSync("bash", ["-c", script, repo], { encoding: "utf8" });
  if (done.status !== 0) throw new Error(done.stderr);
  return done.stdout.trim();
}

let kbenchPath: string | undefined;
/** Where the load generator is; it is built on first use. */
export function kbench(): string {
  kbenchPath ??= fromLib('need_go "$repo/bench/kbench"; echo "$GO_PROGRAM"');
  return kbenchPath;
}

/** Runs one kbench command and answers its figures; a failure is a figure too ("error"). */
export function ask(
  command: string,
  address: string,
  args: readonly (string | number)[],
  timeoutMs = 180_000,
): Figures {
  const all = [command, "-brokers", address, ...args.map(String)];
  const done = spawnSync(kbench(), all, { encoding: "utf8", timeout: timeoutMs });
  const last = done.stdout?.trim().split("\n").at(-1) ?? "";
  try {
    return JSON.parse(last) as Figures;
  } catch {
    return { error: done.error?.message ?? done.stderr.trim() };
  }
}

export interface Running {
  readonly address: string;
  readonly pid: number;
  readonly start: Figures;
  /** Ends the broker and everything it started. */
  stop(): Promise<void>;
}

export interface StartOptions {
  /** Seconds before idle memory is read. */
  readonly settleS: number;
  /** Seconds over which idle CPU is watched. */
  readonly idleS: number;
  /** More settings, name=value. */
  readonly options?: readonly string[];
  /** In place of the side's own program: the words before the flags. */
  readonly program?: readonly string[];
}

async function commandOf(side: Side, folder: string, port: number, given: StartOptions) {
  const options = given.options ?? [];
  if (side.startsWith("millrace")) {
    const bun = [tool("bun"), "run", join(repo, "src/main.ts")];
    const deno = [tool("deno"), "run", "-A", join(repo, "mod.ts")];
    const program = given.program ?? (side === "millrace-bun" ? bun : deno);
    const flags = ["start", "--data", join(folder, "data"), "--kafka", `127.0.0.1:${port}`];
    return { words: [...program, ...flags, ...options.flatMap((o) => ["-o", o])], env: {} };
  }
  const script = join(repo, "test/compat/kafka_start.sh");
  const fsync = side === "kafka-fsync" ? ["log.flush.interval.messages=1"] : [];
  const env = {
    KAFKA_LIBS: fromLib('need_kafka_jars; echo "$KAFKA_LIBS"'),
    KAFKA_DATA: join(folder, "data"),
    KAFKA_PORT: String(port),
    CONTROLLER_PORT: String(await freePort()),
  };
  const words = [script, ...fsync, ...options];
  // another JVM formats the folder first; that is not counted as starting
  const format = spawnSync(words[0]!, words.slice(1), {
    env: { ...process.env, ...env, KAFKA_FORMAT_ONLY: "1" },
    encoding: "utf8",
  });
  if (format.status !== 0) throw new Error(`formatting Kafka's folder: ${format.stderr}`);
  return { words, env };
}

/** Starts a side on a fresh folder and waits for its first acknowledged record. */
export async function startSide(side: Side, folder: string, given: StartOptions): Promise<Running> {
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const { words, env } = await commandOf(side, folder, port, given);
  const log = join(folder, "broker.log");
  closeSync(openSync(log, "a"));
  spawnSync("sync");
  const cold = ["coldstart", "-brokers", address, "-detach", "-log", log];
  const waits = ["-settle", `${given.settleS}s`, "-idle", `${given.idleS}s`, "--", ...words];
  const done = spawnSync(kbench(), [...cold, ...waits], {
    encoding: "utf8",
    env: { ...process.env, ...env },
    cwd: repo,
  });
  const start = JSON.parse(done.stdout.trim().split("\n").at(-1) ?? "{}") as Figures;
  const pid = Number(start["pid"]);
  if (start["error"] !== undefined || !(pid > 0)) {
    const end = readFileSync(log, "utf8").slice(-2000);
    throw new Error(`${side} did not start: ${start["error"] ?? done.stderr}\n${end}`);
  }
  return { address, pid, start, stop: () => stopGroup(pid) };
}

/** The broker, and everything it started, is gone in the middle of whatever it did: a crash. */
export function killSide({ pid }: Running): Promise<void> {
  return stopGroup(pid, "SIGKILL");
}

async function stopGroup(pid: number, signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
  const deadline = Date.now() + 30_000;
  try {
    process.kill(-pid, signal);
    while (Date.now() < deadline) {
      await Bun.sleep(50);
      process.kill(-pid, 0);
    }
    process.kill(-pid, "SIGKILL");
  } catch {
    // the group is gone, as it should be
  }
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

/** CPU seconds of the whole machine that were not idle. */
export function machineBusyS(): number {
  const fields = readFileSync("/proc/stat", "utf8").split("\n")[0]!.trim().split(/\s+/).slice(1, 9);
  const ticks = fields.map(Number);
  return (ticks.reduce((sum, each) => sum + each, 0) - ticks[3]! - ticks[4]!) / 100;
}

/** CPU seconds of one process, its ended children included. */
export function processBusyS(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (
      (Number(fields[11]) + Number(fields[12]) + Number(fields[13]) + Number(fields[14])) / 100
    );
  } catch {
    return 0;
  }
}

export function median(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function show(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "–";
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}
