// HTTP as a transport: opens the listeners, and loads everything else with the first request.
// Invariant: a listener that nobody calls costs a socket; stopping ends what is parked and lets answers out.

import type { FetchHandler, HttpPeer, Listener } from "../../src/contracts/runtime.ts";
import type {
  Endpoint,
  RunningTransport,
  TransportContext,
  TransportPlugin,
} from "../../src/contracts/transport.ts";
import { mustTakeBearer } from "../../src/gateway/bearer.ts";
import type { App } from "./app.ts";
import type { Door } from "./door.ts";
import {
  type HttpListener,
  type ResolvedOptions,
  resolveOptions,
  type TransportHttpOptions,
} from "./options.ts";
import { Traffic } from "./traffic.ts";

export type { HttpListener, TransportHttpOptions } from "./options.ts";

/** By this name callers come in who are handed over by a host that owns the sockets. */
const MOUNTED: Door = { listener: "http", isLoopback: false, advertisedHost: null };
const NOBODY: HttpPeer = { host: "", port: 0 };

/**
 * Topics, records and event streams over HTTP; docs/PROTOCOL.md is the specification.
 *
 * @param options listeners, or null for a host that owns the sockets, and bounds; see TransportHttpOptions
 * @throws {TypeError} when an option is out of range
 * @errors `start` throws NetworkError "in_use" or "denied" when a listener cannot be opened, and TypeError where the
 *   authenticator takes no bearer tokens, or the host cannot listen
 */
export function transportHttp(options: TransportHttpOptions): TransportPlugin {
  const resolved = resolveOptions(options);
  return {
    kind: "transport",
    name: "transport-http",
    contract: 1,
    start: async (context) => {
      mustTakeBearer(context.authenticator);
      const server = new HttpServer(resolved, context);
      await server.listen();
      return server;
    },
  };
}

class HttpServer implements RunningTransport {
  readonly handle: FetchHandler;
  readonly #options: ResolvedOptions;
  readonly #context: TransportContext;
  readonly #traffic: Traffic;
  readonly #listeners: Listener[] = [];
  readonly #endpoints: Endpoint[] = [];
  #app: Promise<App> | null = null;

  constructor(options: ResolvedOptions, context: TransportContext) {
    this.#options = options;
    this.#context = context;
    this.#traffic = new Traffic(options);
    this.handle = (request, peer = NOBODY) => this.#answer(request, peer, MOUNTED);
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
  }

  async stop(graceMs: number): Promise<void> {
    if (this.#traffic.isStopping) return;
    const ended = Promise.all([this.#traffic.stop(), this.#closeListeners()]);
    await new Promise<void>((resolve, reject) => {
      const timer = this.#context.runtime.scheduler.after(graceMs, "http_stop", resolve);
      ended.then(() => {
        timer.cancel();
        resolve();
      }, reject);
    });
    this.#traffic.abandon();
  }

  async #listenOn(options: HttpListener): Promise<void> {
    const { network, log } = this.#context.runtime;
    const { name, host, port, tls } = options;
    if (network.serveHttp === undefined) {
      throw new TypeError("transport-http cannot listen on this host: give it listeners: null");
    }
    const isWildcard = host === "0.0.0.0" || host === "::" || host === "";
    const advertisedHost = options.advertisedHost ?? (isWildcard ? "localhost" : host);
    const door: Door = { listener: name, isLoopback: isLoopback(host), advertisedHost };
    const listener = await network.serveHttp(
      tls === undefined ? { host, port } : { host, port, tls },
      (request, peer) => this.#answer(request, peer, door),
    );
    this.#listeners.push(listener);
    if (isWildcard && options.advertisedHost === undefined) {
      log.warn("advertised_host_is_localhost", { listener: name, host });
    }
    this.#endpoints.push({
      protocol: "http",
      listener: name,
      host: listener.host,
      port: listener.port,
      advertisedHost,
      advertisedPort: options.advertisedPort ?? listener.port,
    });
  }

  async #closeListeners(): Promise<void> {
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.close()));
  }

  async #answer(request: Request, peer: HttpPeer, door: Door): Promise<Response> {
    this.#app ??= import("./app.ts").then(({ createApp }) =>
      createApp(this.#options, this.#context, this.#traffic),
    );
    const app = await this.#app;
    return app(request, peer, door);
  }
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d+){3}$/.test(host);
}
