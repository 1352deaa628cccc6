// Who is calling, and what they may do. The SASL conversation is bytes in, step out; bearer tokens
// and client certificates are conversations of one message. Authorization is synchronous, over an
// image already in memory, and is asked by core admission alone.

import type { PluginContext } from "./plugin.ts";

export interface AuthPlugin {
  readonly kind: "auth";
  readonly name: string;
  readonly contract: 1;
  open(context: AuthContext): Promise<Auth>;
}

export interface AuthContext extends PluginContext {
  /** What the cluster image holds about users. Synchronous: the image is already in memory. */
  readonly credentials: { scram(mechanism: string, user: string): ScramCredential | null };
}
export interface ScramCredential {
  readonly salt: Uint8Array;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
  readonly iterations: number;
}

export interface Auth {
  readonly authenticator?: Authenticator;
  readonly authorizer?: Authorizer;
  close(): Promise<void>;
}

export interface Authenticator {
  /** Names offered in SaslHandshake and in WWW-Authenticate, e.g. ["SCRAM-SHA-512"]. */
  readonly mechanisms: readonly string[];
  begin(mechanism: string, peer: Peer): AuthSession;
}

/** One conversation. The transport carries the bytes; `respond` may wait only on a look-up. */
export interface AuthSession {
  respond(message: Uint8Array): Promise<AuthStep>;
}

export type AuthStep =
  | { readonly kind: "challenge"; readonly message: Uint8Array }
  | {
      readonly kind: "done";
      readonly message: Uint8Array;
      readonly principal: Principal;
      readonly expiresAtMs: number | null;
    }
  | { readonly kind: "denied"; readonly reason: string };

export interface Authorizer {
  /** Answers for all `questions` in order. Synchronous: the ACL image is already in memory. */
  authorize(principal: Principal, peer: Peer, questions: readonly Question[]): readonly boolean[];
}

export interface Question {
  readonly operation: Operation;
  readonly resource: Resource;
}
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
export interface Resource {
  readonly type: "topic" | "group" | "cluster" | "transactional_id";
  readonly name: string;
}
export interface Principal {
  readonly type: string;
  readonly name: string;
}
export interface Peer {
  readonly host: string;
  readonly listener: string;
  readonly tlsPeerCertificate: Uint8Array | null;
}
