// The host as the core sees it, on workerd and whatever else has the web's own names and no more: timers,
// getRandomValues, console. Nothing here asks for Node's modules, compiles code or opens a port.
// Invariant: nothing is drawn, timed or logged before a request is there: edges forbid it while they load a script.

import { NetworkError } from "../contracts/errors.ts";
import type { Clock, LogFields, Logger, Network, Runtime } from "../contracts/runtime.ts";
import type { Compression } from "../record/compression.ts";
import { edgeCompression } from "./edge_compression.ts";
import { edgeCryptography } from "./edge_cryptography.ts";
import type { LogLevel, LogThreshold } from "./log_format.ts";
import { jsonLine } from "./log_format.ts";
import { HostRandom } from "./random.ts";
import { HostScheduler } from "./scheduler.ts";

/** How the host is used; everything may be left out. */
export interface EdgeRuntimeOptions {
  /** The lowest level that is logged. Default "info". */
  readonly logLevel?: LogThreshold;
  /** Takes JSON lines, without their line feed. Default: the console, by level. */
  readonly log?: (line: string, level: LogLevel) => void;
  /** Fields of every log line, e.g. the name of the object. */
  readonly logFields?: LogFields;
  /** Keeps the host awake until the promise has settled: a request's own `waitUntil`. Left out: nothing does. */
  readonly waitUntil?: (task: Promise<void>) => void;
  /** Other codecs. Default: snappy and lz4; gzip and zstd fail with "unsupported". */
  readonly compression?: Compression;
}

/** A runtime and what its owner does with it. */
export interface EdgeRuntime {
  readonly runtime: Runtime;
  /** Resolves with a sentence when a background task failed: the owner gives the broker up. */
  readonly failed: Promise<string>;
  /** Waits for background tasks, at most `graceMs`. */
  stop(graceMs: number): Promise<void>;
}

/**
 * The runtime of a Worker or a Durable Object; may be made while the script loads. Timers belong to the request
 * (or the object) that starts them, and end with it. Time stands still between two waits, as the host wants it.
 */
export function edgeRuntime(options: EdgeRuntimeOptions = {}): EdgeRuntime {
  const log = consoleLogger(options);
  let fail: (reason: string) => void = () => {};
  const failed = new Promise<string>((resolve) => {
    fail = resolve;
  });
  const clock = edgeClock();
  const tasks = new HostScheduler(
    clock,
    (label, error) => {
      const text = error instanceof Error ? error.message : String(error);
      const stack = error instanceof Error ? error.stack : undefined;
      log.error("task_failed", { task: label, error: text, stack });
      fail(`Task "${label}" failed: ${text}`);
    },
    (task) => setTimeout(task, 0),
  );
  const { waitUntil } = options;
  return {
    runtime: {
      clock,
      scheduler: {
        after: (delayMs, label, task) => tasks.after(delayMs, label, task),
        spawn(label, task) {
          if (waitUntil === undefined) return tasks.spawn(label, task);
          tasks.spawn(label, () => {
            const running = task();
            // Its failure is told by the scheduler.
            waitUntil(running.catch(() => {}));
            return running;
          });
        },
        yieldNow: () => tasks.yieldNow(),
      },
      random: new HostRandom(),
      network,
      crypto: edgeCryptography,
      compression: options.compression ?? edgeCompression,
      log,
    },
    failed,
    async stop(graceMs) {
      const left = await tasks.stop(graceMs);
      if (left.length > 0) log.warn("tasks_left_over", { tasks: left.join(", ") });
    },
  };
}

/** Edges have one clock, the wall's. Where it is set back, ours goes on from where it stood. */
function edgeClock(): Clock {
  let latestMs = 0;
  let behindMs = 0;
  return {
    wallMs: () => Date.now(),
    monotonicMs() {
      const nowMs = Date.now() + behindMs;
      if (nowMs < latestMs) {
        behindMs += latestMs - nowMs;
        return latestMs;
      }
      latestMs = nowMs;
      return nowMs;
    },
  };
}

const network: Network = {
  listen: (at) =>
    Promise.reject(
      new NetworkError(
        "denied",
        `Cannot listen on port ${at.port} as edges own the sockets: mount the transport's handle instead`,
      ),
    ),
  connect: (to) =>
    Promise.reject(
      new NetworkError(
        "denied",
        `Cannot connect to ${to.host}:${to.port}: not offered on the edge`,
      ),
    ),
};

const RANKS: Record<LogThreshold, number> = { debug: 0, info: 1, warn: 2, error: 3, off: 4 };

function consoleLogger(options: EdgeRuntimeOptions): Logger {
  const leastRank = RANKS[options.logLevel ?? "info"];
  const write = options.log ?? ((line, level) => console[level](line));
  const child = (bound: LogFields): Logger => {
    const at =
      (level: LogLevel) =>
      (event: string, fields?: LogFields): void => {
        if (RANKS[level] < leastRank) return;
        const entry = { wallMs: Date.now(), level, event, fields: { ...bound, ...fields } };
        write(jsonLine(entry).trimEnd(), level);
      };
    return {
      debug: at("debug"),
      info: at("info"),
      warn: at("warn"),
      error: at("error"),
      child: (fields) => child({ ...bound, ...fields }),
    };
  };
  return child(options.logFields ?? {});
}
