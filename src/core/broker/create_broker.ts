// The composition of a broker: the only file that sees every room of the core. Plugins come as
// objects and capabilities as values; no file, no module name, no global is read from here on.
// Kafka: BrokerServer.

import { xxhashOnDemand } from "../../base/xxhash.ts";
import {
  type Auth,
  type Authenticator,
  type Authorizer,
  type AuthPlugin,
  isPeer,
} from "../../contracts/auth.ts";
import type { Broker, Feature } from "../../contracts/broker.ts";
import type { MetadataStore, MetadataStorePlugin } from "../../contracts/metadata_store.ts";
import type { Runtime } from "../../contracts/runtime.ts";
import type { Storage, StoragePlugin } from "../../contracts/storage.ts";
import type { Endpoint, RunningTransport, TransportPlugin } from "../../contracts/transport.ts";
import { type Cluster, openCluster } from "../cluster/cluster.ts";
import { LogManager } from "../partition/log_manager.ts";
import { Settings } from "../settings/dynamic.ts";
import { readStaticSettings } from "../settings/static_settings.ts";
import { createAdminApi } from "./admin_api.ts";
import { admit } from "./admission.ts";
import { Gate } from "./admission_gate.ts";
import { gateSettings, logSettings } from "./broker_log_settings.ts";
import { featuresOf } from "./feature_answers.ts";
import { LazyGroups } from "./lazy_groups.ts";
import { LazyTransactions } from "./lazy_transactions.ts";
import { LogApiImpl } from "./log_api.ts";
import { checkLogs, LogsMark } from "./logs_mark.ts";
import { RequestMemory } from "./memory_budget.ts";
import type { Replication } from "./open_replication.ts";
import { createTopicApi } from "./topic_api.ts";

export { preloadCleaner } from "../partition/lazy_cleaner.ts";

/** `broker.session.timeout.ms`: a broker that died is found out by so much. */
const SESSION_MS = 2_000;
const REQUEST_MEMORY_BYTES = 32 * 1024 * 1024;

/** What a broker is made of: plugins as objects, the host as capabilities, settings by name. */
export interface BrokerOptions {
  readonly broker: {
    /** 0 to 2^31−1. */
    readonly id: number;
    /** Left out: the cluster's own, made at its first start. */
    readonly clusterId?: string;
    readonly rack?: string;
    /** Of the package, which other brokers of a cluster are told. */
    readonly release?: string;
  };
  readonly runtime: Runtime;
  readonly storage: StoragePlugin;
  readonly metadata: MetadataStorePlugin;
  readonly transports: readonly TransportPlugin[];
  readonly auth?: readonly AuthPlugin[];
  /** By Kafka's names, see docs/settings.md. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
}

/** What the owner of a broker holds; transports only ever see `Broker`. */
export interface RunningBroker extends Broker {
  /** Opens the transports; clients are served from then on. */
  start(): Promise<void>;
  /** Lets calls in flight end within `graceMs`, commits what is pending, and closes every plugin. Idempotent. */
  stop(graceMs: number): Promise<void>;
  /** A started transport by plugin name, e.g. to mount its `handle` in an edge function. */
  transport(name: string): RunningTransport;
  /** Where the started transports listen. */
  readonly endpoints: readonly Endpoint[];
  /** Resolves with a reason for people when the log folder went offline: the owner should stop the broker. */
  readonly failed: Promise<string>;
}

/** The settings given are unknown, invalid or refused; `problems` has one sentence for each. */
export class SettingsError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "SettingsError";
    this.problems = problems;
  }
}

/**
 * Opens the plugins in order (metadata, storage, auth) and recovers the logs.
 *
 * @throws {SettingsError} when settings are wrong
 * @throws {StorageError} @throws {MetadataStoreError} when a plugin cannot open
 */
