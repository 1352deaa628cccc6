// The port over Kafka's wire: a connection per broker and lane, opened when it is needed and again after it
// broke, with growing pauses.
// Invariant: a send never retries by itself; who calls knows whether a second time does harm.
// Kafka: NetworkClient, ClusterConnectionStates.

import type { TlsTrust } from "../contracts/runtime.ts";
import type { ResponseOf } from "../protocol/infer.ts";
import type { Api } from "../protocol/schema.ts";
import { ClientError } from "./client_error.ts";
import { type ConnectionOptions, KafkaConnection } from "./connection.ts";
import type { BrokerAddress, ClientPort, RequestSource, SendOptions } from "./port.ts";
import {
  type BackoffOptions,
  backoffDelayMs,
  type ClientRuntime,
  sleep,
  unlessAborted,
} from "./waiting.ts";

/** An address to begin with. */
export interface BootstrapAddress {
  readonly host: string;
  readonly port: number;
}

export interface WirePortOptions extends ConnectionOptions, BackoffOptions {
  readonly bootstrap: readonly BootstrapAddress[];
  readonly connectTimeoutMs: number;
  readonly tls?: ClientTls | undefined;
}

/** TLS towards every broker; each must prove the name that it is reached by, unless one is given here. */
export type ClientTls = Partial<TlsTrust>;

/** One address, and its connections by lane. */
interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly lanes: Map<string, Lane>;
}
interface Lane {
  connection: KafkaConnection | null;
  opening: Promise<KafkaConnection> | null;
  /** Attempts in a row that failed. */
  failures: number;
  retryAtMs: number;
}

const DEFAULT_LANE = "";
/** Errors after which no other address is tried. */
const FINAL: readonly string[] = ["closed", "aborted", "sasl_authentication_failed"];

export class WirePort implements ClientPort {
  readonly #runtime: ClientRuntime;
  readonly #options: WirePortOptions;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #closing = new AbortController();
  #nodes = new Map<number, BrokerAddress>();

  constructor(runtime: ClientRuntime, options: WirePortOptions) {
    this.#runtime = runtime;
    this.#options = options;
  }

  async send<A extends Api>(
    api: A,
    request: RequestSource<A>,
    options: SendOptions = {},
  ): Promise<ResponseOf<A>> {
    const lane = options.lane ?? DEFAULT_LANE;
    const connection =
      options.to === undefined
        ? await this.#anyConnection(lane, options.signal)
        : await this.#connectionTo(options.to, lane, options.signal);
    const version = connection.versionOf(api, options.versionMin, options.versionMax);
    const body = typeof request === "function" ? request(version) : request;
    return connection.request(api, version, body, options);
  }

  learn(brokers: readonly BrokerAddress[]): void {
    if (brokers.length === 0) return;
    this.#nodes = new Map(brokers.map((broker) => [broker.nodeId, broker]));
    const kept = new Set<string>();
    for (const { host, port } of [...brokers, ...this.#options.bootstrap]) {
      kept.add(`${host}:${port}`);
    }
    for (const [address, endpoint] of this.#endpoints) {
      if (kept.has(address)) continue;
      this.#endpoints.delete(address);
      for (const { connection } of endpoint.lanes.values())
        connection?.close("the broker has left");
    }
  }

  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    for (const endpoint of this.#endpoints.values()) {
      for (const { connection } of endpoint.lanes.values()) {
        connection?.close("the client was closed", closed());
      }
    }
  }

  #connectionTo(
    nodeId: number,
    lane: string,
    signal: AbortSignal | undefined,
  ): Promise<KafkaConnection> {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) {
      const text = `No broker of the cluster has the id ${nodeId} at present`;
      return Promise.reject(new ClientError("broker_not_available", text, { retriable: true }));
    }
    return this.#open(this.#endpointAt(node.host, node.port), lane, signal);
  }

  /** An open connection of the lane, else the first of all known addresses that can be had. */
  async #anyConnection(lane: string, signal: AbortSignal | undefined): Promise<KafkaConnection> {
    const known = [...this.#nodes.values(), ...this.#options.bootstrap];
    const endpoints = [...new Set(known.map(({ host, port }) => this.#endpointAt(host, port)))];
    for (const endpoint of endpoints) {
      const connection = endpoint.lanes.get(lane)?.connection;
      if (connection?.isOpen === true) return connection;
    }
    // Those that failed least come first, so that a dead broker is not asked again and again.
    endpoints.sort(
      (a, b) => (a.lanes.get(lane)?.failures ?? 0) - (b.lanes.get(lane)?.failures ?? 0),
    );
    let failure: unknown = new ClientError("broker_not_available", "No broker address is known");
    for (const endpoint of endpoints) {
      try {
        return await this.#open(endpoint, lane, signal);
      } catch (error) {
        // What one broker does not let in, the others will not either: they are not asked in vain.
        if (error instanceof ClientError && FINAL.includes(error.code)) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  #endpointAt(host: string, port: number): Endpoint {
    const address = `${host}:${port}`;
    let endpoint = this.#endpoints.get(address);
    if (endpoint === undefined) {
      endpoint = { host, port, lanes: new Map() };
      this.#endpoints.set(address, endpoint);
    }
    return endpoint;
  }

  #open(
    endpoint: Endpoint,
    laneName: string,
    signal: AbortSignal | undefined,
  ): Promise<KafkaConnection> {
    if (this.#closing.signal.aborted) return Promise.reject(closed());
    let lane = endpoint.lanes.get(laneName);
    if (lane === undefined) {
      lane = { connection: null, opening: null, failures: 0, retryAtMs: 0 };
      endpoint.lanes.set(laneName, lane);
    }
    if (lane.connection?.isOpen === true) return Promise.resolve(lane.connection);
    lane.opening ??= this.#connect(endpoint, lane);
    return signal === undefined ? lane.opening : unlessAborted(lane.opening, signal);
  }

  async #connect(endpoint: Endpoint, lane: Lane): Promise<KafkaConnection> {
    const { clock } = this.#runtime;
    try {
      const pauseMs = lane.retryAtMs - clock.monotonicMs();
      if (pauseMs > 0) {
        await sleep(this.#runtime, pauseMs, "client_reconnect", this.#closing.signal);
      }
      const connection = await KafkaConnection.open(
        this.#runtime,
        {
          host: endpoint.host,
          port: endpoint.port,
          timeoutMs: this.#options.connectTimeoutMs,
          ...(this.#options.tls === undefined
            ? {}
            : { tls: { serverName: endpoint.host, ...this.#options.tls } }),
        },
        this.#options,
      );
      if (this.#closing.signal.aborted) {
        connection.close("the client was closed", closed());
        throw closed();
      }
      lane.connection = connection;
      lane.failures = 0;
      return connection;
    } catch (error) {
      if (this.#closing.signal.aborted) throw closed();
      lane.failures++;
      lane.retryAtMs =
        clock.monotonicMs() + backoffDelayMs(this.#runtime, this.#options, lane.failures);
      throw error;
    } finally {
      lane.opening = null;
    }
  }
}

function closed(): ClientError {
  return new ClientError("closed", "The client is closed");
}
