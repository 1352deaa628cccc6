// Three brokers as processes that can be killed, stopped, stalled and started one by one: Apache Kafka (each node broker and
// controller, or with one controller beside) or Millrace on Bun or Deno (each with --metadata etcd=…, and one etcd). Invariant:
// all of them die with this program, and one that ended by itself is never taken for one that was ended.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { freePort } from "../../test/compat/free_port.ts";
import { endsWithUs, endWithRelay } from "./watchdog.ts";

/** Which cluster is judged. */
export type Which = "kafka" | "bun" | "deno";
export const WHICH: readonly Which[] = ["kafka", "bun", "deno"];

/** Where processes run: all on loopback, or each in a network of its own. */
export interface Places {
  host(place: string): string;
  inside(place: string, command: readonly string[]): readonly string[];
}

export const LOOPBACK: Places = { host: () => "127.0.0.1", inside: (_place, command) => command };

/** Kafka on a busy machine takes a minute. */
const START_MS_MAX = 120_000;
const STOP_MS_MAX = 60_000;
export const NODES: readonly number[] = [1, 2, 3];
/** The place of etcd, or of Kafka's controller. */
export const KEEPER = "keeper";
const repo = join(import.meta.dirname!, "../..");

/** The program that npm brought, or the one on the machine. */
export function tool(name: string): string {
  const local = join(repo, "node_modules/.bin", name);
  return existsSync(local) ? local : name;
}

/** Runs a line of the shell that the client checks share, and answers what it prints. @throws {Error} when it fails */
export function fromLib(line: string): string {
  const script = `. "$0/test/compat/lib.sh"; ${line}`;
  const done = spawnSync("bash", ["-c", script, repo], { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`${line}: ${done.stderr.trim()}`);
  return done.stdout.trim();
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) signal(child, "SIGKILL");
});
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(name, () => process.exit(130));
}
endWithRelay();

/** To the whole process group: a wrapper must not outlive its broker, nor the reverse. */
function signal(child: ChildProcess, name: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, name);
  } catch {
    // It is gone already.
  }
}

/** What was written from `from` on, 4 MB of it at most. */
function tailOf(path: string, from: number): string {
  const file = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(Math.min(4 << 20, fstatSync(file).size - from));
    return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, from)).toString("utf8");
  } finally {
    closeSync(file);
  }
}

interface Launch {
  readonly place: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** In what it prints, once it serves. */
  readonly readyText: string;
}

/** One process of the cluster, by whatever name. */
export class Server {
  readonly name: string;
  readonly logFile: string;
  readonly #launch: Launch;
  readonly #places: Places;
  #child: ChildProcess | null = null;
  #exit: Promise<number | null> = Promise.resolve(null);
  #isExpected = true;
  /** How often it ended although nobody had ended it. */
  deaths = 0;
  isStalled = false;

  constructor(name: string, folder: string, places: Places, launch: Launch) {
    this.name = name;
    this.logFile = join(folder, `${name}.log`);
    this.#places = places;
    this.#launch = launch;
  }

  get isRunning(): boolean {
    return this.#child !== null;
  }

