// The Runtime of one simulated process: virtual clock and timers, seeded randomness, the simulated
// network, and a log that goes into the trace.
// Invariant: nothing here touches the host; everything dies with its process.

import { crc32c } from "../../base/crc32c.ts";
import type { SeededRandom } from "../../base/prng.ts";
import type { Cryptography, LogFields, Logger, Network, Runtime } from "../../contracts/runtime.ts";
import { simCompression } from "./sim_compression.ts";
import type { SimProcess } from "./world.ts";

/** The wall clock at virtual time 0. */
export const WALL_START_MS = 1_800_000_000_000;

/** What of the outside may be changed while the process runs. */
export interface SimRuntimeState {
  /** Added to the wall clock: it jumps either way. */
  wallSkewMs: number;
}

export interface SimRuntimeOptions {
  readonly process: SimProcess;
  readonly random: SeededRandom;
  readonly network: Network;
  readonly state: SimRuntimeState;
  /** Offers the plain CRC-32C as the host's fast one. */
  readonly hasFastCrc: boolean;
  readonly onLog: (event: string) => void;
  /** Left out: nothing that needs it is there, and who asks fails. */
  readonly crypto?: Cryptography;
}

export function simRuntime(options: SimRuntimeOptions): Runtime {
  const { process, random, network, state } = options;
  const { world } = process;
  return {
    clock: {
      wallMs: () => WALL_START_MS + Math.floor(world.nowUs / 1000) + state.wallSkewMs,
      monotonicMs: () => world.nowUs / 1000,
    },
    scheduler: {
      after: (delayMs, label, task) => process.after(delayMs * 1000, label, task),
      spawn: (label, task) => process.spawn(label, task),
      yieldNow: () => process.sleep(1, "yield"),
    },
    random,
    network,
    crypto: options.crypto ?? {
      digest: () => notThere("digest"),
      hmac: () => notThere("hmac"),
      pbkdf2: () => notThere("pbkdf2"),
      timingSafeEqual: () => notThere("timingSafeEqual"),
    },
    compression: simCompression,
    ...(options.hasFastCrc ? { crc32c: plainCrc } : {}),
    log: simLogger(options, {}),
  };
}

const plainCrc = (bytes: Uint8Array, seed: number) => crc32c(bytes, 0, bytes.length, seed);

function simLogger(options: SimRuntimeOptions, base: LogFields): Logger {
  const { process, onLog } = options;
  const { world } = process;
  const at =
    (level: string) =>
    (event: string, fields: LogFields = {}) => {
      if (!process.isAlive) return;
      // Fields may hold stack traces, which differ from engine to engine; the event does not.
      world.trace.add(event);
      world.say(() => `${process.name} ${level} ${event} ${inWords({ ...base, ...fields })}`);
      onLog(event);
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => simLogger(options, { ...base, ...fields }),
  };
}

function inWords(fields: LogFields): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(" ");
}

function notThere(name: string): never {
  throw new Error(`There is no ${name} in this simulation`);
}
