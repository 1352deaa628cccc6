import { describe, expect, test } from "bun:test";
import type { AuthTokenRule } from "../../../plugins/auth-token/mod.ts";
import { checkOptions } from "../../../plugins/auth-token/options.ts";
import { ruleAuthorizer } from "../../../plugins/auth-token/rules.ts";
import type { Operation, Peer, Resource } from "../../../src/contracts/auth.ts";

const peer: Peer = { host: "192.0.2.1", listener: "kafka", tlsPeerCertificate: null };
const OPERATIONS: readonly Operation[] = [
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
const topic = (name: string): Resource => ({ type: "topic", name });
const CLUSTER: Resource = { type: "cluster", name: "kafka-cluster" };

function authorizer(rules: readonly AuthTokenRule[], superUsers: readonly string[] = []) {
  const tokens = [{ principal: "User:alice", hash: `sha256:${"a".repeat(64)}` }];
  const checked = checkOptions({ tokens, rules, superUsers });
  const made = ruleAuthorizer(checked.rules, checked.superUsers);
  /** The operations that are allowed. */
  return (name: string, resource: Resource, type = "User") => {
    const questions = OPERATIONS.map((operation) => ({ operation, resource }));
    const answers = made.authorize({ type, name }, peer, questions);
    expect(answers.length).toBe(questions.length);
    return OPERATIONS.filter((_, i) => answers[i]);
  };
}

describe("rules", () => {
  test("without one, nobody may do anything", () => {
    const may = authorizer([]);
    for (const type of ["topic", "group", "cluster", "transactional_id"] as const) {
      expect(may("alice", { type, name: "x" })).toEqual([]);
    }
  });

  const implied: [Operation, Operation[]][] = [
    ["read", ["read", "describe"]],
    ["write", ["write", "describe"]],
    ["create", ["create"]],
    ["delete", ["delete", "describe"]],
    ["alter", ["alter", "describe"]],
    ["describe", ["describe"]],
    ["cluster_action", ["cluster_action"]],
    ["describe_configs", ["describe_configs"]],
    ["alter_configs", ["describe_configs", "alter_configs"]],
    ["idempotent_write", ["idempotent_write"]],
  ];
  test.each(implied)("%s allows what Kafka lets it allow", (operation, allowed) => {
    const may = authorizer([{ principal: "User:alice", allow: [operation], topics: ["*"] }]);
    expect(may("alice", topic("t"))).toEqual(allowed);
    expect(may("bob", topic("t"))).toEqual([]);
    expect(may("alice", CLUSTER)).toEqual([]);
    expect(may("alice", { type: "group", name: "t" })).toEqual([]);
  });

  test("names begin, end in a star, or stand alone", () => {
    const may = authorizer([
      {
        principal: "User:alice",
        allow: ["create"],
        topics: ["orders-", "bills-*", "=exact", "=*"],
        groups: ["g"],
        transactionalIds: ["*"],
      },
      { principal: "User:bob", allow: ["create"], topics: [""] },
    ]);
    const has = (name: string, resource: Resource) => may(name, resource).length === 1;
    for (const name of ["orders-", "orders-1", "bills-x", "exact", "*"]) {
      expect({ name, has: has("alice", topic(name)) }).toEqual({ name, has: true });
    }
    for (const name of ["orders", "Orders-1", "exactly", "exac", "bill", "", "my-orders-"]) {
      expect({ name, has: has("alice", topic(name)) }).toEqual({ name, has: false });
    }
    expect(has("alice", { type: "group", name: "g1" })).toBe(true);
    expect(has("alice", { type: "group", name: "h" })).toBe(false);
    expect(has("alice", { type: "transactional_id", name: "any" })).toBe(true);
    expect(has("bob", topic("anything"))).toBe(true);
    expect(has("bob", { type: "transactional_id", name: "any" })).toBe(false);
  });

  test("add up, with those of everyone", () => {
    const may = authorizer([
      { principal: "*", allow: ["read"], topics: ["public-"] },
      { principal: "User:alice", allow: ["write"], topics: ["public-"] },
      { principal: "User:alice", allow: ["create", "describe_configs"], cluster: true },
    ]);
    expect(may("alice", topic("public-1"))).toEqual(["read", "write", "describe"]);
    expect(may("bob", topic("public-1"))).toEqual(["read", "describe"]);
    expect(may("alice", CLUSTER)).toEqual(["create", "describe_configs"]);
    expect(may("bob", CLUSTER)).toEqual([]);
  });

  test('"all" is every operation, a super user every operation on everything', () => {
    const may = authorizer(
      [{ principal: "User:alice", allow: ["all"], topics: ["a"] }],
      ["User:admin"],
    );
    expect(may("alice", topic("a1"))).toEqual([...OPERATIONS]);
    expect(may("alice", topic("b"))).toEqual([]);
    expect(may("admin", topic("b"))).toEqual([...OPERATIONS]);
    expect(may("admin", CLUSTER)).toEqual([...OPERATIONS]);
  });

  test("a principal of another type is another principal", () => {
    const may = authorizer(
      [
        { principal: "User:alice", allow: ["all"], topics: ["*"] },
        { principal: "*", allow: ["read"], topics: ["public-"] },
      ],
      ["User:admin"],
    );
    expect(may("alice", topic("t"), "Group")).toEqual([]);
    expect(may("admin", topic("t"), "Group")).toEqual([]);
    expect(may("alice", topic("public-1"), "Group")).toEqual(["read", "describe"]);
    expect(may("constructor", topic("t"))).toEqual([]);
  });
});
