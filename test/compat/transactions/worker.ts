// A process that reads one topic in a group, and writes what it read to another, in transactions that hold the group's offsets,
// too. Arguments: id (transactional), group, in, out, batch (records at most), abort (percent of transactions), pause (ms at
// most, before the end). Words out: started | committed N | aborted N | note what | hung where | failed why. Records of a transaction that is to
// be committed begin with "c:", those of one to be aborted with "a:"; a record goes to the partition it came from. It ends when its
// standard input does, and with code 3 when a new process has to go on: the driver starts it.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

const children = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

export class Worker {
  committed = 0;
  aborted = 0;
  /** How often a process was begun after the first. */
  restarts = 0;
  /** How often a process gave up on a call of its client that does not end. */
  hung = 0;
  /** What went wrong last. */
  complaint = "";
  readonly #command: readonly string[];
  readonly #bootstrap: string;
  readonly #mayRestart: boolean;
  #child: ChildProcess | null = null;
  #isStopping = false;
  #ended: Promise<void> = Promise.resolve();

  /** @param mayRestart Whether a process of this client may follow another one under the same transactional id. */
  constructor(command: readonly string[], bootstrap: string, mayRestart: boolean) {
    this.#command = command;
    this.#bootstrap = bootstrap;
    this.#mayRestart = mayRestart;
  }

  start(): void {
    const child = spawn(this.#command[0]!, this.#command.slice(1), {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, BOOTSTRAP: this.#bootstrap },
    });
    this.#child = child;
    children.add(child);
    child.stdin.on("error", () => {});
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      if (process.env["VERBOSE"] !== undefined) process.stderr.write(text);
    });
    createInterface({ input: child.stdout }).on("line", (line) => this.#line(line));
    this.#ended = new Promise((resolve) => {
      child.once("exit", (code) => {
        children.delete(child);
        this.#child = null;
        resolve();
        if (this.#isStopping || code === null) return;
        if (!this.#mayRestart) return;
        this.restarts++;
        this.start();
      });
    });
  }

  /** Kills the process, and begins another one. */
  async kill(): Promise<void> {
    const ended = this.#ended;
    this.#child?.kill("SIGKILL");
    await ended;
    this.restarts++;
    if (this.#child === null) this.start();
  }

  /** Lets what is under way come to its end, within `withinMs`. */
  async stop(withinMs: number): Promise<void> {
    this.#isStopping = true;
    this.#child?.stdin?.end();
    const timer = setTimeout(() => this.#child?.kill("SIGKILL"), withinMs);
    await this.#ended;
    clearTimeout(timer);
  }

  get isRunning(): boolean {
    return this.#child !== null;
  }

  #line(line: string): void {
    if (process.env["VERBOSE"] !== undefined) console.error(line);
    const [word, count] = line.split(" ");
    if (word === "committed") this.committed += Number(count);
    else if (word === "aborted") this.aborted += Number(count);
    else if (word === "hung") this.hung++;
    else if (word === "note" || word === "failed") this.complaint = line.slice(0, 300);
  }
}
