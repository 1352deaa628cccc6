// A real broker that keeps everything in memory, for tests of what stands in front of one.

import { metadataMemory } from "../../plugins/metadata-memory/mod.ts";
import { storageMemory } from "../../plugins/storage-memory/mod.ts";
import type { AuthPlugin } from "../../src/contracts/auth.ts";
import type { Caller } from "../../src/contracts/broker.ts";
import type { Network } from "../../src/contracts/runtime.ts";
import type { TransportPlugin } from "../../src/contracts/transport.ts";
import { createBroker, type RunningBroker } from "../../src/core/mod.ts";
import { createTopic } from "../../src/gateway/topics.ts";
import { type HostRuntime, hostRuntime } from "../../src/runtime/host_runtime.ts";

export interface MemoryBroker {
  readonly broker: RunningBroker;
  readonly runtime: HostRuntime["runtime"];
  readonly caller: Caller;
  /** Ends what `caller` waits for. */
  readonly gone: AbortController;
  /** Makes a topic. @throws {Error} when that is refused */
  topic(name: string, partitions?: number, config?: Record<string, string>): Promise<void>;
  stop(): Promise<void>;
}

export async function memoryBroker(
  options: {
    readonly settings?: Readonly<Record<string, string | number | boolean>>;
    readonly transports?: readonly TransportPlugin[];
    readonly auth?: readonly AuthPlugin[];
    /** Instead of the host's. */
    readonly network?: Network;
  } = {},
): Promise<MemoryBroker> {
  const host = hostRuntime({ log: { level: "off", format: "json", configure: false } });
  const { network = host.runtime.network } = options;
  const runtime = { ...host.runtime, network };
  const broker = await createBroker({
    broker: { id: 1 },
    runtime,
    storage: storageMemory(),
    metadata: metadataMemory(),
    transports: options.transports ?? [],
    auth: options.auth ?? [],
    settings: options.settings ?? {},
  });
  await broker.start();
  const gone = new AbortController();
  const caller = callerOf("alice", gone.signal);
  return {
    broker,
    runtime,
    caller,
    gone,
    async topic(name, partitions = 1, config = {}) {
      const made = await createTopic(broker, caller, { name, partitions, config });
      if (!made.ok) throw new Error(made.error.message);
    },
    async stop() {
      gone.abort();
      await broker.stop(1000);
      await host.stop(1000);
    },
  };
}

export function callerOf(name: string, signal: AbortSignal): Caller {
  return {
    principal: { type: "User", name },
    peer: { host: "127.0.0.1", listener: "test", tlsPeerCertificate: null },
    clientId: "test",
    listener: "test",
    signal,
  };
}

/** An auth plugin that takes the tokens given and forbids what `isAllowed` does not like. */
export function tokenAuth(
  users: Readonly<Record<string, string>>,
  isAllowed: (user: string, operation: string, resource: string) => boolean = () => true,
): AuthPlugin {
  return {
    kind: "auth",
    name: "auth-of-test",
    contract: 1,
    open: async () => ({
      authenticator: {
        mechanisms: ["PLAIN", "BEARER"],
        begin: () => ({
          respond: async (message) => {
            const user = users[new TextDecoder().decode(message)];
            if (user === undefined) return { kind: "denied", reason: "unknown token" };
            const principal = { type: "User", name: user };
            return { kind: "done", message: new Uint8Array(0), principal, expiresAtMs: null };
          },
        }),
      },
      authorizer: {
        authorize: ({ name }, _peer, questions) =>
          questions.map(({ operation, resource }) => isAllowed(name, operation, resource.name)),
      },
      close: async () => {},
    }),
  };
}
