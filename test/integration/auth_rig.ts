// Logins and cases of auth-token behind Kafka's wire: who logs in as whom, what an operation is refused with, and which
// rule allows it.

import { expect } from "bun:test";
import type { AuthTokenOptions, AuthTokenRule } from "../../plugins/auth-token/mod.ts";
import { errorByCode } from "../../src/protocol/errors.ts";
import type { RequestInputOf, ResponseOf } from "../../src/protocol/infer.ts";
import { SaslHandshake } from "../../src/protocol/messages/17_sasl_handshake.ts";
import { SaslAuthenticate } from "../../src/protocol/messages/36_sasl_authenticate.ts";
import type { Api, Fields } from "../../src/protocol/schema.ts";
import { RecordBatchBuilder } from "../../src/record/record_builder.ts";
import { hostCryptography } from "../../src/runtime/cryptography.ts";
import type { Live, WireClient } from "./live.ts";

const utf8 = new TextEncoder();

export function hashOf(token: string): string {
  const digest = hostCryptography.digest("SHA-256", utf8.encode(token));
  return `sha256:${[...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** Everybody's token is "NAME-token". */
export function tokensOf(...names: string[]): AuthTokenOptions["tokens"] {
  return names.map((name) => ({ principal: `User:${name}`, hash: hashOf(`${name}-token`) }));
}

export async function loggedIn(live: Live, name: string): Promise<WireClient> {
  const client = await live.connect();
  expect((await client.ask(SaslHandshake, 1, { mechanism: "PLAIN" })).errorCode).toBe(0);
  const authBytes = utf8.encode(`\0${name}\0${name}-token`);
  expect((await client.ask(SaslAuthenticate, 2, { authBytes })).errorCode).toBe(0);
  return client;
}

export function batch(): Uint8Array {
  const builder = new RecordBatchBuilder();
  builder.append(-1, null, utf8.encode("hello"));
  return builder.build();
}

export const nameOf = (code: number): string => errorByCode(code)?.code ?? "none";
export const TOPIC = "topic_authorization_failed";
export const CLUSTER = "cluster_authorization_failed";
export const GROUP = "group_authorization_failed";
export const TRANSACTION = "transactional_id_authorization_failed";
export const NOT_ALLOWED = [TOPIC, CLUSTER, GROUP, TRANSACTION];

export const topic = (name: string) => ({
  name,
  numPartitions: 1,
  replicationFactor: 1,
  assignments: [],
  configs: [],
});
export const config = (resourceType: number, resourceName: string) => ({
  resourceType,
  resourceName,
});

/** An operation, one API that needs it, what it is refused with, and the rule that allows it. */
export interface Case {
  readonly operation: string;
  readonly api: Api;
  readonly refused: string;
  readonly rule: Omit<AuthTokenRule, "principal">;
  ask(client: WireClient): Promise<number>;
}

export const one = <T extends string>(
  operation: T,
  what: "topics" | "cluster" | "groups" | "transactionalIds",
) => ({
  allow: [operation] as never,
  ...(what === "cluster" ? { cluster: true } : { [what]: ["there", "new", "g", "h", "x"] }),
});

/** One request, and the error code that its answer gives what it names. */
export function asking<const A extends Api<Fields, Fields>>(
  api: A,
  version: number,
  request: () => RequestInputOf<A>,
  codeOf: (answer: ResponseOf<A>) => number,
): Pick<Case, "api" | "ask"> {
  return { api, ask: async (client) => codeOf(await client.ask(api, version, request())) };
}
