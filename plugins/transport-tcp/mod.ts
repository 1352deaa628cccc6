// Records over TCP: frames of CBOR, as docs/PROTOCOL.md has them. Listens, accepts, and gives every connection
// what it needs.
// Invariant: connections and their memory are bounded; stopping leaves nothing behind.

import { ANONYMOUS } from "../../src/contracts/auth.ts";
import type { Connection, Timer } from "../../src/contracts/runtime.ts";
import type {
  Endpoint,
  RunningTransport,
  TransportContext,
  TransportPlugin,
} from "../../src/contracts/transport.ts";
import { mustTakeBearer } from "../../src/gateway/bearer.ts";
import { Listeners } from "../../src/gateway/listeners.ts";
import { OpenConnections } from "../../src/gateway/open_connections.ts";
import { TcpConnection } from "./connection.ts";
import { ArrivalMemory, ReplyMemory } from "./memory.ts";
import { resolveOptions, type TcpListener, type TransportTcpOptions } from "./options.ts";

export type { TcpListener, TransportTcpOptions } from "./options.ts";

/** Reaping looks at all connections this often, or more often where the limits are shorter. */
const SWEEP_MS_MAX = 5000;

/**
 * Records over TCP as a transport: docs/PROTOCOL.md says what goes over the wire.
 *
 * @param options where to listen, 127.0.0.1:9094 when left out, and bounds; see TransportTcpOptions
 * @throws {TypeError} when an option is out of range
 * @errors `start` throws NetworkError "in_use" or "denied" when a listener cannot be opened, and TypeError for
 *   an authenticator that takes no bearer tokens
 */
export function transportTcp(options: TransportTcpOptions = {}): TransportPlugin {
  const resolved = resolveOptions(options);
  return {
    kind: "transport",
    name: "transport-tcp",
    contract: 1,
    start: async (context) => {
      mustTakeBearer(context.authenticator);
      const server = new TcpServer(resolved, context);
      await server.listen();
      return server;
    },
  };
}

class TcpServer implements RunningTransport {
  readonly #options: ReturnType<typeof resolveOptions>;
  readonly #context: TransportContext;
  readonly #arrivals: ArrivalMemory;
  readonly #replies: ReplyMemory;
  readonly #listeners: Listeners<TcpListener>;
  readonly #connections: OpenConnections<TcpConnection>;
  #sweep: Timer | null = null;

  constructor(options: ReturnType<typeof resolveOptions>, context: TransportContext) {
    this.#options = options;
    this.#context = context;
    this.#listeners = new Listeners("tcp", context.runtime);
    this.#connections = new OpenConnections("tcp", context, options.connectionsMax);
    this.#arrivals = new ArrivalMemory(options.arrivalBytesMax);
    this.#replies = new ReplyMemory(options.replyBytesMax);
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
    const { runtime, broker, authenticator, requestMemory } = this.#context;
    const { host } = connection.remote;
    if (!this.#connections.admits(host)) {
      connection.close("too_many_connections");
      return;
    }
    const gone = new AbortController();
    const tlsPeerCertificate = connection.tls?.peerCertificate ?? null;
    const tcpConnection = new TcpConnection({
      connection,
      runtime,
      broker,
      authenticator,
      bounds: this.#options,
      budget: requestMemory,
      arrivals: this.#arrivals,
      replies: this.#replies,
      caller: {
        principal: ANONYMOUS,
        peer: { host, listener, tlsPeerCertificate },
        clientId: "",
        listener,
        signal: gone.signal,
      },
      abort: () => gone.abort(),
    });
    this.#connections.add(host, tcpConnection);
  }

  #scheduleSweep(): void {
    const { connectionIdleMsMax, helloMsMax, frameStallMsMax } = this.#options;
    const delayMs = Math.min(SWEEP_MS_MAX, connectionIdleMsMax, helloMsMax, frameStallMsMax);
    const { clock, scheduler } = this.#context.runtime;
    this.#sweep = scheduler.after(delayMs, "tcp_idle_sweep", () => {
      const nowMs = clock.monotonicMs();
      const wallMs = clock.wallMs();
      for (const connection of this.#connections) connection.reap(nowMs, wallMs);
      if (!this.#connections.isStopped) this.#scheduleSweep();
    });
  }
}
