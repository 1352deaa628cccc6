// The application of WordCount.java as a process that can be killed, with or without what it keeps on disk, and asked for its table.

import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { createInterface } from "node:readline";

const DUMP_MS_MAX = 10_000;

export class CountApp {
  /** Records that were restored, in all processes so far. */
  restored = 0;
  /** How often a process ended by itself, since it could not go on. */
  failures = 0;
  /** What went wrong last. */
  complaint = "";
  readonly #command: readonly string[];
  readonly #folder: string;
  readonly #bootstrap: string;
  #child: ChildProcess | null = null;
  #ended: Promise<void> = Promise.resolve();
  #isStopping = false;
  #lines: string[] = [];
  #dumped: ((lines: readonly string[] | null) => void) | null = null;

  /** @param command With a folder for its state where `folder` is */
  constructor(command: readonly string[], folder: string, bootstrap: string) {
    this.#command = command;
    this.#folder = folder;
    this.#bootstrap = bootstrap;
    process.on("exit", () => this.#child?.kill("SIGKILL"));
  }

  start(): void {
    const child = spawn(this.#command[0]!, this.#command.slice(1), {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, BOOTSTRAP: this.#bootstrap },
    });
    this.#child = child;
    child.stdin.on("error", () => {});
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      if (process.env["VERBOSE"] !== undefined) process.stderr.write(text);
    });
    createInterface({ input: child.stdout }).on("line", (line) => this.#line(line));
    this.#ended = new Promise((resolve) => {
      child.once("exit", (code) => {
        this.#child = null;
        this.#answer(null);
        resolve();
        if (this.#isStopping || code === null) return;
        this.failures++;
        this.start();
      });
    });
  }

  /** At once; its state on disk is deleted where that is asked for. */
  async kill(deletesState: boolean): Promise<void> {
    this.#isStopping = true;
    this.#child?.kill("SIGKILL");
    await this.#ended;
    this.#isStopping = false;
    if (deletesState) rmSync(this.#folder, { recursive: true, force: true });
  }

  /** The table, as words and counts; null while there is none. */
  async table(): Promise<ReadonlyMap<string, number> | null> {
    if (this.#child === null) return null;
    const lines = await new Promise<readonly string[] | null>((resolve) => {
      const timer = setTimeout(() => this.#answer(null), DUMP_MS_MAX);
      this.#dumped = (found) => {
        clearTimeout(timer);
        resolve(found);
      };
      this.#lines = [];
      this.#child!.stdin!.write("dump\n");
    });
    if (lines === null) return null;
    return new Map(
      lines.map((line) => {
        const [, word, count] = line.split(" ");
        return [word!, Number(count)];
      }),
    );
  }

  #line(line: string): void {
    if (process.env["VERBOSE"] !== undefined && !line.startsWith("count ")) console.error(line);
    if (line.startsWith("count ")) this.#lines.push(line);
    else if (line === "end") this.#answer(this.#lines);
    else if (line === "busy") this.#answer(null);
    else if (line.startsWith("restored ")) this.restored += Number(line.split(" ")[2]);
    else if (line.startsWith("failed ")) this.complaint = line.slice(0, 300);
  }

  #answer(lines: readonly string[] | null): void {
    this.#dumped?.(lines);
    this.#dumped = null;
  }
}
