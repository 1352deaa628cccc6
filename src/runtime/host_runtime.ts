// The host as the core sees it, on Bun and Deno: made of the files beside it, each of which loads
// what it needs from the host on first use.
// Invariant: a failure of a background task reaches `failed` once, and is logged every time.

import type { Runtime } from "../contracts/runtime.ts";
import { hostClock } from "./clock.ts";
import { hostCompression } from "./compression.ts";
import { hostCryptography } from "./cryptography.ts";
import { HostLog, type LogOptions } from "./logger.ts";
import { hostCrc32c } from "./native_crc32c.ts";
import { hostNetwork } from "./network.ts";
import { HostRandom } from "./random.ts";
import { HostScheduler } from "./scheduler.ts";

export interface HostRuntimeOptions {
  readonly log?: LogOptions;
}

/** A runtime and what its owner does with it. */
export interface HostRuntime {
  readonly runtime: Runtime;
  readonly log: HostLog;
  /** Resolves with a sentence when a background task failed: the owner stops the broker. */
  readonly failed: Promise<string>;
  /** Waits for background tasks, at most `graceMs`, and writes out the log. */
  stop(graceMs: number): Promise<void>;
}

/** The runtime of this process. Several may live side by side, for several brokers. */
export function hostRuntime(options: HostRuntimeOptions = {}): HostRuntime {
  const log = new HostLog(options.log);
  let fail: (reason: string) => void = () => {};
  const failed = new Promise<string>((resolve) => {
    fail = resolve;
  });
  const scheduler = new HostScheduler(hostClock, (label, error) => {
    const text = error instanceof Error ? error.message : String(error);
    const stack = error instanceof Error ? error.stack : undefined;
    log.logger.error("task_failed", { task: label, error: text, stack });
    fail(`Task "${label}" failed: ${text}`);
  });
  return {
    runtime: {
      clock: hostClock,
      scheduler,
      random: new HostRandom(),
      network: hostNetwork(),
      crypto: hostCryptography,
      compression: hostCompression,
      crc32c: hostCrc32c({
        onLoaded: (isNative) => log.logger.debug("crc32c_chosen", { native: isNative }),
      }),
      log: log.logger,
    },
    log,
    failed,
    async stop(graceMs) {
      const left = await scheduler.stop(graceMs);
      if (left.length > 0) log.logger.warn("tasks_left_over", { tasks: left.join(", ") });
      log.flush();
    },
  };
}
