// Millrace, the public face: a broker in your own program, clients of it, the types of its
// configuration, and the contracts of plugins. Run as a program it is the broker: `deno run -A mod.ts`.

import {
  type Admin,
  brokerPort,
  type Client,
  type ClientOptions,
  type CodecChoice,
  type Consumer,
  type ConsumerOptions,
  clientOptionsOf,
  connectWith,
  createClient,
  type Decoded,
  type GroupConsumer,
  type GroupConsumerOptions,
  type Producer,
  type ProducerOptions,
  type Table,
  type TableOptions,
  type TransactionalProducer,
  type TransactionalProducerOptions,
  type TransactionOptions,
  type TransactionScope,
} from "./src/client/mod.ts";
import type { MillraceConfig } from "./src/config/define_config.ts";
import type { Principal } from "./src/contracts/auth.ts";
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
  /** Open clients: a program may make one for every request. */
  readonly #clients = new Set<Client>();
  /** Behind `producer`, `consumer` and `admin`. */
  #own: Client | null = null;

  private constructor(embedded: Embedded) {
    this.#embedded = embedded;
  }

  /**
   * Starts a broker. Without configuration: files in ./data, Kafka on 127.0.0.1:9092, HTTP on 127.0.0.1:8080.
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

  /** A producer of transactions, in process, under a transactional id. */
  producer(options: TransactionalProducerOptions): TransactionalProducer;
  /** A producer of this broker, in process. */
  producer(options?: ProducerOptions): Producer;
  producer(options: ProducerOptions | TransactionalProducerOptions = {}): Producer {
    const client = this.#ownClient();
    return "transactionalId" in options ? client.producer(options) : client.producer(options);
  }

  /** Runs `body` in a transaction of this broker, in process: all that it sends and commits is seen at once, or never. */
  transaction<T>(
    body: (tx: TransactionScope) => T | Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    return this.#ownClient().transaction(body, options);
  }

  /** A member of a group, in process: members share the partitions, wherever they run. */
  consumer(options: GroupConsumerOptions): GroupConsumer;
  /** A consumer of this broker, in process: it reads the partitions that it is told. */
  consumer(options: ConsumerOptions): Consumer;
  consumer(options: ConsumerOptions | GroupConsumerOptions): Consumer | GroupConsumer {
    const client = this.#ownClient();
    return "group" in options ? client.consumer(options) : client.consumer(options);
  }

  /** A compacted topic of this broker as a table, in process: the newest value of every key. */
  table<const K extends CodecChoice = "bytes", const V extends CodecChoice = "bytes">(
    topic: string,
    options: TableOptions<K, V> = {},
  ): Promise<Table<Decoded<K>, Decoded<V>>> {
    return this.#ownClient().table(topic, options);
  }

  /** Topics, partitions, settings and offsets of this broker, in process. */
  admin(): Admin {
    return this.#ownClient().admin;
  }

  /**
   * A client with options of its own: in process, without a socket, unless `bootstrap` or `port` says where
   * else. Closed with the broker.
   *
   * @param options As of `createClient`, and `principal`: as whom the authorizer is asked in process
   */
  client(options: ClientOptions & { readonly principal?: Principal } = {}): Client {
    const { runtime } = this.#embedded.host;
    const { principal, ...own } = options;
    const isElsewhere = own.bootstrap !== undefined || own.port !== undefined;
    const { clientId, requestTimeoutMs } = own;
    const port = brokerPort(this.broker, {
      runtime,
      ...(principal === undefined ? {} : { principal }),
      ...(clientId === undefined ? {} : { clientId }),
      ...(requestTimeoutMs === undefined ? {} : { requestTimeoutMs }),
    });
    const client = createClient(runtime, isElsewhere ? own : { ...own, port });
    const kept: Client = {
      ...client,
      close: (graceMs) => {
        this.#clients.delete(kept);
        return client.close(graceMs);
      },
    };
    this.#clients.add(kept);
    return kept;
  }

  #ownClient(): Client {
    this.#own ??= this.client();
    return this.#own;
  }

  /**
   * Closes clients, which send what they hold, lets calls in flight end within `graceMs`, and closes every
   * plugin. Idempotent.
   *
   * @throws {ClientError} once all has stopped: records that were enqueued and not delivered, as `Client.close`
   */
  async stop(graceMs = GRACE_MS): Promise<void> {
    const closing = [...this.#clients].map((client) => client.close(graceMs));
    const closed = await Promise.allSettled(closing);
    await this.#embedded.broker.stop(graceMs);
    await this.#embedded.host.stop(graceMs);
    for (const each of closed) if (each.status === "rejected") throw each.reason;
  }

  /** `await using millrace = await Millrace.start()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/**
 * A client of any cluster, ours or Apache's, on this host's network and clock.
 *
 * @param target "kafka://host:9092,other:9092?clientId=billing" (kafkas:// for TLS), or options
 * @param options stand above what the address says
 * @throws {ClientError} at once when no bootstrap address answers @throws {TypeError} for an address that is none
 */
export async function connect(
  target: string | ClientOptions,
  options: ClientOptions = {},
): Promise<Client> {
  // A wrong address is told before anything is loaded.
  const said = typeof target === "string" ? clientOptionsOf(target) : target;
  const { clientRuntime } = await import("./src/main.ts");
  return connectWith(await clientRuntime(), { ...said, ...options });
}

// No top-level await: a config file imports this module while the program runs, and would wait for it for ever.
if (import.meta.main) {
  void import("./src/main.ts")
    .then(({ main }) => main(process.argv.slice(2)))
    .then((code) => process.exit(code));
}
