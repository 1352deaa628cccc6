// HTTP as a transport: opens the listeners, and loads everything else with the first request.
// Invariant: a listener that nobody calls costs a socket; stopping ends what is parked and lets answers out.

import { isLoopback } from "../../src/base/loopback.ts";
import type { FetchHandler, HttpPeer } from "../../src/contracts/runtime.ts";
import type {
  Endpoint,
  RunningTransport,
  TransportContext,
  TransportPlugin,
} from "../../src/contracts/transport.ts";
import { mustTakeBearer } from "../../src/gateway/bearer.ts";
import { advertisedHostOf, Listeners } from "../../src/gateway/listeners.ts";
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
  readonly #listeners: Listeners<HttpListener>;
  #app: Promise<App> | null = null;

  constructor(options: ResolvedOptions, context: TransportContext) {
    this.#options = options;
    this.#context = context;
    this.#listeners = new Listeners("http", context.runtime);
    this.#traffic = new Traffic(options);
    this.handle = (request, peer = NOBODY) => this.#answer(request, peer, MOUNTED);
  }

  get endpoints(): readonly Endpoint[] {
    return this.#listeners.endpoints;
  }

  async listen(): Promise<void> {
    const { network } = this.#context.runtime;
    await this.#listeners.open(this.#options.listeners, async (at, options) => {
      if (network.serveHttp === undefined) {
        throw new TypeError("transport-http cannot listen on this host: give it listeners: null");
      }
      const door: Door = {
        listener: options.name,
        isLoopback: isLoopback(at.host),
        advertisedHost: advertisedHostOf(options),
      };
      return await network.serveHttp(at, (request, peer) => this.#answer(request, peer, door));
    });
  }

  async stop(graceMs: number): Promise<void> {
    if (this.#traffic.isStopping) return;
    const ended = Promise.all([this.#traffic.stop(), this.#listeners.close()]);
    await new Promise<void>((resolve, reject) => {
      const timer = this.#context.runtime.scheduler.after(graceMs, "http_stop", resolve);
      ended.then(() => {
        timer.cancel();
        resolve();
      }, reject);
    });
    this.#traffic.abandon();
  }

  async #answer(request: Request, peer: HttpPeer, door: Door): Promise<Response> {
    this.#app ??= import("./app.ts").then(({ createApp }) =>
      createApp(this.#options, this.#context, this.#traffic),
    );
    const app = await this.#app;
    return app(request, peer, door);
  }
}