export async function createBroker(options: BrokerOptions): Promise<RunningBroker> {
  const { runtime } = options;
  const read = readStaticSettings(options.settings ?? {});
  if (read.errors.length > 0) throw new SettingsError(read.errors);
  for (const warning of read.warnings) runtime.log.warn("setting_without_effect", { warning });
  const facts: [string, string][] = [["node.id", String(options.broker.id)]];
  facts.push(["broker.id", String(options.broker.id)]);
  if (options.broker.rack !== undefined) facts.push(["broker.rack", options.broker.rack]);
  const settings = new Settings(new Map([...read.values, ...facts]));
  const context = { runtime, brokerId: options.broker.id };
  const opened: { close(): void | Promise<void> }[] = [];
  try {
    const metadata: MetadataStore = await options.metadata.open(context);
    opened.push(metadata);
    const storage: Storage = await options.storage.open(context);
    opened.push(storage);
    const { segments } = storage;
    if (segments === undefined) {
      throw new SettingsError([
        `The storage plugin "${options.storage.name}" keeps no segment files`,
      ]);
    }
    const auths: Auth[] = [];
    for (const plugin of options.auth ?? []) {
      const auth = await plugin.open({ ...context, credentials: { scram: () => null } });
      opened.push(auth);
      auths.push(auth);
    }
    const isMarked = await checkLogs(metadata, storage, segments, options.broker.id);
    const cluster = await openCluster({
      metadata,
      runtime,
      settings,
      brokerId: options.broker.id,
      isShared: options.metadata.isShared === true,
      ...(options.broker.clusterId === undefined ? {} : { clusterId: options.broker.clusterId }),
    });
    opened.push(cluster);
    const mark = new LogsMark({
      cluster,
      scheduler: runtime.scheduler,
      log: runtime.log,
      brokerId: options.broker.id,
      isDone: isMarked || storage.isVolatile === true,
    });
    opened.push(mark);
    let onOffline: (reason: string) => void = () => {};
    const failed = new Promise<string>((resolve) => {
      onOffline = resolve;
    });
    const logs = await LogManager.open(
      {
        store: segments,
        runtime,
        ...logSettings(settings),
        usableBytes: async () => (await storage.location?.volume())?.usableBytes ?? -1,
        onOffline,
        onKept: () => mark.set(),
        ...(cluster.isShared
          ? {
              replicates: (topicId: string, partition: number) =>
                // A topic whose partitions the image does not have yet is not dropped for that.
                cluster.partition(topicId, partition)?.replicas.includes(options.broker.id) ?? true,
            }
          : {}),
      },
      topicsOf(cluster),
    );
    opened.push(logs);
    cluster.follow({
      topicChanged: (topic, topicSettings) => logs.topicChanged(topic, topicSettings),
      topicDeleted: (topic) =>
        runtime.scheduler.spawn("topic_deletion", () => logs.topicDeleted(topic)),
    });
    let replication: Replication | null = null;
    if (cluster.shared !== null) {
      const { openReplication } = await import("./open_replication.ts");
      const { shared } = cluster;
      const { peerTrust } = options.transports.find((each) => each.peerTrust !== undefined) ?? {};
      replication = await openReplication({ cluster, shared, logs, settings, runtime, peerTrust });
      opened.push(replication);
    }
    return new BrokerImpl(
      options,
      settings,
      cluster,
      logs,
      auths,
      opened,
      storage,
      failed,
      replication,
    );
  } catch (error) {
    for (const plugin of opened.reverse()) await plugin.close();
    throw error;
  }
}

function* topicsOf(cluster: Cluster) {
  for (const topic of cluster.image.topicsByName.values()) {
    yield { topic, settings: cluster.topicSettings(topic) };
  }
}

class BrokerImpl implements RunningBroker {
  readonly brokerId: number;
  readonly clusterId: string;
  readonly log: Broker["log"];
  readonly topics: Broker["topics"];
  readonly admin: Broker["admin"];
  readonly groups: Broker["groups"];
  readonly transactions: Broker["transactions"];
  readonly failed: Promise<string>;
  readonly #options: BrokerOptions;
  readonly #settings: Settings;
  readonly #cluster: Cluster;
  readonly #logs: LogManager;
  readonly #groups: LazyGroups;
  readonly #transactions: LazyTransactions;
  readonly #opened: readonly { close(): void | Promise<void> }[];
  readonly #auths: readonly Auth[];
  readonly #running = new Map<string, RunningTransport>();
  #endpoints: Endpoint[] = [];
  #stopping: Promise<void> | null = null;

