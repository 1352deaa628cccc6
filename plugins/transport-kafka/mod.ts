// The Kafka wire on TCP: listens, accepts, and gives every connection what it needs.
// Invariant: connections, their memory and the fetch sessions are bounded; stopping leaves nothing behind.
// Kafka: SocketServer, Acceptor.

import { BufferPool } from "../../src/base/buffer_pool.ts";
import type { Principal } from "../../src/contracts/auth.ts";
import type { Connection, Listener, Timer } from "../../src/contracts/runtime.ts";
import type {
  Endpoint,
  RunningTransport,
  TransportContext,
  TransportPlugin,
} from "../../src/contracts/transport.ts";
import { ArrivalMemory } from "./arrival_memory.ts";
import { type ConnectionLimits, KafkaConnection } from "./connection.ts";
import { Session, servedApis } from "./dispatch.ts";
import { FetchSessions } from "./fetch_sessions.ts";
import { FrameReader } from "./framing.ts";
import type { HandlerContext } from "./handler.ts";
import { Login, saslMechanisms } from "./login.ts";
import { type KafkaListener, resolveOptions, type TransportKafkaOptions } from "./options.ts";
import { ReplyMemory } from "./reply_memory.ts";

export type { KafkaListener, TransportKafkaOptions } from "./options.ts";

const ANONYMOUS: Principal = { type: "User", name: "ANONYMOUS" };
/** Reaping looks at all connections this often, or more often where the limits are shorter. */
const SWEEP_MS_MAX = 5000;
/** Receive buffers that a broker without a request in progress keeps. */
const IDLE_POOL_BYTES = 1024 * 1024;

/**
 * The Kafka protocol as a transport.
 *
 * @param options listeners, at least one, and bounds; see TransportKafkaOptions for units and defaults
 * @throws {TypeError} when an option is out of range
 * @errors `start` throws NetworkError "in_use" or "denied" when a listener cannot be opened, TypeError when
 *   nobody could log in
 */
export function transportKafka(options: TransportKafkaOptions): TransportPlugin {
  const resolved = resolveOptions(options);
  return {
    kind: "transport",
    name: "transport-kafka",
    contract: 1,
    start: async (context) => {
      if (context.authenticator !== null && saslMechanisms(context.authenticator).length === 0) {
        // Serving everyone as anonymous would be worse than not serving.
        throw new TypeError(
          "transport-kafka cannot start: the authenticator has no SASL mechanism for Kafka's clients",
        );
      }
      const server = new KafkaServer(resolved, context);
      await server.listen();
      return server;
    },
  };
}

type ResolvedOptions = ReturnType<typeof resolveOptions>;

class KafkaServer implements RunningTransport {
  readonly #options: ResolvedOptions;
  readonly #context: TransportContext;
  readonly #handlerContext: HandlerContext;
  readonly #pool: BufferPool;
  readonly #arrivals: ArrivalMemory;
  readonly #replies: ReplyMemory;
  readonly #limits: ConnectionLimits;
  readonly #listeners: Listener[] = [];
  readonly #endpoints: Endpoint[] = [];
  readonly #connections = new Set<KafkaConnection>();
  /** Open connections by the address they come from. */
  readonly #countByHost = new Map<string, number>();
  #sweep: Timer | null = null;
  #isStopped = false;
  /** Called when the last connection has gone. */
  #onEmpty: (() => void) | null = null;

