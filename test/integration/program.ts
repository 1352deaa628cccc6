// The program as a user starts it, on this runtime: a process of its own that can be killed, with its data in a folder.

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";

const repo = join(import.meta.dirname!, "../..");
const program = "Deno" in globalThis ? ["run", "-A", "mod.ts"] : ["run", "src/main.ts"];

export class Program {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #exit: Promise<void>;

  private constructor(port: number, child: ChildProcess, exit: Promise<void>) {
    this.port = port;
    this.#child = child;
    this.#exit = exit;
  }

  /** Resolves when it is ready. @throws {Error} with what it printed, when it ended instead */
  static async start(folder: string, ...flags: readonly string[]): Promise<Program> {
    const kafka = flags.includes("--kafka") ? [] : ["--kafka", "127.0.0.1:0"];
    const args = ["start", "--data", join(folder, "data"), ...kafka, ...flags];
    const child = spawn(process.execPath, [...program, ...args], {
      cwd: repo,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const exit = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    let printed = "";
    const port = await new Promise<number>((resolve, reject) => {
      for (const stream of [child.stdout!, child.stderr!]) {
        stream.setEncoding("utf8").on("data", (text: string) => {
          printed += text;
          const ready = printed.match(/ready kafka=\S+:(\d+)/);
          if (ready !== null) resolve(Number(ready[1]));
        });
      }
      child.once("exit", (code) => reject(new Error(`ended with ${code}: ${printed}`)));
    });
    return new Program(port, child, exit);
  }

  /** Without a word, as a crash does. Resolves once the process is gone. Idempotent. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exit;
  }
}