  constructor(
    options: BrokerOptions,
    settings: Settings,
    cluster: Cluster,
    logs: LogManager,
    auths: readonly Auth[],
    opened: readonly { close(): void | Promise<void> }[],
    storage: Storage,
    failed: Promise<string>,
    replication: Replication | null,
  ) {
    this.#options = options;
    this.#settings = settings;
    this.#cluster = cluster;
    this.#auths = auths;
    this.#opened = opened;
    this.failed = failed;
    this.brokerId = options.broker.id;
    this.clusterId = cluster.clusterId;
    const deps = {
      cluster,
      partitions: logs,
      settings,
      runtime: options.runtime,
      brokerId: options.broker.id,
      endpointOf: (listener: string) => this.#endpointOf(listener),
      logDirectory: {
        path: storage.location?.path ?? options.storage.name,
        volume: async () =>
          (await storage.location?.volume()) ?? { totalBytes: -1, usableBytes: -1 },
      },
    };
    const given = auths.find((auth) => auth.authorizer !== undefined)?.authorizer ?? null;
    const authorizer = given === null || !cluster.isShared ? given : peersMay(given);
    const gate = authorizer === null ? null : new Gate(authorizer);
    const transactions: LazyTransactions = new LazyTransactions({
      cluster,
      logs,
      settings,
      runtime: options.runtime,
      api: deps,
      replication,
      groups: {
        partitionOf: (groupId) => groups.partitionOf(groupId),
        endTransaction: (partition, marker) => groups.endTransaction(partition, marker),
      },
    });
    const groups: LazyGroups = new LazyGroups({
      cluster,
      logs,
      settings,
      runtime: options.runtime,
      api: deps,
      transactionGate: transactions.gate,
      groupConfig: (groupId, name) =>
        cluster.image.groupConfigs.get(groupId)?.configs.get(name) ?? null,
      mayDescribe: (caller, topic) => gate?.allowsTopic(caller, "describe", topic) ?? true,
    });
    const admitted = admit(
      {
        brokerId: this.brokerId,
        clusterId: this.clusterId,
        features: featuresOf(cluster),
        featuresEpoch: cluster.image.features.revision,
        setting: (name) => settings.text(name),
        isOnline: () => logs.isOnline,
        log: new LogApiImpl({
          logs,
          runtime: options.runtime,
          xxhash: xxhashOnDemand(),
          decompressedBytesMax: () => settings.number("socket.request.max.bytes"),
          opensCompressed: () => settings.boolean("millrace.validate.compressed"),
          fetchBytesMax: () => settings.number("fetch.max.bytes"),
          gate: transactions.gate,
          ...(replication === null
            ? {}
            : {
                replicas: replication.appends,
                reads: replication.reads,
                replicaFetch: replication.fetch,
              }),
          ...gateSettings(settings),
        }),
        topics: createTopicApi(deps),
        admin: createAdminApi(deps),
        groups: groups.api,
        transactions: transactions.api,
      },
      authorizer,
      () => cluster.image.topicsByName.keys(),
      (topic) => cluster.image.topicsByName.get(topic)?.partitionCount ?? 0,
    );
    this.log = admitted.log;
    this.topics = admitted.topics;
    this.admin = admitted.admin;
    this.groups = admitted.groups;
    this.transactions = admitted.transactions;
    this.#groups = groups;
    this.#transactions = transactions;
    this.#logs = logs;
  }

  get features(): readonly Feature[] {
    return featuresOf(this.#cluster);
  }

  get featuresEpoch(): number {
    return this.#cluster.image.features.revision;
  }

  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }

