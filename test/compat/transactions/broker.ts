// A broker that can be killed at any moment and started again where it was: ours, or Apache Kafka, by start_broker.sh.
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

export class KillableBroker {
  readonly #folder: string;
  readonly #settings: readonly string[];
  readonly #ports: readonly [port: number, controllerPort: number];
  #child: ChildProcess | null = null;
  #pid = 0;

  private constructor(
    folder: string,
    settings: readonly string[],
    ports: readonly [number, number],
  ) {
    this.#folder = folder;
    this.#settings = settings;
    this.#ports = ports;
    process.on("exit", () => this.#signal("SIGKILL"));
  }

  static async start(folder: string, settings: readonly string[]): Promise<KillableBroker> {
    const broker = new KillableBroker(folder, settings, [await freePort(), await freePort()]);
    await broker.start();
    return broker;
  }

  get bootstrap(): string {
    return `127.0.0.1:${this.#ports[0]}`;
  }

  /** Resolves when it serves. */
  start(): Promise<void> {
    const script = join(import.meta.dirname, "../start_broker.sh");
    const child = spawn(script, [this.#folder, ...this.#settings], {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        PORT: String(this.#ports[0]),
        CONTROLLER_PORT: String(this.#ports[1]),
      },
    });
    this.#child = child;
    return new Promise((resolve, reject) => {
      child.once("exit", (code) => reject(new Error(`the broker ended with code ${code}`)));
      createInterface({ input: child.stdout! }).on("line", (line) => {
        const found = /PID=(\d+)/.exec(line);
        if (found === null) return;
        this.#pid = Number(found[1]);
        resolve();
      });
    });
  }

  /** Ends it at once, and resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child!;
    const gone = new Promise<void>((resolve) => {
      child.once("exit", () => resolve());
    });
    this.#signal("SIGKILL");
    await gone;
  }

  async stop(): Promise<void> {
    const child = this.#child!;
    if (child.exitCode !== null) return;
    const gone = new Promise<void>((resolve) => {
      child.once("exit", () => resolve());
    });
    child.kill("SIGTERM");
    await gone;
    this.#pid = 0;
  }

  /** To the broker's process group: it is its leader. */
  #signal(name: NodeJS.Signals): void {
    if (this.#pid === 0) return;
    try {
      process.kill(-this.#pid, name);
    } catch {
      // It is gone already.
    }
    this.#pid = 0;
  }
}
