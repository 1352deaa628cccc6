// What the tests of refusals over HTTP and TCP share: tokens of those who may do all but one thing, of those who may
// do it elsewhere, and of those who may do it; and a look at everything that a refused request must leave alone.

import { type AuthTokenOptions, authToken } from "../../plugins/auth-token/mod.ts";
import type { AuthPlugin, Operation } from "../../src/contracts/auth.ts";
import type { Broker, Caller } from "../../src/contracts/broker.ts";
import { resolveOffsets } from "../../src/gateway/offsets.ts";
import { describeTopic, listTopics } from "../../src/gateway/topics.ts";
import { hostCryptography } from "../../src/runtime/cryptography.ts";

/** The operations on topics that HTTP and TCP ask for. */
export const ASKED = ["create", "delete", "describe", "read", "write"] as const;
export type Asked = (typeof ASKED)[number];

/** By which other operations each of these is allowed, too. */
const BY: Readonly<Record<Asked, readonly Operation[]>> = {
  create: [],
  delete: [],
  describe: ["read", "write", "delete", "alter"],
  read: [],
  write: [],
};
const ALL: readonly Operation[] = [
  "read",
  "write",
  "create",
  "delete",
  "alter",
  "describe",
  "cluster_action",
  "describe_configs",
  "alter_configs",
  "idempotent_write",
];

/** May do whatever there is. */
export const ROOT = "root";
/** Was let in, and may do nothing. */
export const NOBODY = "nobody";
/** May do everything, to topics that begin with "other-". */
export const ELSEWHERE = "elsewhere";
/** May do everything but this, to every topic and to the cluster. */
export const lacking = (operation: Asked): string => `lacking-${operation}`;
/** May do this, to every topic, and nothing else. */
export const having = (operation: Asked): string => `having-${operation}`;
/** Has a token whose time is up. */
export const LATE = "late";

export const tokenOf = (name: string): string => `${name}-token-0123456789`;

function hashOf(token: string): string {
  const digest = hostCryptography.digest("SHA-256", new TextEncoder().encode(token));
  return `sha256:${[...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

export function refusingAuth(): AuthPlugin {
  const names = [ROOT, NOBODY, ELSEWHERE, ...ASKED.map(lacking), ...ASKED.map(having)];
  const entry = (name: string) => ({ principal: `User:${name}`, hash: hashOf(tokenOf(name)) });
  const tokens: AuthTokenOptions["tokens"] = [
    ...names.map(entry),
    { ...entry(LATE), expiresAt: "2001-01-01T00:00:00Z" },
  ];
  const rules: AuthTokenOptions["rules"] = [
    { principal: `User:${ELSEWHERE}`, allow: ["all"], topics: ["other-"] },
    ...ASKED.map((operation) => ({
      principal: `User:${lacking(operation)}`,
      allow: ALL.filter((each) => each !== operation && !BY[operation].includes(each)),
      topics: ["*"],
      cluster: true,
    })),
    ...ASKED.map((operation) => ({
      principal: `User:${having(operation)}`,
      allow: [operation],
      topics: ["*"],
    })),
  ];
  return authToken({ tokens, rules, superUsers: [`User:${ROOT}`, `User:${LATE}`] });
}

/** Everybody who is let in and may not do `operation`. */
export const refusedFor = (operation: Asked): readonly string[] => [
  NOBODY,
  ELSEWHERE,
  lacking(operation),
];

/** All topics with their ids, settings and offsets, as one who may see everything sees them. */
export async function everything(broker: Broker): Promise<readonly unknown[]> {
  const caller: Caller = {
    principal: { type: "User", name: ROOT },
    peer: { host: "127.0.0.1", listener: "test", tlsPeerCertificate: null },
    clientId: "test",
    listener: "test",
    signal: new AbortController().signal,
  };
  const found: unknown[] = [];
  for (const { name, partitions } of await listTopics(broker, caller)) {
    const starts = (["earliest", "latest"] as const).flatMap((at) =>
      Array.from({ length: partitions }, (_, partition) => ({ partition, at })),
    );
    const offsets = await resolveOffsets(broker, caller, name, starts);
    found.push([await describeTopic(broker, caller, name), offsets]);
  }
  return found;
}
