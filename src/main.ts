// The program: `bun run src/main.ts`, `deno run -A mod.ts`, `millrace`. Starts a broker from the layers of
// configuration; every other command is src/cli's. One line on standard output when ready, log lines on
// standard error; exit codes: 0 stopped as asked, 1 cannot start or broke, 2 told wrongly.
// Invariant: what a start does not need is not loaded: first acknowledged record within 45 ms.

import { addressText, endpointWords, isLoopback } from "./config/addresses.ts";
import { ConfigError } from "./config/config_error.ts";
import type { MillraceConfig } from "./config/define_config.ts";
import { type Layer, readEnvironment, readFlags } from "./config/layers.ts";
import { listenersOf } from "./config/listeners.ts";
import { loadConfig } from "./config/load_config.ts";
import { refuseOtherBrokers } from "./config/other_broker.ts";
import { openDoorText, planStart, type StartPlan } from "./config/start_plan.ts";
import type { ListenAddress, Network, Runtime } from "./contracts/runtime.ts";
import type { RunningBroker } from "./core/mod.ts";
import {
  environment,
  hostVersion,
  mayRead,
  missingPermissions,
  sinceProcessStartMs,
  writeStderr,
} from "./runtime/host.ts";
import type { HostRuntime } from "./runtime/host_runtime.ts";
import type { LogOptions } from "./runtime/logger.ts";
import { giveBackWhenQuiet } from "./runtime/quiet_memory.ts";

/** Calls in flight get so long to end after the first signal. */
const GRACE_MS = 10_000;
/** After a failure nobody is served any more. */
const FAILED_GRACE_MS = 1_000;
/** One Ctrl-C can arrive twice, from the terminal and from the launcher; a person's second comes later. */
const SAME_SIGNAL_MS = 500;

const HELP = `millrace start [flags]: starts a broker; "millrace" alone does the same.

  --data DIR          folder of the data (./data)
  --kafka HOST:PORT   where Kafka clients connect (127.0.0.1:9092); port 0 picks a free one
  --http HOST:PORT    where HTTP is served (127.0.0.1:8080, or a free port where that is taken)
  --tcp HOST:PORT     where framed CBOR over TCP is served (nowhere)
                      --kafka off, --http off and --tcp off do without
  --metadata STORE    file, memory, kv, or etcd=http://HOST:PORT[,…] for a cluster of brokers (file)
  --config FILE       config file (millrace.config.ts or millrace.config.json, where there is one)
  -o KEY=VALUE        a setting by Kafka's name, e.g. -o num.partitions=3; may be repeated
  --log-level LEVEL   debug, info, warn, error or off (info); log lines go to standard error
  --log-format FORM   json, text, or auto: text on a terminal (auto)
  --broker-id N       number of this broker in its cluster (1)
  --cluster-id ID     of a new cluster; drawn when left out
  --rack NAME         where this broker stands
  --insecure          allow listening off loopback without authentication
  --help, --version

Variables stand below flags: MILLRACE_DATA, MILLRACE_KAFKA, MILLRACE_CONFIG, MILLRACE_LOG_LEVEL,
MILLRACE_SETTING_NUM_PARTITIONS=3 for num.partitions, and so on; "millrace config print" shows
what is in force.

When ready it prints one line:
  ready kafka=127.0.0.1:9092 http=127.0.0.1:8080 data=./data in 30 ms
Try it:  millrace topic create hello && echo hi | millrace produce hello && millrace consume hello
All commands:  millrace help`;

/**
 * Runs the program.
 *
 * @param argv The words after the program's name.
 * @returns The exit code. A started broker does not return until it has stopped.
 */
export async function main(argv: readonly string[]): Promise<number> {
  const [command] = argv;
  const isStart = command === undefined || command === "start" || isStartFlag(command);
  try {
    if (isStart) return await start(command === "start" ? argv.slice(1) : argv);
    if (command === "help" && argv[1] === "start") return await start(["--help"]);
    const [{ runCli }, { processHost }] = await Promise.all([
      import("./cli/main.ts"),
      import("./cli/host.ts"),
    ]);
    const host = processHost(async (settings) => {
      const { readStaticSettings, settingDefaults } = await import("./core/mod.ts");
      return { ...readStaticSettings(settings), defaults: settingDefaults() };
    });
    return await runCli([...argv], host);
  } catch (error) {
    return complain(error);
  }
}

/** `millrace --help` is the CLI's, with all commands; any other flag begins a start. */
function isStartFlag(word: string): boolean {
  return word.startsWith("-") && word !== "--help" && word !== "-h";
}

