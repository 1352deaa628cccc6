// Those who read what the loops wrote: Java and kcat, from the start, when all is done; and Java all the while, through every
// kill of the broker, so that what was to be seen for a moment only is seen, too.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { java } from "./clients.ts";
import type { Seen } from "./judge.ts";

const READ_MS_MAX = 60_000;

/** What a reader prints, by line: partition, offset, value. */
function read(command: readonly string[], bootstrap: string): Seen[] {
  const done = spawnSync(command[0]!, command.slice(1), {
    encoding: "utf8",
    env: { ...process.env, BOOTSTRAP: bootstrap },
    maxBuffer: 1 << 28,
    timeout: READ_MS_MAX,
  });
  if (done.status !== 0) {
    throw new Error(`${command[0]}: ${done.status} ${done.stderr?.slice(-300)}`);
  }
  return done.stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [partition, offset, value = ""] = line.split(" ");
      return { partition: Number(partition), offset: Number(offset), value };
    });
}

export type Isolation = "read_committed" | "read_uncommitted";

export function readByKcat(bootstrap: string, topic: string, isolation: Isolation): Seen[] {
  const what = ["kcat", "-C", "-q", "-e", "-o", "beginning", "-b", bootstrap, "-t", topic];
  return read([...what, "-X", `isolation.level=${isolation}`, "-f", "%p %o %s\n"], bootstrap);
}

export function readByJava(bootstrap: string, topic: string, isolation: Isolation): Seen[] {
  return read([...java(), "show", topic, isolation], bootstrap);
}

/** Java's consumer of committed records, which reads on while the broker dies and comes back. */
export class Watcher {
  readonly #child: ChildProcess;
  readonly #seen = new Map<string, Seen[]>();
  readonly #ended: Promise<unknown>;
  #complaints = "";

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = once(child, "exit");
    process.on("exit", () => child.kill("SIGKILL"));
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-300);
    });
  }

  /** Resolves when it reads. */
  static async start(bootstrap: string, topics: readonly string[]): Promise<Watcher> {
    const [program, ...flags] = java();
    const child = spawn(program!, [...flags, "watch", ...topics], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, BOOTSTRAP: bootstrap },
    });
    const watcher = new Watcher(child);
    const lines = createInterface({ input: child.stdout! });
    await Promise.race([once(lines, "line"), watcher.#failed()]);
    lines.on("line", (line) => watcher.#line(line));
    return watcher;
  }

  seenOf(topic: string): readonly Seen[] {
    return this.#seen.get(topic) ?? [];
  }

  /** Whether it still reads; otherwise what it said last. */
  get fault(): string | null {
    const { exitCode } = this.#child;
    return exitCode === null ? null : `it ended with code ${exitCode}: ${this.#complaints}`;
  }

  async stop(): Promise<void> {
    if (this.fault !== null) return;
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  async #failed(): Promise<never> {
    await this.#ended;
    throw new Error(`the watcher: ${this.fault}`);
  }

  #line(line: string): void {
    const [topic, partition, offset, value = ""] = line.split(" ");
    const seen = this.#seen.get(topic!) ?? [];
    seen.push({ partition: Number(partition), offset: Number(offset), value });
    this.#seen.set(topic!, seen);
  }
}
