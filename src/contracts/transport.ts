// How clients reach the broker. A transport turns bytes into Broker calls; it never sees core
// internals, and admission (authorization, quotas, deadlines) is decided behind the Broker.

import type { Authenticator } from "./auth.ts";
import type { Broker } from "./broker.ts";
import type { PluginContext } from "./plugin.ts";
import type { FetchHandler, TlsTrust } from "./runtime.ts";

/** A door to the broker. `start` throws NetworkError "in_use" or "denied" when a port cannot be had. */
export interface TransportPlugin {
  readonly kind: "transport";
  readonly name: string;
  readonly contract: 1;
  /** How this broker reaches the listeners of others that have TLS; left out: who the host trusts, and no certificate of its own. */
  readonly peerTrust?: PeerTrust;
  start(context: TransportContext): Promise<RunningTransport>;
}

/** TLS between brokers; `serverName` is what a peer has to prove, the name that it advertises when left out. */
export type PeerTrust = Partial<TlsTrust>;

/** What a transport is started with; beside it, it uses nothing of the broker. */
export interface TransportContext extends PluginContext {
  readonly broker: Broker;
  /** Null: everyone is anonymous. */
  readonly authenticator: Authenticator | null;
  /** Lets other brokers of the cluster in, by the mechanism MILLRACE-PEER, whatever lets clients in; left out where there are none. */
  readonly peerAuthenticator?: Authenticator;
  /** One budget for request bytes in flight over all transports (decision 13). */
  readonly requestMemory: MemoryBudget;
}

/** A bound on bytes held at once. Over it, reading from sockets pauses. */
export interface MemoryBudget {
  /** Takes at once where there is room (or nothing else is held), and says whether it did. */
  tryTake(sizeBytes: number): boolean;
  /** Resolves when the bytes are taken, first come first served. */
  take(sizeBytes: number): Promise<void>;
  give(sizeBytes: number): void;
}

/** A started transport, in the hands of the broker. */
export interface RunningTransport {
  /** What to advertise, with the port really bound, e.g. { protocol: "kafka", listener: "kafka", host: "127.0.0.1", port: 9092 }. */
  readonly endpoints: readonly Endpoint[];
  /** For hosts that own the socket (edge functions): mount this instead of listening. */
  readonly handle?: FetchHandler;
  /** Stops accepting, lets calls in flight end within `graceMs`, then closes what is left. */
  stop(graceMs: number): Promise<void>;
}

/** One listening address of a transport, by the name of its listener. */
export interface Endpoint {
  readonly protocol: string;
  readonly listener: string;
  /** Bound address. */
  readonly host: string;
  readonly port: number;
  /** What clients are told, where it differs (`advertised.listeners`). */
  readonly advertisedHost: string;
  readonly advertisedPort: number;
  /** Whether it speaks TLS; left out: it does not. */
  readonly isTls?: boolean;
}
