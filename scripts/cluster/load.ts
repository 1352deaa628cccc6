// The load of a cluster check: a program of clients (test/compat/cluster/Load.java, or one that knows its lines), asked line by line. Invariant: one question at a time,
// and each has a time limit; a process that ends by itself fails the check.

import { type ChildProcess, spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { History } from "./history.ts";
import { fromLib } from "./nodes.ts";
import { endsWithUs } from "./watchdog.ts";

/** Of complaints of the clients, which come in a flood where a cluster stands still. */
const COMPLAINT_CHARS_MAX = 4000;

/** The class path of the load; compiles it when it has to. */
export function loadClasses(): string {
  return fromLib('. "$compat/cluster/build.sh"; need_cluster_load; echo "$CLUSTER_CP"');
}

export class Load {
  readonly #child: ChildProcess;
  readonly #historyFile: string;
  #complaints = "";
  #answer: ((line: string) => void) | null = null;
  #queue: Promise<unknown> = Promise.resolve();
  #isOver = false;

  private constructor(child: ChildProcess, historyFile: string) {
    this.#child = child;
    this.#historyFile = historyFile;
    process.on("exit", () => child.kill("SIGKILL"));
    endsWithUs(child, false);
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-COMPLAINT_CHARS_MAX);
      if (process.env["VERBOSE"] !== undefined) process.stderr.write(text);
    });
    createInterface({ input: child.stdout! }).on("line", (line) => {
      const answer = this.#answer;
      this.#answer = null;
      answer?.(line);
    });
    child.stdin!.on("error", () => {}); // it ended: the exit says so
    child.once("exit", (code, signal) => {
      this.#isOver = true;
      this.#answer?.(`- failed the load ended by itself (${code ?? signal}): ${this.complaints}`);
    });
  }

  /** The Java client's. @param inside How a command is run where the clients are */
  static start(
    bootstrap: string,
    historyFile: string,
    inside: (command: readonly string[]) => readonly string[] = (command) => command,
  ): Promise<Load> {
    const java = ["java", "-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
    return Load.of(inside([...java, "-cp", loadClasses(), "Load"]), bootstrap, historyFile);
  }

  /** @param command Of the program; the file of its history comes behind */
  static async of(
    command: readonly string[],
    bootstrap: string,
    historyFile: string,
  ): Promise<Load> {
    const words = [...command, historyFile];
    const child = spawn(words[0]!, words.slice(1), {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, BOOTSTRAP: bootstrap },
    });
    const load = new Load(child, historyFile);
    await load.#wait("up", 60_000, () => {});
    return load;
  }

  /** The last that the clients complained of. */
  get complaints(): string {
    return this.#complaints.trim();
  }

  #wait(what: string, withinMs: number, begin: () => void): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#isOver) {
        reject(new Error(`${what}: the load has ended: ${this.complaints.slice(-500)}`));
        return;
      }
      const timer = setTimeout(() => {
        this.#answer = null;
        reject(new Error(`${what}: no answer in ${withinMs} ms`));
      }, withinMs);
      this.#answer = (line) => {
        clearTimeout(timer);
        const [, ...rest] = line.split(" ");
        if (rest[0] === "failed") reject(new Error(`${what}: ${rest.slice(1).join(" ")}`));
        else resolve(rest.slice(1).join(" "));
      };
      begin();
    });
  }

  /** @returns what comes behind "ok". @throws {Error} with what it said instead, or when it is silent */
  ask(line: string, withinMs = 90_000): Promise<string> {
    const asked = this.#queue.then(() =>
      this.#wait(line.split(" ").slice(0, 2).join(" "), withinMs, () =>
        this.#child.stdin!.write(`${line}\n`),
      ),
    );
    this.#queue = asked.catch(() => {});
    return asked;
  }

  /** Records acknowledged, failed, read by groups. */
  async counts(): Promise<{ acked: number; failed: number; seen: number }> {
    const [acked, failed, seen] = (await this.ask("count")).split(" ").map(Number);
    return { acked: acked!, failed: failed!, seen: seen! };
  }

  /** What was acknowledged by place, and what was read by "GROUP:PLACE". */
  async progress(): Promise<ReadonlyMap<string, number>> {
    const pairs = (await this.ask("progress")).split(" ").filter((word) => word !== "");
    return new Map(pairs.map((pair) => [pair.split("=")[0]!, Number(pair.split("=")[1])]));
  }

  /**
   * Waits until each of `lines` (places, and "GROUP:PLACE") has had `count` records more.
   * @throws {Error} that names those that had not, after `withinMs`
   */
  async goesOn(lines: readonly string[], count: number, withinMs: number): Promise<void> {
    const before = await this.progress();
    const until = Date.now() + withinMs;
    for (;;) {
      const now = await this.progress();
      const more = (line: string): number => (now.get(line) ?? 0) - (before.get(line) ?? 0);
      const late = lines.filter((line) => more(line) < count);
      if (late.length === 0) return;
      if (Date.now() > until) {
        const told = late.map((line) => `${line} ${more(line)}`).join(", ");
        throw new Error(`fewer than ${count} records in ${withinMs} ms: ${told}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Places by who leads them: -1 where nobody does. Empty when nobody can say. */
  async leaders(): Promise<ReadonlyMap<string, number>> {
    const leaders = new Map<string, number>();
    const said = await this.ask("leaders", 20_000).catch(() => "");
    for (const each of said.split(" ").filter((word) => word !== "")) {
      const [place, leader] = each.split("=");
      leaders.set(place!.replace(":", "/"), Number(leader));
    }
    return leaders;
  }

  get historyFile(): string {
    return this.#historyFile;
  }

  /** Ends the process; what it wrote down is whole then. */
  async end(): Promise<void> {
    const exit = new Promise((resolve) => this.#child.once("exit", resolve));
    if (!this.#isOver) {
      this.#child.stdin!.end("quit\n");
      await exit;
    }
  }
}

/** @throws {Error} for a line that no history has */
export async function readHistory(...files: string[]): Promise<History> {
  const history = new History();
  for (const file of files) {
    for await (const line of createInterface({ input: createReadStream(file) })) history.line(line);
  }
  return history;
}
