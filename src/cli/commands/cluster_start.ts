// `millrace cluster start`: several brokers on this machine below one parent, which keeps their metadata store. Each broker is a
// process of its own, started again when it dies. Invariant: no broker outlives this process: each watches its standard input.

import { spawn } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { addressText, parseAddress } from "../../config/addresses.ts";
import { PARENT_TOKEN_VARIABLE } from "../../config/layers.ts";
import { openParentStore, type ParentStore } from "../../config/parent_store.ts";
import { environment, hostName } from "../../runtime/host.ts";
import { hostRuntime } from "../../runtime/host_runtime.ts";
import type { Arguments } from "../arguments.ts";
import { CommandError } from "../cli_error.ts";
import type { Command } from "../command.ts";
import type { CliHost } from "../host.ts";

const BROKERS_MAX = 32;
/** A broker that has died is started again after this; the double each time it did not become ready, at most the second. */
const RESTART_MS_MIN = 200;
const RESTART_MS_MAX = 10_000;
/** Brokers get so long to hand over and stop, all at once. */
const STOP_MS_MAX = 20_000;
const GRACE_MS = 1_000;
/** Of a broker's ready line. */
const LINE_CHARACTERS_MAX = 10_000;

export const command: Command = {
  name: "cluster start",
  summary: "start several brokers on this machine, to see a cluster",
  about: `Each broker is a process of its own, with a folder below the data folder; all find each other by a metadata store that
this process keeps in DIR/metadata. A broker that dies is started again. When this process dies, so do they all: for a
cluster that outlives a machine, start brokers one by one with --metadata etcd=….`,
  flags: [
    { name: "brokers", value: "N", summary: "how many (3)" },
    { name: "data", value: "DIR", summary: "folder of the data (./data)" },
    {
      name: "kafka",
      value: "HOST:PORT",
      summary: "of the first broker; the others take the ports after it (127.0.0.1:9092)",
    },
    { name: "http", value: "HOST:PORT", summary: "of the first broker, the only one (off)" },
    { name: "option", short: "o", value: "KEY=VALUE", summary: "a setting of all", isList: true },
    { name: "log-level", value: "LEVEL", summary: "of all brokers (warn)" },
  ],
  examples: [
    { command: "millrace cluster start --brokers 3", says: "three on ports 9092, 9093 and 9094" },
  ],
  async run(args, host) {
    const count = args.whole("brokers", 1, BROKERS_MAX) ?? 3;
    const first = parseAddress(args.text("kafka") ?? "127.0.0.1:9092");
    if (first === null) throw args.wrong("--kafka takes HOST:PORT, e.g. 127.0.0.1:9092");
    if (first.port > 0 && first.port + count - 1 > 65_535) {
      throw args.wrong(`--kafka leaves no ports for ${count} brokers`);
    }
    const data = args.text("data") ?? "./data";
    const { runtime, stop } = hostRuntime({ log: { level: "warn" } });
    const store = await openParentStore(data, runtime);
    const brokers = Array.from({ length: count }, (_, at) => {
      const address = { ...first, port: first.port === 0 ? 0 : first.port + at };
      return new ChildBroker(
        at + 1,
        wordsOf(args, data, at, store),
        addressText(address),
        store,
        host,
      );
    });
    try {
      const startedMs = performance.now();
      const ready = Promise.all(brokers.map((broker) => broker.start()));
      const addresses = await Promise.race([ready, interruption(host.interrupted)]);
      if (addresses !== null) {
        const tookMs = Math.round(performance.now() - startedMs);
        await host.print(
          `ready kafka=${addresses.join(",")} brokers=${count} data=${data} in ${tookMs} ms\n`,
        );
        await interruption(host.interrupted);
      }
      return 0;
    } finally {
      await Promise.all(brokers.map((broker) => broker.stop()));
      await store.close();
      await stop(GRACE_MS);
    }
  },
};

/** What every start of a broker is told, but for its port. */
function wordsOf(args: Arguments, data: string, at: number, store: ParentStore): string[] {
  const words = ["start", "--broker-id", String(at + 1), "--data", data];
  words.push("--metadata", `parent=${store.port}`);
  words.push("--http", at === 0 ? (args.text("http") ?? "off") : "off");
  words.push("--log-level", args.text("log-level") ?? "warn");
  for (const option of args.list("option")) words.push("-o", option);
  return words;
}

