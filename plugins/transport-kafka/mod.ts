// The Kafka wire on TCP: listens, accepts, and gives every connection what it needs.
// Invariant: connections, their memory and the fetch sessions are bounded; stopping leaves nothing behind.
// Kafka: SocketServer, Acceptor.

import { BufferPool } from "../../src/base/buffer_pool.ts";
import { ANONYMOUS } from "../../src/contracts/auth.ts";
import type { Connection, Timer } from "../../src/contracts/runtime.ts";
import type {
  Endpoint,
  RunningTransport,
  TransportContext,
  TransportPlugin,
} from "../../src/contracts/transport.ts";
import { Listeners } from "../../src/gateway/listeners.ts";
import { OpenConnections } from "../../src/gateway/open_connections.ts";
import { ArrivalMemory } from "./arrival_memory.ts";
import { type ConnectionLimits, KafkaConnection } from "./connection.ts";
import { Session, servedApis } from "./dispatch.ts";
import { FetchSessions } from "./fetch_sessions.ts";
import { FrameReader } from "./framing.ts";
import type { HandlerContext } from "./handler.ts";
import { Login, saslMechanisms } from "./login.ts";
import {
  type KafkaListener,
  peerTrustOf,
  resolveOptions,
  type TransportKafkaOptions,
} from "./options.ts";
import { ReplyMemory } from "./reply_memory.ts";

export type { KafkaListener, PeerTls, TransportKafkaOptions } from "./options.ts";

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
  const { peerTls } = options;
  return {
    kind: "transport",
    name: "transport-kafka",
    contract: 1,
    ...(peerTls === undefined ? {} : { peerTrust: peerTrustOf(peerTls) }),
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
  readonly #listeners: Listeners<KafkaListener>;
  readonly #connections: OpenConnections<KafkaConnection>;
  #sweep: Timer | null = null;

  constructor(options: ResolvedOptions, context: TransportContext) {
    const { clock, random } = context.runtime;
    this.#options = options;
    this.#context = context;
    this.#listeners = new Listeners("kafka", context.runtime);
    this.#connections = new OpenConnections("kafka", context, options.connectionsMax);
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
    return this.#listeners.endpoints;
  }

  async listen(): Promise<void> {
    const { network } = this.#context.runtime;
    await this.#listeners.open(this.#options.listeners, (at, { name }) =>
      network.listen(at, (connection) => this.#accept(connection, name)),
    );
    this.#scheduleSweep();
  }

  async stop(graceMs: number): Promise<void> {
    if (!this.#connections.refuse()) return;
    this.#sweep?.cancel();
    await this.#listeners.close();
    await this.#connections.stop(graceMs);
  }

  #accept(connection: Connection, listener: string): void {
    const { authenticator, broker, runtime, requestMemory: budget } = this.#context;
    const { peerAuthenticator } = this.#context;
    const { host } = connection.remote;
    if (!this.#connections.admits(host)) {
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
      authenticator === null && peerAuthenticator === undefined
        ? null
        : new Login({
            authenticator,
            peerAuthenticator,
            peer: caller.peer,
            broker,
            runtime,
            signal: gone.signal,
            loginMsMax,
            onOpen: () => reader.limitTo(frameBytesMax),
          });
    if (login?.isOpen === false) reader.limitTo(Math.min(frameBytesMax, login.messageBytesMax));
    const kafkaConnection = new KafkaConnection({
      connection,
      runtime,
      reader,
      decoder: new Session(this.#handlerContext, caller, login),
      limits: this.#limits,
      replies: this.#replies,
      abort: () => gone.abort(),
    });
    this.#connections.add(host, kafkaConnection);
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
      if (!this.#connections.isStopped) this.#scheduleSweep();
    });
  }
}