async function start(argv: readonly string[]): Promise<number> {
  const flags = readFlags(argv);
  if (flags.help) {
    console.log(HELP);
    return 0;
  }
  if (flags.version) {
    const { default: manifest } = await import("../package.json", { with: { type: "json" } });
    console.log(`millrace ${manifest.version} (${hostVersion()})`);
    return 0;
  }
  const variables = environment();
  const lookUp = (name: string): string | undefined => variables[name];
  const plan = await planFrom(flags, readEnvironment(variables), lookUp);
  const refusal = permissionText(plan, argv);
  if (refusal !== null) {
    writeStderr(`millrace: ${refusal}\n`);
    return 1;
  }
  const host = await hostFor({ level: plan.log.level, format: plan.log.format });
  let broker: RunningBroker | null = null;
  try {
    broker = await brokerOf(plan, host, lookUp);
    const signals = watchSignals();
    const parentGone = plan.isBelowParent ? inputEnds() : NEVER;
    await broker.start();
    announce(plan, broker, host);
    giveBackWhenQuiet();
    const reason = await Promise.race([signals, parentGone, broker.failed, host.failed]);
    return await stop(broker, host, reason);
  } catch (error) {
    const code = complain(error, host);
    await broker?.stop(FAILED_GRACE_MS).catch(() => {}); // The first error is the one to tell.
    host.log.flush();
    return code;
  }
}

/** A broker that serves, with the host that it runs on: what `Millrace` of mod.ts wraps. */
export interface Embedded {
  readonly broker: RunningBroker;
  readonly host: HostRuntime;
}

/** A runtime for clients that have no broker in this process. */
export async function clientRuntime(): Promise<Runtime> {
  const { hostRuntime } = await import("./runtime/host_runtime.ts");
  // Log lines go where the program has told LogTape, or nowhere.
  return hostRuntime({ log: { configure: false } }).runtime;
}

/**
 * Starts a broker in this process, from a configuration given as a value; no file, no variable and
 * no flag is looked at, but for variables that the configuration refers to.
 *
 * @throws {ConfigError} @throws {SettingsError} @throws {NetworkError} @throws {StorageError}
 */
export async function embed(config: MillraceConfig): Promise<Embedded> {
  const folder = process.cwd();
  const lookUp = (name: string): string | undefined => environment()[name];
  const none = { settings: {}, given: new Map<string, string>() };
  const { problemsOf } = await import("./config/check_config.ts");
  const problems = problemsOf(config, lookUp, folder);
  if (problems.length > 0) throw new ConfigError(problems);
  const plan = planStart({ path: "", folder, config }, none, none, folder, lookUp);
  // A program that uses LogTape configures it itself, unless it says here how it wants the lines.
  const host = await hostFor({ ...plan.log, configure: config.log !== undefined });
  let broker: RunningBroker | null = null;
  try {
    broker = await brokerOf(plan, host, lookUp);
    await broker.start();
    return { broker, host };
  } catch (error) {
    await broker?.stop(FAILED_GRACE_MS).catch(() => {}); // The first error is the one to tell.
    await host.stop(FAILED_GRACE_MS);
    throw error;
  }
}

async function hostFor(log: LogOptions): Promise<HostRuntime> {
  const { hostRuntime } = await import("./runtime/host_runtime.ts");
  return hostRuntime({ log });
}

/** The broker of a plan, opened and not yet started. */
async function brokerOf(
  plan: StartPlan,
  host: HostRuntime,
  lookUp: (name: string) => string | undefined,
): Promise<RunningBroker> {
  refuseOtherBrokers(plan);
  const [{ createBroker }, { resolvePlugins }] = await Promise.all([
    import("./core/mod.ts"),
    import("./config/resolve_plugins.ts"),
  ]);
  const plugins = await resolvePlugins(plan, lookUp);
  const { runtime } = host;
  for (const warning of plan.warnings) runtime.log.warn("config_warning", { warning });
  const isOpen = plan.insecure || plugins.auth.length > 0;
  // Read only where others are to be told.
  const release =
    plugins.metadata.isShared === true
      ? (await import("../package.json", { with: { type: "json" } })).default.version
      : undefined;
  return await createBroker({
    broker: release === undefined ? plan.broker : { ...plan.broker, release },
    runtime: { ...runtime, network: networkOf(plan, runtime, isOpen) },
    ...plugins,
    settings: plan.settings,
  });
}

async function planFrom(
  flags: Layer,
  variables: ReturnType<typeof readEnvironment>,
  lookUp: (name: string) => string | undefined,
): Promise<StartPlan> {
  const folder = process.cwd();
  const named = flags.config ?? variables.config ?? null;
  // Without the permission to look, Deno would ask for a file that most people do not have.
  const file = named !== null || mayRead(folder) ? await loadConfig(named, folder, lookUp) : null;
  return planStart(file, variables, flags, folder, lookUp);
}

/** What to type where Deno lacks a permission and there is no terminal to ask on; null when all is well. */
function permissionText(plan: StartPlan, argv: readonly string[]): string | null {
  const addresses = plan.transports.flatMap(listenersOf).map(addressText);
  const isInMemory = "use" in plan.storage && plan.storage.use === "memory";
  // The folder above is read, too: its entries are synced.
  const above = process.getBuiltinModule("node:path").dirname(plan.data);
  const folder = isInMemory ? null : { read: above, write: plan.data };
  const flags = missingPermissions([...new Set(addresses)], folder);
  if (flags.length === 0) return null;
  // Compiled, this is the published package.
  const program = import.meta.url.endsWith(".ts") ? "mod.ts" : "npm:millrace";
  const words = [`deno run -A ${program}`, ...argv].join(" ");
  return `Deno was not given what a broker needs, and asks for it on a terminal alone. Type: ${words} (or, instead of -A, ${flags.join(" ")})`;
}

