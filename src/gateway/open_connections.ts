// The connections that a transport has accepted: bounded, counted by the address they come from, ended together.
// Invariant: `stop` leaves none behind. Kafka: ConnectionQuotas (max.connections, max.connections.per.ip).

import type { Broker } from "../contracts/broker.ts";
import type { Runtime } from "../contracts/runtime.ts";

/** One accepted connection, run by its transport. */
export interface OpenConnection {
  /** Serves until the connection has closed. Never rejects. */
  run(): Promise<void>;
  /** Takes nothing more, lets what was begun be answered, then closes. */
  end(): void;
  close(event: string, detail: string): void;
}

export class OpenConnections<C extends OpenConnection> implements Iterable<C> {
  /** Names log lines and tasks, e.g. "kafka". */
  readonly #protocol: string;
  readonly #broker: Broker;
  readonly #runtime: Runtime;
  readonly #connectionsMax: number;
  readonly #connections = new Set<C>();
  readonly #countByHost = new Map<string, number>();
  #isStopped = false;
  /** Called when the last connection has gone. */
  #onEmpty: (() => void) | null = null;

  constructor(
    protocol: string,
    context: { readonly broker: Broker; readonly runtime: Runtime },
    connectionsMax: number,
  ) {
    this.#protocol = protocol;
    this.#broker = context.broker;
    this.#runtime = context.runtime;
    this.#connectionsMax = connectionsMax;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  [Symbol.iterator](): Iterator<C> {
    return this.#connections.values();
  }

  /** Whether one more from `host` is let in; if not, the log says so. */
  admits(host: string): boolean {
    const openFromHost = this.#countByHost.get(host) ?? 0;
    if (!this.#isStopped && this.#hasRoomFor(openFromHost)) return true;
    const open = this.#connections.size;
    this.#runtime.log.warn(`${this.#protocol}_connection_refused`, {
      peer: host,
      open,
      openFromHost,
    });
    return false;
  }

  /** Runs the connection until it has closed. */
  add(host: string, connection: C): void {
    this.#connections.add(connection);
    this.#countByHost.set(host, (this.#countByHost.get(host) ?? 0) + 1);
    this.#runtime.scheduler.spawn(`${this.#protocol}_connection`, async () => {
      await connection.run();
      this.#connections.delete(connection);
      const left = this.#countByHost.get(host)! - 1;
      if (left > 0) this.#countByHost.set(host, left);
      else this.#countByHost.delete(host);
      if (this.#connections.size === 0) this.#onEmpty?.();
    });
  }

  /** After `refuse`: ends all, and closes those that have not ended within `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    for (const connection of [...this.#connections]) connection.end();
    if (this.#connections.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#runtime.scheduler.after(graceMs, `${this.#protocol}_stop`, resolve);
      this.#onEmpty = () => {
        timer.cancel();
        resolve();
      };
    });
    for (const connection of [...this.#connections]) connection.close("transport_stopped", "");
  }

  /** Lets none in any more. @returns false when that was so already */
  refuse(): boolean {
    const wasOpen = !this.#isStopped;
    this.#isStopped = true;
    return wasOpen;
  }

  /** Settings are asked each time: they may change while the broker runs. */
  #hasRoomFor(openFromHost: number): boolean {
    const bound = (name: string): number =>
      Number(this.#broker.setting(name) ?? Number.POSITIVE_INFINITY);
    const connectionsMax = Math.min(this.#connectionsMax, bound("max.connections"));
    if (this.#connections.size >= connectionsMax) return false;
    return openFromHost < bound("max.connections.per.ip");
  }
}
