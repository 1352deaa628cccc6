// A client over scripted brokers in this process: real timers with short pauses, seeded randomness.

import { SeededRandom } from "../../src/base/prng.ts";
import { type Client, type ClientOptions, createClient } from "../../src/client/mod.ts";
import type { ClientRuntime } from "../../src/client/waiting.ts";
import type { Network } from "../../src/contracts/runtime.ts";
import { hostClock } from "../../src/runtime/clock.ts";
import { hostCompression } from "../../src/runtime/compression.ts";
import { HostScheduler } from "../../src/runtime/scheduler.ts";
import { MemoryNetwork } from "../../src/testing/memory_network.ts";
import { ScriptedBroker } from "../../src/testing/scripted_broker.ts";
import { ScriptedCluster } from "../../src/testing/scripted_log.ts";

export function clientRuntime(network: Network, seed = 1): ClientRuntime {
  return {
    clock: hostClock,
    scheduler: new HostScheduler(hostClock, (label, error) => {
      throw new Error(`Task ${label} failed`, { cause: error });
    }),
    random: SeededRandom.of(seed),
    network,
    compression: hostCompression,
  };
}

export interface Rig {
  readonly network: MemoryNetwork;
  readonly cluster: ScriptedCluster;
  readonly brokers: readonly ScriptedBroker[];
  readonly client: Client;
  stop(): Promise<void>;
}

/** `brokerCount` brokers and a client that tries again quickly. */
export async function startRig(
  options: {
    readonly brokers?: number;
    readonly seed?: number;
    readonly client?: ClientOptions;
  } = {},
): Promise<Rig> {
  const network = new MemoryNetwork();
  const seed = options.seed ?? 1;
  const cluster = new ScriptedCluster(SeededRandom.of(seed));
  const brokers: ScriptedBroker[] = [];
  for (let count = 0; count < (options.brokers ?? 1); count++) {
    brokers.push(await ScriptedBroker.start(network, cluster));
  }
  const client = createClient(clientRuntime(network, seed), {
    bootstrap: [brokers[0]!.address],
    backoffMs: 2,
    backoffMsMax: 10,
    timeoutMs: 5_000,
    requestTimeoutMs: 2_000,
    ...options.client,
  });
  return {
    network,
    cluster,
    brokers,
    client,
    async stop() {
      await client.close();
      for (const broker of brokers) await broker.stop();
    },
  };
}

/** What a promise rejects with; fails the test when it does not. */
export async function failureOf(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error("It did not fail");
}

export function text(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

export function utf8(value: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(value);
}
