// Records over TCP: frames of CBOR, as docs/PROTOCOL.md has them. Listens, accepts, and gives every connection
// what it needs.
// Invariant: connections and their memory are bounded; stopping leaves nothing behind.

import type { Connection, Listener, Timer } from "../../src/contracts/runtime.ts";
import type {
  Endpoint,
  RunningTransport,
  TransportContext,
  TransportPlugin,
} from "../../src/contracts/transport.ts";
import { mustTakeBearer } from "../../src/gateway/bearer.ts";
import { TcpConnection } from "./connection.ts";
import { ArrivalMemory, ReplyMemory } from "./memory.ts";
import { resolveOptions, type TcpListener, type TransportTcpOptions } from "./options.ts";

export type { TcpListener, TransportTcpOptions } from "./options.ts";

const ANONYMOUS = { type: "User", name: "ANONYMOUS" };
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
  readonly #listeners: Listener[] = [];
  readonly #endpoints: Endpoint[] = [];
  readonly #connections = new Set<TcpConnection>();
  /** Open connections by the address they come from. */
  readonly #countByHost = new Map<string, number>();
  #sweep: Timer | null = null;
  #isStopped = false;
  /** Called when the last connection has gone. */
  #onEmpty: (() => void) | null = null;

  constructor(options: ReturnType<typeof resolveOptions>, context: TransportContext) {
    this.#options = options;
    this.#context = context;
    this.#arrivals = new ArrivalMemory(options.arrivalBytesMax);
    this.#replies = new ReplyMemory(options.replyBytesMax);
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
      const timer = this.#context.runtime.scheduler.after(graceMs, "tcp_stop", resolve);
      this.#onEmpty = () => {
        timer.cancel();
        resolve();
      };
    });
    for (const connection of [...this.#connections]) connection.close("transport_stopped", "");
  }

  async #listenOn(options: TcpListener): Promise<void> {
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
      protocol: "tcp",
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
    const { runtime, broker, authenticator, requestMemory } = this.#context;
    const { host } = connection.remote;
    const openFromHost = this.#countByHost.get(host) ?? 0;
    if (this.#isStopped || !this.#hasRoomFor(openFromHost)) {
      const open = this.#connections.size;
      runtime.log.warn("tcp_connection_refused", { peer: host, open, openFromHost });
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
    this.#connections.add(tcpConnection);
    this.#countByHost.set(host, openFromHost + 1);
    runtime.scheduler.spawn("tcp_connection", async () => {
      await tcpConnection.run();
      this.#connections.delete(tcpConnection);
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
    const { connectionIdleMsMax, helloMsMax, frameStallMsMax } = this.#options;
    const delayMs = Math.min(SWEEP_MS_MAX, connectionIdleMsMax, helloMsMax, frameStallMsMax);
    const { clock, scheduler } = this.#context.runtime;
    this.#sweep = scheduler.after(delayMs, "tcp_idle_sweep", () => {
      const nowMs = clock.monotonicMs();
      const wallMs = clock.wallMs();
      for (const connection of this.#connections) connection.reap(nowMs, wallMs);
      if (!this.#isStopped) this.#scheduleSweep();
    });
  }
}
