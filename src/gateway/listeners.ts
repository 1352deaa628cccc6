// The open ports of one transport, and what is advertised of them.
// Invariant: all are open, or none.

import type { ListenAddress, Listener, Runtime } from "../contracts/runtime.ts";
import type { Endpoint } from "../contracts/transport.ts";
import type { ListenerOptions } from "./listener_options.ts";

/** What clients are told of a listener's host. */
export function advertisedHostOf({ host, advertisedHost }: ListenerOptions): string {
  return advertisedHost ?? (isWildcard(host) ? "localhost" : host);
}

export class Listeners<L extends ListenerOptions> {
  readonly #protocol: string;
  readonly #runtime: Runtime;
  readonly #listeners: Listener[] = [];
  readonly #endpoints: Endpoint[] = [];

  /** @param protocol As endpoints call it, e.g. "kafka". */
  constructor(protocol: string, runtime: Runtime) {
    this.#protocol = protocol;
    this.#runtime = runtime;
  }

  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }

  /** @param listen Opens one; what it throws, this throws once all are closed again. */
  async open(
    all: readonly L[],
    listen: (at: ListenAddress, options: L) => Promise<Listener>,
  ): Promise<void> {
    try {
      for (const options of all) await this.#open(options, listen);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Stops accepting. */
  async close(): Promise<void> {
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.close()));
  }

  async #open(
    options: L,
    listen: (at: ListenAddress, options: L) => Promise<Listener>,
  ): Promise<void> {
    const { name, host, port, tls } = options;
    const listener = await listen(
      tls === undefined ? { host, port } : { host, port, tls },
      options,
    );
    this.#listeners.push(listener);
    if (isWildcard(host) && options.advertisedHost === undefined) {
      this.#runtime.log.warn("advertised_host_is_localhost", { listener: name, host });
    }
    this.#endpoints.push({
      protocol: this.#protocol,
      listener: name,
      host: listener.host,
      port: listener.port,
      advertisedHost: advertisedHostOf(options),
      advertisedPort: options.advertisedPort ?? listener.port,
      ...(tls === undefined ? {} : { isTls: true }),
    });
  }
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::" || host === "";
}