/**
 * The network of a plan. The second lock of decision 12: whichever transport listens, it passes here.
 * And where nobody said where HTTP is to listen, a port that is taken is no reason not to start.
 */
function networkOf(plan: StartPlan, { network, log }: Runtime, isOpen: boolean): Network {
  const { unaskedHttp } = plan;
  const guard = <T>(at: ListenAddress, listen: () => Promise<T>): Promise<T> =>
    isOpen || isLoopback(at.host)
      ? listen()
      : Promise.reject(new ConfigError(openDoorText(addressText(at))));
  const serveHttp = network.serveHttp?.bind(network);
  const whole: Network = {
    connect: (to) => network.connect(to),
    listen: (at, accept) => guard(at, () => network.listen(at, accept)),
  };
  if (serveHttp === undefined) return whole;
  return {
    ...whole,
    serveHttp: (at, handle) =>
      guard(at, async () => {
        try {
          return await serveHttp(at, handle);
        } catch (error) {
          const isUnasked = at.host === unaskedHttp?.host && at.port === unaskedHttp.port;
          if (!isUnasked || (error as { code?: string }).code !== "in_use") throw error;
          // Where no other port may be had either, the first error names the fix.
          const listener = await serveHttp({ ...at, port: 0 }, handle).catch(() =>
            Promise.reject(error),
          );
          log.warn("http_port_taken", {
            taken: addressText(at),
            listening: addressText(listener),
            fix: "--http HOST:PORT, or --http off",
          });
          return listener;
        }
      }),
  };
}

/** The one line on standard output. */
function announce(plan: StartPlan, broker: RunningBroker, host: HostRuntime): void {
  const words = endpointWords(broker.endpoints);
  const data = /\s/.test(plan.data) ? JSON.stringify(plan.data) : plan.data;
  const startMs = Math.round(sinceProcessStartMs());
  // Not process.stdout, which costs 8 ms to load on Bun.
  console.log(`${["ready", ...words].join(" ")} data=${data} in ${startMs} ms`);
  host.runtime.log.info("broker_started", {
    broker: broker.brokerId,
    cluster: broker.clusterId,
    host: hostVersion(),
    startMs,
  });
}

const NEVER = new Promise<never>(() => {});

/** Resolves when whoever holds the other end of standard input has gone: the parent of a broker that it started. */
function inputEnds(): Promise<string> {
  return new Promise((resolve) => {
    const gone = () => resolve("The parent of this broker, which keeps its metadata, has gone");
    process.stdin.on("end", gone);
    process.stdin.on("error", gone);
    process.stdin.on("close", gone);
    process.stdin.resume();
  });
}

/** Resolves with null at the first signal; the second one ends the process at once. */
function watchSignals(): Promise<null> {
  return new Promise((resolve) => {
    let firstMs = Number.NaN;
    const onSignal = () => {
      const nowMs = performance.now();
      if (Number.isNaN(firstMs)) {
        firstMs = nowMs;
        resolve(null);
      } else if (nowMs - firstMs > SAME_SIGNAL_MS) process.exit(130);
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
}

async function stop(
  broker: RunningBroker,
  host: HostRuntime,
  reason: string | null,
): Promise<number> {
  const { log } = host.runtime;
  if (reason === null) log.info("broker_stopping");
  else {
    log.error("broker_failed", { reason });
    writeStderr(`millrace: ${oneLine(reason)}\n`);
  }
  await broker.stop(reason === null ? GRACE_MS : FAILED_GRACE_MS);
  if (reason === null) log.info("broker_stopped");
  await host.stop(FAILED_GRACE_MS);
  return reason === null ? 0 : 1;
}

/** Says what went wrong in one line, and returns the exit code that fits. */
function complain(error: unknown, host?: HostRuntime): number {
  const { name, message, problems } = error as Partial<Error> & { problems?: readonly string[] };
  const isTold = name === "ConfigError" || name === "SettingsError";
  const known = ["NetworkError", "StorageError", "MetadataStoreError"].includes(name ?? "");
  const more =
    name === "SettingsError" && problems !== undefined && problems.length > 1
      ? ` (and ${problems.length - 1} more)`
      : "";
  const text = name === "SettingsError" ? `${problems?.[0] ?? message}${more}` : message;
  host?.log.flush();
  writeStderr(`millrace: ${oneLine(text ?? String(error))}\n`);
  // Something nobody foresaw: the place in the code is what a report needs.
  if (!isTold && !known && name !== "NotCapable" && error instanceof Error) {
    writeStderr(`${error.stack ?? ""}\n`);
  }
  return isTold ? 2 : 1;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, " ");
}

// No top-level await: Bun cannot compile such a module to bytecode.
if (import.meta.main) void main(process.argv.slice(2)).then((code) => process.exit(code));
