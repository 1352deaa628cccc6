// Who is calling, and what they may do. The SASL conversation is bytes in, step out; bearer tokens
// and client certificates are conversations of one message. Authorization is synchronous, over an
// image already in memory, and is asked by core admission alone.

import type { PluginContext } from "./plugin.ts";

/** What knows who callers are, or what they may do, or both. Opened once a broker, before any transport starts. */
export interface AuthPlugin {
  readonly kind: "auth";
  readonly name: string;
  readonly contract: 1;
  open(context: AuthContext): Promise<Auth>;
}

/** What an auth plugin is opened with: the host, and the users that the cluster knows. */
export interface AuthContext extends PluginContext {
  /** What the cluster image holds about users. Synchronous: the image is already in memory. */
  readonly credentials: { scram(mechanism: string, user: string): ScramCredential | null };
}

/** What is stored of a SCRAM user (RFC 5802): never the password. Keys are as long as the mechanism's hash, 32 or 64 bytes. */
export interface ScramCredential {
  readonly salt: Uint8Array;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
  readonly iterations: number;
}

/** An opened auth plugin. Without `authenticator` it proves nobody's name; without `authorizer` it forbids nothing. */
export interface Auth {
  readonly authenticator?: Authenticator;
  readonly authorizer?: Authorizer;
  close(): Promise<void>;
}

/** The conversation of one message, the token's bytes: `Authorization: Bearer` of HTTP, the first frame of TCP. */
export const BEARER_MECHANISM = "BEARER";

/** Turns what a client sends into who it is, one conversation a connection. */
export interface Authenticator {
  /**
   * SASL names as Kafka offers them, e.g. ["PLAIN"], and "BEARER" (BEARER_MECHANISM) where a token alone is
   * enough: HTTP and TCP use that one, Kafka's handshake never lists it.
   */
  readonly mechanisms: readonly string[];
  /** @param mechanism one of `mechanisms` */
  begin(mechanism: string, peer: Peer): AuthSession;
}

/** One conversation. The transport carries the bytes; `respond` may wait only on a look-up. */
export interface AuthSession {
  respond(message: Uint8Array): Promise<AuthStep>;
}

/**
 * What follows a client's message: bytes to send back, or the end. `expiresAtMs` is wall time (null: never), after which
 * the client must authenticate again (KIP-368). `reason` is for the log, not for the client.
 */
export type AuthStep =
  | { readonly kind: "challenge"; readonly message: Uint8Array }
  | {
      readonly kind: "done";
      readonly message: Uint8Array;
      readonly principal: Principal;
      readonly expiresAtMs: number | null;
    }
  | { readonly kind: "denied"; readonly reason: string };

/** Decides what callers may do; asked by the core's admission, never by a transport. */
export interface Authorizer {
  /** Answers for all `questions` in order. Synchronous: the ACL image is already in memory. */
  authorize(principal: Principal, peer: Peer, questions: readonly Question[]): readonly boolean[];
}

/** May this operation be done to this resource? */
export interface Question {
  readonly operation: Operation;
  readonly resource: Resource;
}

/** Kafka's ACL operations (AclOperation), less "all" and "any", which only patterns use. */
export type Operation =
  | "read"
  | "write"
  | "create"
  | "delete"
  | "alter"
  | "describe"
  | "cluster_action"
  | "describe_configs"
  | "alter_configs"
  | "idempotent_write";
/** What an operation is done to. The cluster's name is "kafka-cluster", as in Kafka. */
export interface Resource {
  readonly type: "topic" | "group" | "cluster" | "transactional_id";
  readonly name: string;
}

/** Who calls, in Kafka's form `type:name`, e.g. User:alice; User:ANONYMOUS where nothing asks. */
export interface Principal {
  readonly type: string;
  readonly name: string;
}

/** Everyone, where nothing asks who they are: on every transport, and in process. */
export const ANONYMOUS: Principal = { type: "User", name: "ANONYMOUS" };

/** The type of principals that are brokers of this cluster; no authenticator of clients may give it. */
export const PEER_TYPE = "Broker";

/** The mechanism that brokers log in to each other by (protocol/peer_login.ts); offered in a cluster only. */
export const PEER_MECHANISM = "MILLRACE-PEER";

/** Whether the caller is a broker of this cluster, which has proven it. */
export function isPeer(principal: Principal): boolean {
  return principal.type === PEER_TYPE;
}

/** Where a call came from: remote address, the listener's name, and the client's certificate (DER) where TLS asked for one. */
export interface Peer {
  readonly host: string;
  readonly listener: string;
  readonly tlsPeerCertificate: Uint8Array | null;
}
