// Millrace, the public face: a broker in your own program, clients of it, the types of its
// configuration, and the contracts of plugins. Run as a program it is the broker: `deno run -A mod.ts`.

import { type Client, type ClientOptions, createClient } from "./src/client/mod.ts";
import type { MillraceConfig } from "./src/config/define_config.ts";
import type { Endpoint } from "./src/contracts/transport.ts";
import type { RunningBroker } from "./src/core/mod.ts";
import type { Embedded } from "./src/main.ts";

export * from "./src/client/mod.ts";
export {
  defineConfig,
  type EnvReference,
  type MillraceConfig,
  type PluginUse,
  type SettingValue,
  type Slot,
} from "./src/config/define_config.ts";
export * from "./src/contracts/mod.ts";
export {
  type BrokerOptions,
  createBroker,
  type RunningBroker,
  SettingsError,
} from "./src/core/mod.ts";

const GRACE_MS = 10_000;

/** A broker in this process, with what its owner does with it. */
export class Millrace {
  readonly #embedded: Embedded;
  readonly #clients: Client[] = [];

  private constructor(embedded: Embedded) {
    this.#embedded = embedded;
  }

  /**
   * Starts a broker. Without configuration: files in ./data, Kafka on 127.0.0.1:9092.
   *
   * @param config As in millrace.config.ts; no file, flag or variable is read beside it.
   * @errors ConfigError, SettingsError, and what the plugins throw: NetworkError "in_use",
   *   StorageError "locked" and "version"
   */
  static async start(config: MillraceConfig = {}): Promise<Millrace> {
    const { embed } = await import("./src/main.ts");
    return new Millrace(await embed(config));
  }

  /** All that may be asked of the broker, in process. */
  get broker(): RunningBroker {
    return this.#embedded.broker;
  }

  /** Where clients connect, with the ports really bound. */
  get endpoints(): readonly Endpoint[] {
    return this.#embedded.broker.endpoints;
  }

  /** Resolves with a reason when the log folder went offline or a task failed: stop it then. */
  get failed(): Promise<string> {
    return Promise.race([this.#embedded.broker.failed, this.#embedded.host.failed]);
  }

  /**
   * Producers, consumers and admin of this broker, over its first Kafka listener. Closed with it.
   *
   * @param options As of `createClient`; `bootstrap` is this broker unless given.
   */
  client(options: ClientOptions = {}): Client {
    const kafka = this.endpoints.find((endpoint) => endpoint.protocol === "kafka");
    if (kafka === undefined && options.bootstrap === undefined && options.port === undefined) {
      throw new Error("Cannot make a client as this broker has no Kafka transport");
    }
    const own = kafka === undefined ? {} : { bootstrap: [{ host: kafka.host, port: kafka.port }] };
    const client = createClient(this.#embedded.host.runtime, { ...own, ...options });
    this.#clients.push(client);
    return client;
  }

  /** Closes clients, lets calls in flight end within `graceMs`, and closes every plugin. Idempotent. */
  async stop(graceMs = GRACE_MS): Promise<void> {
    await Promise.all(this.#clients.splice(0).map((client) => client.close()));
    await this.#embedded.broker.stop(graceMs);
    await this.#embedded.host.stop(graceMs);
  }

  /** `await using millrace = await Millrace.start()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/**
 * A client of any cluster, ours or Apache's, on this host's network and clock.
 *
 * @throws {ClientError} at once when no bootstrap address answers
 */
export async function connect(options: ClientOptions): Promise<Client> {
  const { clientRuntime } = await import("./src/main.ts");
  const client = createClient(await clientRuntime(), options);
  try {
    await client.connect();
    return client;
  } catch (error) {
    await client.close();
    throw error;
  }
}

if (import.meta.main) {
  const { main } = await import("./src/main.ts");
  process.exit(await main(process.argv.slice(2)));
}
