// The connections of this broker to the others, by broker and by what they are for: calls of one purpose never wait
// behind those of another. Invariant: a connection is of one registration of its peer; when that changes, it ends.
// Kafka: the channels of ReplicaFetcherThread, TransactionMarkerChannelManager, AddPartitionsToTxnManager.

import type { Runtime, TlsTrust } from "../../contracts/runtime.ts";
import type { BrokerImage } from "../cluster/image.ts";
import { Peer } from "./peer.ts";

/** "fetch": long polls of followers; "calls": whatever is answered soon. */
export type PeerPurpose = "fetch" | "calls" | "forward";

export interface PeersOptions {
  readonly runtime: Runtime;
  readonly brokerId: number;
  readonly brokerEpoch: () => number;
  /** Live brokers, as the newest image has them. */
  readonly brokers: () => ReadonlyMap<number, BrokerImage>;
  readonly secret: () => Uint8Array | null;
  readonly connectMs: () => number;
  /** What to trust where a peer's listener has TLS. */
  readonly trust?: ((broker: BrokerImage) => TlsTrust) | undefined;
}

export class Peers {
  readonly #options: PeersOptions;
  readonly #peers = new Map<string, { readonly peer: Peer; epoch: number }>();
  #isClosed = false;

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** The connection to a broker for a purpose, made on first use; it may be one that nobody answers at. */
  peer(peerId: number, purpose: PeerPurpose): Peer {
    const key = `${peerId}/${purpose}`;
    const known = this.#peers.get(key);
    if (known !== undefined) return known.peer;
    const { runtime, brokerId, brokerEpoch, secret, connectMs } = this.#options;
    const peer = new Peer({
      runtime,
      brokerId,
      brokerEpoch,
      peerId,
      secret,
      connectMs,
      address: () => this.#addressOf(peerId),
    });
    if (this.#isClosed) peer.close();
    else this.#peers.set(key, { peer, epoch: this.#epochOf(peerId) });
    return peer;
  }

  /** Connections to brokers that have registered anew end; those to brokers that are unknown by now are forgotten. */
  brokersChanged(): void {
    for (const [key, known] of this.#peers) {
      const epoch = this.#epochOf(known.peer.peerId);
      if (epoch === known.epoch) continue;
      known.epoch = epoch;
      if (epoch >= 0) known.peer.reset("The broker has registered anew");
      else {
        known.peer.close();
        this.#peers.delete(key);
      }
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const { peer } of this.#peers.values()) peer.close();
    this.#peers.clear();
  }

  #epochOf(peerId: number): number {
    return this.#options.brokers().get(peerId)?.epoch ?? -1;
  }

  #addressOf(peerId: number): { host: string; port: number; tls?: TlsTrust } | null {
    const broker = this.#options.brokers().get(peerId);
    const at = broker?.peer ?? null;
    if (broker === undefined || at === null) return null;
    const { host, port, isTls } = at;
    if (!isTls) return { host, port };
    return { host, port, tls: this.#options.trust?.(broker) ?? { serverName: host } };
  }
}