/** Resolves with null when somebody asks for the end. */
function interruption(signal: AbortSignal): Promise<null> {
  if (signal.aborted) return Promise.resolve(null);
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(null), { once: true });
  });
}

class ChildBroker {
  readonly #id: number;
  readonly #words: readonly string[];
  readonly #store: ParentStore;
  readonly #host: CliHost;
  /** Where it listens: once a free port was found, that one is kept. */
  #address: string;
  #child: ReturnType<typeof spawn> | null = null;
  #isStopping = false;
  #ended: Promise<void> = Promise.resolve();

  constructor(
    id: number,
    words: readonly string[],
    address: string,
    store: ParentStore,
    host: CliHost,
  ) {
    this.#id = id;
    this.#words = words;
    this.#address = address;
    this.#store = store;
    this.#host = host;
  }

  /**
   * Starts it, and again whenever it ends. @returns where Kafka's clients reach it
   * @throws {CommandError} when it ends before it was ready for the first time
   */
  async start(): Promise<string> {
    const address = await this.#spawn();
    if (address === null) {
      throw new CommandError("broker_failed", `Broker ${this.#id} did not start: see above`);
    }
    this.#address = address;
    void this.#keep();
    return address;
  }

  /** Asks it to hand over and stop; kills it when that takes too long. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#signal("SIGTERM");
    const late = new AbortController();
    const timeout = pause(STOP_MS_MAX, "late", { signal: late.signal }).catch(() => "ended");
    const how = await Promise.race([this.#ended.then(() => "ended"), timeout]);
    late.abort();
    if (how === "late") this.#signal("SIGKILL");
    await this.#ended;
  }

  /** Not by the child's own method: Deno's ends its standard input with it, which says that the parent has gone. */
  #signal(signal: "SIGTERM" | "SIGKILL"): void {
    const { pid, exitCode, signalCode } = this.#child ?? {};
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    try {
      process.kill(pid, signal);
    } catch {
      // It has just gone.
    }
  }

  /** Never rejects. */
  async #keep(): Promise<void> {
    let delayMs = RESTART_MS_MIN;
    for (;;) {
      await this.#ended;
      if (this.#isStopping) return;
      this.#host.tell(`millrace: broker ${this.#id} has ended; it is started again\n`);
      await pause(delayMs);
      if (this.#isStopping) return;
      const address = await this.#spawn();
      delayMs = address === null ? Math.min(delayMs * 2, RESTART_MS_MAX) : RESTART_MS_MIN;
    }
  }

  /** @returns its address once it is ready; null when it ended before */
  #spawn(): Promise<string | null> {
    const [program, ...before] = programOf();
    const child = spawn(program!, [...before, ...this.#words, "--kafka", this.#address], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...environment(), [PARENT_TOKEN_VARIABLE]: this.#store.token },
    });
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      child.once("exit", () => resolve());
      child.once("error", (error) => {
        this.#host.tell(`millrace: broker ${this.#id} cannot be started: ${error.message}\n`);
        resolve();
      });
    });
    return new Promise((resolve) => {
      let text = "";
      child.stdout?.on("data", (chunk: Uint8Array) => {
        if (text.length > LINE_CHARACTERS_MAX) return;
        text += new TextDecoder().decode(chunk);
        const address = /^ready .*?kafka=(\S+)/m.exec(text)?.[1];
        if (address === undefined || !text.includes("\n")) return;
        // Whoever wants to see one die needs to know which process it is.
        this.#host.tell(`millrace: broker ${this.#id} is process ${child.pid}, at ${address}\n`);
        resolve(address);
      });
      void this.#ended.then(() => resolve(null));
    });
  }
}

/** The words that start this program again. */
function programOf(): string[] {
  const [, script = ""] = process.argv;
  // Compiled into one file, the program is its own script.
  const isCompiled = script.startsWith("/$bunfs/") || script === process.execPath;
  if (isCompiled) return [process.execPath];
  const how = hostName() === "deno" ? ["run", "-A"] : process.execArgv;
  return [process.execPath, ...how, script];
}