  constructor(options: ResolvedOptions, context: TransportContext) {
    const { clock, random } = context.runtime;
    this.#options = options;
    this.#context = context;
    this.#pool = new BufferPool({
      idleBytesMax: options.receivePoolBytesMax,
      heldBytesMax: options.receivePoolBytesMax,
    });
    this.#arrivals = new ArrivalMemory(options.arrivalBytesMax);
    const replies = new ReplyMemory(options.replyBytesMax);
    this.#replies = replies;
    this.#limits = {
      inFlightMax: options.inFlightMax,
      requestBytesMax: options.requestBytesMax,
      responseBytesMax: options.responseBytesMax,
    };
    this.#handlerContext = {
      broker: context.broker,
      fetchSessions: new FetchSessions({
        slots: options.sessionCacheSlots,
        partitionsMax: options.sessionPartitionsMax,
        clock,
        random: random.fork("kafka_fetch_sessions"),
      }),
      get fetchBytesMax() {
        return replies.fetchBytesMax(options.fetchBytesMax);
      },
      served: servedApis(),
    };
  }

  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }

  /** Opens all listeners, or none. */
  async listen(): Promise<void> {
    try {
      for (const listener of this.#options.listeners) await this.#listenOn(listener);
    } catch (error) {
      await this.#closeListeners();
      throw error;
    }
    this.#scheduleSweep();
  }

  async stop(graceMs: number): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#sweep?.cancel();
    await this.#closeListeners();
    for (const connection of [...this.#connections]) connection.end();
    if (this.#connections.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#context.runtime.scheduler.after(graceMs, "kafka_stop", resolve);
      this.#onEmpty = () => {
        timer.cancel();
        resolve();
      };
    });
    for (const connection of [...this.#connections]) connection.close("transport_stopped", "");
  }

  async #listenOn(options: KafkaListener): Promise<void> {
    const { network, log } = this.#context.runtime;
    const { name, host, port, tls } = options;
    const listener = await network.listen(
      tls === undefined ? { host, port } : { host, port, tls },
      (connection) => this.#accept(connection, name),
    );
    this.#listeners.push(listener);
    const isWildcard = host === "0.0.0.0" || host === "::" || host === "";
    if (isWildcard && options.advertisedHost === undefined) {
      log.warn("advertised_host_is_localhost", { listener: name, host });
    }
    this.#endpoints.push({
      protocol: "kafka",
      listener: name,
      host: listener.host,
      port: listener.port,
      advertisedHost: options.advertisedHost ?? (isWildcard ? "localhost" : host),
      advertisedPort: options.advertisedPort ?? listener.port,
    });
  }

  async #closeListeners(): Promise<void> {
    const closing = this.#listeners.splice(0).map((listener) => listener.close());
    await Promise.all(closing);
  }

  #accept(connection: Connection, listener: string): void {
    const { authenticator, broker, runtime, requestMemory: budget } = this.#context;
    const { host } = connection.remote;
    const openFromHost = this.#countByHost.get(host) ?? 0;
    if (this.#isStopped || !this.#hasRoomFor(openFromHost)) {
      const open = this.#connections.size;
      runtime.log.warn("kafka_connection_refused", { peer: host, open, openFromHost });
      connection.close("too_many_connections");
      return;
    }
    const gone = new AbortController();
    const caller = {
      principal: ANONYMOUS,
      peer: {
        host,
        listener,
        tlsPeerCertificate: connection.tls?.peerCertificate ?? null,
      },
      clientId: "",
      listener,
      signal: gone.signal,
    };
    const { frameBytesMax, loginMsMax } = this.#options;
    const reader = new FrameReader({
      pool: this.#pool,
      budget,
      arrivals: this.#arrivals,
      frameBytesMax,
      recycle: (chunk) => connection.recycle?.(chunk),
    });
    const login =
      authenticator === null
        ? null
        : new Login({
            authenticator,
            peer: caller.peer,
            broker,
            runtime,
            signal: gone.signal,
            loginMsMax,
            onOpen: () => reader.limitTo(frameBytesMax),
          });
    if (login !== null) reader.limitTo(Math.min(frameBytesMax, login.messageBytesMax));
    const kafkaConnection = new KafkaConnection({
      connection,
      runtime,
      reader,
      decoder: new Session(this.#handlerContext, caller, login),
      limits: this.#limits,
      replies: this.#replies,
      abort: () => gone.abort(),
    });
    this.#connections.add(kafkaConnection);
    this.#countByHost.set(host, openFromHost + 1);
    runtime.scheduler.spawn("kafka_connection", async () => {
      await kafkaConnection.run();
      this.#connections.delete(kafkaConnection);
      const left = this.#countByHost.get(host)! - 1;
      if (left > 0) this.#countByHost.set(host, left);
      else this.#countByHost.delete(host);
      if (this.#connections.size === 0) this.#onEmpty?.();
    });
  }

  /** Settings are asked each time: they may change while the broker runs. */
  #hasRoomFor(openFromHost: number): boolean {
    const { broker } = this.#context;
    const bound = (name: string): number =>
      Number(broker.setting(name) ?? Number.POSITIVE_INFINITY);
    const connectionsMax = Math.min(this.#options.connectionsMax, bound("max.connections"));
    if (this.#connections.size >= connectionsMax) return false;
    return openFromHost < bound("max.connections.per.ip");
  }

  #scheduleSweep(): void {
    const { connectionIdleMsMax, frameStallMsMax, loginMsMax } = this.#options;
    const delayMs = Math.min(SWEEP_MS_MAX, connectionIdleMsMax, frameStallMsMax, loginMsMax);
    const { clock, scheduler } = this.#context.runtime;
    this.#sweep = scheduler.after(delayMs, "kafka_idle_sweep", () => {
      const nowMs = clock.monotonicMs();
      // Warm buffers are worth their memory under load; a quiet broker gives them back.
      if (this.#pool.lentBytes === 0) this.#pool.trim(IDLE_POOL_BYTES);
      const { isContended } = this.#arrivals;
      for (const connection of this.#connections) {
        connection.reap(nowMs, connectionIdleMsMax, frameStallMsMax, isContended);
      }
      if (!this.#isStopped) this.#scheduleSweep();
    });
  }
}
