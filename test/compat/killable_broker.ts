// A broker that can be killed at any moment and started again where it was: ours, or Apache Kafka, by start_broker.sh.
// Invariant: it dies with this program, and one that ended by itself is never taken for one that was killed.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { freePort } from "./free_port.ts";

/** Kafka on a busy machine takes a minute. */
const START_MS_MAX = 120_000;

export class KillableBroker {
  readonly #folder: string;
  readonly #settings: readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  readonly #port: number;
  #child: ChildProcess | null = null;
  /** Of the broker, which leads a process group; 0: there is none. */
  #pid = 0;

  private constructor(
    folder: string,
    settings: readonly string[],
    env: Readonly<Record<string, string>>,
    port: number,
  ) {
    this.#folder = folder;
    this.#settings = settings;
    this.#env = env;
    this.#port = port;
    process.on("exit", () => {
      try {
        if (this.#pid > 0) process.kill(-this.#pid, "SIGKILL");
      } catch {
        // It is gone already.
      }
    });
  }

  /** Has its ports, and is not started. @param env Besides this program's own: RUNTIME and the like, as lib.sh says */
  static async at(
    folder: string,
    settings: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<KillableBroker> {
    const [port, controllerPort] = [await freePort(), await freePort()];
    const ports = { PORT: String(port), CONTROLLER_PORT: String(controllerPort) };
    return new KillableBroker(folder, settings, { ...env, ...ports }, port);
  }

  static async start(folder: string, settings: readonly string[]): Promise<KillableBroker> {
    const broker = await KillableBroker.at(folder, settings);
    await broker.start();
    return broker;
  }

  get bootstrap(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Resolves when it serves. @throws {Error} with what the script complained of, or when it takes longer than it ever should */
  async start(): Promise<void> {
    const script = join(import.meta.dirname!, "start_broker.sh");
    // A file and not its output: of hundreds of starts one line was read and not told on Bun, and that run stood still.
    const startedFile = join(this.#folder, "started");
    rmSync(startedFile, { force: true });
    const child = spawn(script, [this.#folder, ...this.#settings], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, ...this.#env, STARTED_FILE: startedFile },
    });
    this.#child = child;
    let complaint = "";
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      complaint += text;
    });
    const untilMs = Date.now() + START_MS_MAX;
    while (!existsSync(startedFile)) {
      if (child.exitCode !== null || Date.now() > untilMs) {
        child.kill("SIGTERM");
        throw new Error(`the broker did not start (code ${child.exitCode}): ${complaint}`);
      }
      await pause(10);
    }
    this.#pid = Number(/PID=(\d+)/.exec(readFileSync(startedFile, "utf8"))![1]);
  }

  /** Ends it at once, and resolves when it is gone. @throws {Error} when it had ended by itself */
  async kill(): Promise<void> {
    const [child, pid] = [this.#child, this.#pid];
    if (child === null || pid === 0) throw new Error("the broker was not running");
    if (child.exitCode !== null) {
      throw new Error(`the broker had ended by itself, with code ${child.exitCode}`);
    }
    const gone = new Promise((resolve) => child.once("exit", resolve));
    this.#pid = 0;
    process.kill(-pid, "SIGKILL");
    await gone;
  }

  async stop(): Promise<void> {
    const child = this.#child!;
    if (child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await gone;
    this.#pid = 0;
  }
}