  /** All that it printed, 4 MB of it at most. */
  get said(): string {
    return tailOf(this.logFile, 0);
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Resolves when it serves, with how long that took. @throws {Error} when it ends before, or takes too long */
  async start(): Promise<number> {
    if (this.#child !== null) throw new Error(`${this.name} runs already`);
    const began = performance.now();
    const from = existsSync(this.logFile) ? statSync(this.logFile).size : 0;
    const log = openSync(this.logFile, "a");
    const [program, ...words] = this.#places.inside(this.#launch.place, this.#launch.command);
    const env = { ...process.env, ...this.#launch.env };
    const child = spawn(program!, words, {
      cwd: repo,
      env,
      detached: true,
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    running.add(child);
    endsWithUs(child, true);
    this.#child = child;
    this.#isExpected = true; // until it serves: an end before is told by the error
    this.isStalled = false;
    this.#exit = new Promise((resolve) => {
      child.once("exit", (code) => {
        running.delete(child);
        this.#child = null;
        if (!this.#isExpected) this.deaths++;
        resolve(code);
      });
    });
    while (performance.now() - began < START_MS_MAX) {
      const said = tailOf(this.logFile, from);
      if (this.#child === child && said.includes(this.#launch.readyText)) {
        this.#isExpected = false;
        return performance.now() - began;
      }
      if (this.#child !== child) {
        throw new Error(`${this.name} did not start: ${said.slice(-600)}`);
      }
      await pause(20);
    }
    throw new Error(`${this.name} was not ready in ${START_MS_MAX} ms; see ${this.logFile}`);
  }

  /** kill -9. @throws {Error} when it had ended by itself */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** SIGTERM, and kill -9 when that does not help. @returns how long it took and the exit code (null: it had to be killed) */
  async stop(): Promise<{ ms: number; code: number | null }> {
    const began = performance.now();
    if (this.isStalled) this.resume();
    const timer = setTimeout(() => this.#child && signal(this.#child, "SIGKILL"), STOP_MS_MAX);
    const code = await this.#end("SIGTERM");
    clearTimeout(timer);
    return { ms: performance.now() - began, code };
  }

  async #end(name: NodeJS.Signals): Promise<number | null> {
    if (this.#child === null) throw new Error(`${this.name} had ended by itself`);
    this.#isExpected = true;
    signal(this.#child, name);
    return await this.#exit;
  }

  /** Whether it ends within `ms` by itself, as it may when its disk is full: that death is not counted. */
  async endsWithin(ms: number): Promise<boolean> {
    this.#isExpected = true;
    const late = new AbortController();
    const isOver = await Promise.race([
      this.#exit.then(() => true),
      pause(ms, false, { signal: late.signal }).catch(() => false),
    ]);
    late.abort();
    if (this.#child !== null) this.#isExpected = false;
    return isOver;
  }

  /** It stands still, with all its connections open. */
  stall(): void {
    if (this.#child === null) return;
    this.isStalled = true;
    signal(this.#child, "SIGSTOP");
  }

  resume(): void {
    this.isStalled = false;
    if (this.#child !== null) signal(this.#child, "SIGCONT");
  }
}

export interface ClusterOptions {
  readonly which: Which;
  readonly folder: string;
  readonly places?: Places;
  /** Of every broker, as name=value. */
  readonly settings?: readonly string[];
  /** Of Kafka: one controller in a process of its own, as etcd is one, so that two brokers may die. */
  readonly isControllerApart?: boolean;
}

/** Three brokers, and etcd where they need one. */
export class Cluster {
  readonly which: Which;
  readonly brokers: ReadonlyMap<number, Server>;
  /** What keeps the metadata, etcd or a controller; null where the brokers do. */
  readonly keeper: Server | null;
  readonly bootstrap: string;
  readonly #folder: string;

  private constructor(options: ClusterOptions, ports: readonly number[]) {
    const { which, folder, places = LOOPBACK, settings = [], isControllerApart = false } = options;
    this.which = which;
    this.#folder = folder;
    const address = (n: number): string => `${places.host(`n${n}`)}:${ports[n]}`;
    this.bootstrap = NODES.map(address).join();
    this.keeper = null;
    const kafka: Record<string, string> = {};
    const program = join(repo, "test/compat/kafka_cluster_start.sh");
    if (which !== "kafka") this.keeper = etcdOf(folder, places, ports[7]!, ports[8]!);
    else {
      kafka["KAFKA_LIBS"] = fromLib('need_kafka_jars; echo "$KAFKA_LIBS"');
      kafka["VOTERS"] = NODES.map((n) => `${n}@${places.host(`n${n}`)}:${ports[n + 3]}`).join();
      if (isControllerApart) {
        const host = places.host(KEEPER);
        kafka["VOTERS"] = `100@${host}:${ports[7]}`;
        kafka["ROLES"] = "broker";
        const own = { NODE: "100", ROLES: "controller", HOST: host, KAFKA_PORT: String(ports[8]) };
        const data = { KAFKA_DATA: join(folder, "controller"), CONTROLLER_PORT: String(ports[7]) };
        this.keeper = new Server("controller", folder, places, {
          place: KEEPER,
          command: [program, "node", ...settings],
          env: { ...kafka, ...own, ...data },
          readyText: "Kafka Server started",
        });
      }
    }
    const brokers = new Map<number, Server>();
    for (const n of NODES) {
      const data = this.dataOf(n);
      mkdirSync(data, { recursive: true });
      const own = { NODE: String(n), HOST: places.host(`n${n}`), KAFKA_PORT: String(ports[n]) };
      const rest = { KAFKA_DATA: data, CONTROLLER_PORT: String(ports[n + 3]) };
      const isKafka = which === "kafka";
      const launch: Launch = {
        place: `n${n}`,
        command: isKafka
          ? [program, "node", ...settings]
          : millrace(
              which,
              data,
              `etcd=http://${places.host(KEEPER)}:${ports[7]}`,
              n,
              address(n),
              settings,
            ),
        env: isKafka ? { ...kafka, ...own, ...rest } : {},
        readyText: isKafka ? "Kafka Server started" : "ready kafka=",
      };
      brokers.set(n, new Server(`broker-${n}`, folder, places, launch));
    }
    this.brokers = brokers;
  }

  /** Has its ports and folders, and nothing is started. */
  static async at(options: ClusterOptions): Promise<Cluster> {
    mkdirSync(options.folder, { recursive: true });
    const ports = [0];
    const isAlone = options.places !== undefined && options.places !== LOOPBACK;
    // In a network of its own every process has all ports.
    for (let i = 1; i <= 8; i++) ports.push(isAlone ? 9090 + i : await freePort());
    return new Cluster(options, ports);
  }

  dataOf(n: number): string {
    return join(this.#folder, `node-${n}`);
  }

  broker(n: number): Server {
    return this.brokers.get(n)!;
  }

  /** All at once: nodes of Kafka wait for each other. */
  async start(): Promise<void> {
    await this.keeper?.start();
    await Promise.all([...this.brokers.values()].map((broker) => broker.start()));
  }

  async stop(): Promise<void> {
    const all = [...this.brokers.values()].filter((broker) => broker.isRunning);
    await Promise.all(all.map((broker) => broker.stop()));
    if (this.keeper?.isRunning === true) await this.keeper.stop();
  }

  /** Ends everything at once; for the way out after an error. */
  async kill(): Promise<void> {
    const all = [...this.brokers.values(), ...(this.keeper === null ? [] : [this.keeper])];
    for (const server of all) if (server.isRunning) await server.kill();
  }
}

function millrace(
  which: Which,
  data: string,
  metadata: string,
  n: number,
  address: string,
  settings: readonly string[],
): string[] {
  const program =
    which === "bun"
      ? [tool("bun"), "run", "src/main.ts", "start"]
      : [tool("deno"), "run", "-A", "mod.ts", "start"];
  const options = [`node.id=${n}`, ...settings].flatMap((each) => ["-o", each]);
  const insecure = address.startsWith("127.") ? [] : ["--insecure"];
  return [
    ...program,
    ...["--data", data, "--metadata", metadata, "--kafka", address],
    ...insecure,
    ...options,
  ];
}

function etcdOf(folder: string, places: Places, port: number, peerPort: number): Server {
  if (spawnSync("etcd", ["--version"]).status !== 0) {
    throw new Error('the program "etcd" is missing: apt-get install etcd-server');
  }
  const client = `http://${places.host(KEEPER)}:${port}`;
  const peer = `http://${places.host(KEEPER)}:${peerPort}`;
  const flags = {
    name: "e1",
    "data-dir": join(folder, "etcd"),
    "listen-client-urls": client,
    "advertise-client-urls": client,
    "listen-peer-urls": peer,
    "initial-advertise-peer-urls": peer,
    "initial-cluster": `e1=${peer}`,
  };
  const words = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  return new Server("etcd", folder, places, {
    place: KEEPER,
    command: ["etcd", ...words],
    env: {},
    readyText: "ready to serve client requests",
  });
}
