// The one door between the client and a cluster: an API and its request go in, the response comes out.
// Everything else in this room is written over it once, whatever lies behind: the Kafka wire
// (wire_port.ts), or a broker in this process, CBOR over TCP, HTTP (decision 7).
// Invariant: what a port rejects with is a ClientError.

import type { RequestInputOf, ResponseOf } from "../protocol/infer.ts";
import type { Api } from "../protocol/schema.ts";

/** Where a request goes and how long it may take. */
export interface SendOptions {
  /** Node id of the broker that must answer; any when left out. A port with one broker may ignore it. */
  readonly to?: number;
  /** Requests of one lane to one broker may hold one another up: one that waits long deserves its own. */
  readonly lane?: string;
  readonly signal?: AbortSignal | undefined;
  /** Until the answer is here, in ms; the port's default when left out. */
  readonly timeoutMs?: number;
  /** Below it the request would mean something else. @throws {ClientError} "unsupported_version" */
  readonly versionMin?: number;
  /** Above it the request would lack something, e.g. topic ids. */
  readonly versionMax?: number;
  /** False for Produce with acks=0 alone: resolves when the bytes are on their way. Default true. */
  readonly isAnswered?: boolean;
}

/** A request, or what it is in the version that was agreed on. */
export type RequestSource<A extends Api> =
  | RequestInputOf<A>
  | ((version: number) => RequestInputOf<A>);

/** A broker's address under its node id. */
export interface BrokerAddress {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
}

/** A way to a cluster. */
export interface ClientPort {
  /**
   * Sends one request in the highest version that both sides have, within the bounds given.
   *
   * @returns The response; its bytes and records are views of memory that is the caller's.
   * @throws {ClientError} "network_exception" and "request_timed_out" (it may or may not have been done),
   *   "broker_not_available" for a node id nobody told of, "unsupported_version", "closed", "aborted"
   */
  send<A extends Api>(
    api: A,
    request: RequestSource<A>,
    options?: SendOptions,
  ): Promise<ResponseOf<A>>;
  /** Tells the port where the brokers are: called with every metadata answer. */
  learn(brokers: readonly BrokerAddress[]): void;
  /** Ends what is under way with "closed". Idempotent. */
  close(): void;
}