  /** What a client that came in by `listener` is told: that listener's address, or the first of a transport that has one. */
  #endpointOf(listener: string): { readonly host: string; readonly port: number } {
    const endpoint =
      this.#endpoints.find((each) => each.listener === listener) ??
      this.#endpoints.find((each) => each.protocol === "kafka") ??
      this.#endpoints[0];
    if (endpoint === undefined) return { host: "localhost", port: 0 };
    return { host: endpoint.advertisedHost, port: endpoint.advertisedPort };
  }

  setting(name: string): string | null {
    return this.#settings.text(name);
  }

  isOnline(): boolean {
    return this.#logs.isOnline;
  }

  transport(name: string): RunningTransport {
    const running = this.#running.get(name);
    if (running === undefined) throw new Error(`There is no running transport "${name}"`);
    return running;
  }

  async start(): Promise<void> {
    const { runtime, broker } = this.#options;
    const queuedBytes = this.#settings.number("queued.max.request.bytes", -1);
    const requestMemory = new RequestMemory(queuedBytes > 0 ? queuedBytes : REQUEST_MEMORY_BYTES);
    const authenticator =
      this.#auths.find((auth) => auth.authenticator !== undefined)?.authenticator ?? null;
    const peerAuthenticator = await this.#peerAuthenticator();
    for (const plugin of this.#options.transports) {
      const running = await plugin.start({
        runtime,
        brokerId: broker.id,
        broker: this,
        authenticator,
        ...(peerAuthenticator === null ? {} : { peerAuthenticator }),
        requestMemory,
      });
      this.#running.set(plugin.name, running);
      this.#endpoints = [...this.#endpoints, ...running.endpoints];
    }
    await this.#join();
    this.#groups.warmUpLater();
    this.#transactions.warmUpLater();
  }

  /** Lets other brokers in; null where there are none. */
  async #peerAuthenticator(): Promise<Authenticator | null> {
    const { shared } = this.#cluster;
    if (shared === null) return null;
    const { peerAuthenticator } = await import("./peer_authenticator.ts");
    const { crypto, random } = this.#options.runtime;
    const { secret } = shared;
    const { brokerId } = this;
    return peerAuthenticator({ secret, crypto, random: random.fork("peer_login"), brokerId });
  }

  /** Registers this broker, once it can be reached: from then on it may lead. */
  async #join(): Promise<void> {
    const { shared } = this.#cluster;
    if (shared === null) return;
    const { registrationOf } = await import("./broker_registration.ts");
    const { runtime, broker } = this.#options;
    const sessionMs = this.#settings.number("broker.session.timeout.ms", SESSION_MS);
    await shared.join(
      registrationOf({
        endpoints: this.#endpoints,
        settings: this.#settings,
        runtime,
        release: broker.release ?? null,
      }),
      sessionMs,
    );
  }

  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#stop(graceMs);
    return this.#stopping;
  }

  async #stop(graceMs: number): Promise<void> {
    await this.#leave(graceMs);
    await Promise.all([...this.#running.values()].map((running) => running.stop(graceMs)));
    this.#transactions.close();
    this.#groups.close();
    for (const plugin of [...this.#opened].reverse()) await plugin.close();
  }

  /** Hands over what this broker leads while it still serves, and takes itself out of the cluster; no longer than `graceMs`. */
  async #leave(graceMs: number): Promise<void> {
    const { membership } = this.#cluster;
    if (membership === null) return;
    const { scheduler } = this.#options.runtime;
    await new Promise<void>((resolve) => {
      const timer = scheduler.after(graceMs, "cluster_leave", resolve);
      scheduler.spawn("cluster_leave", async () => {
        if (this.#settings.boolean("controlled.shutdown.enable")) await membership.stop();
        else await membership.close();
        timer.cancel();
        resolve();
      });
    });
  }
}

/** Brokers of the cluster may do everything: they act for clients that have been asked already. */
function peersMay(authorizer: Authorizer): Authorizer {
  return {
    authorize: (principal, peer, questions) =>
      isPeer(principal)
        ? questions.map(() => true)
        : authorizer.authorize(principal, peer, questions),
  };
}

/**
 * Loads what only brokers of a cluster load when they first need it, for whoever must not wait then: a simulation, in which nothing may
 * depend on how long a host takes to read a file.
 */
export async function preloadCluster(): Promise<void> {
  await Promise.all([
    import("../cluster/shared_cluster.ts"),
    import("../log/partition_role.ts"),
    import("../log/replica_logs.ts"),
    import("./open_replication.ts"),
    import("./peer_authenticator.ts"),
    import("./broker_registration.ts"),
    import("./operation_answers.ts"),
  ]);
}
