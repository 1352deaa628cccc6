// A broker that can be killed at any moment and started again where it was: ours, or Apache Kafka, by start_broker.sh.
// Invariant: it dies with this program, and one that ended by itself is never taken for one that was killed.
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "./free_port.ts";

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

  /** Resolves when it serves. @throws {Error} with what the script complained of */
  start(): Promise<void> {
    const script = join(import.meta.dirname!, "start_broker.sh");
    const child = spawn(script, [this.#folder, ...this.#settings], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...this.#env },
    });
    this.#child = child;
    let complaint = "";
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      complaint += text;
    });
    return new Promise((resolve, reject) => {
      child.once("close", (code) => {
        reject(new Error(`the broker did not start, and ended with code ${code}: ${complaint}`));
      });
      createInterface({ input: child.stdout! }).on("line", (line) => {
        const found = /PID=(\d+)/.exec(line);
        if (found === null) return;
        this.#pid = Number(found[1]);
        resolve();
      });
    });
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
