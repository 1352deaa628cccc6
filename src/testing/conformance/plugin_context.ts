// What a plugin under test is opened with: the host's clock and timers, seeded randomness, a silent log.
// Network, cryptography and compression are not there: a store that reaches for them fails its suite.

import { SeededRandom } from "../../base/prng.ts";
import type { PluginContext } from "../../contracts/plugin.ts";
import type { Logger, Runtime } from "../../contracts/runtime.ts";

/** A context for broker 1 on the real clock. */
export function pluginContext(brokerId = 1): PluginContext {
  const random = SeededRandom.of(brokerId);
  const runtime: Runtime = {
    clock: { wallMs: () => Date.now(), monotonicMs: () => performance.now() },
    scheduler: {
      after(delayMs, _label, task) {
        const timer = setTimeout(task, delayMs);
        return { cancel: () => clearTimeout(timer) };
      },
      spawn(_label, task) {
        void task();
      },
      yieldNow: () => new Promise((resolve) => setTimeout(resolve, 0)),
    },
    random,
    network: absent("network"),
    crypto: absent("crypto"),
    compression: absent("compression"),
    log: silent,
  };
  return { runtime, brokerId };
}

const silent: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silent,
};

/** Stands for a capability that no store needs. */
function absent<T extends object>(capability: string): T {
  return new Proxy({} as T, {
    get() {
      throw new Error(`a store under test must not use the capability "${capability}"`);
    },
  });
}
