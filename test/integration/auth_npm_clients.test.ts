// kafkajs and @platformatic/kafka log in with the token right, wrong and missing.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Admin, Producer } from "@platformatic/kafka";
import { Kafka, logLevel } from "kafkajs";
import { authToken } from "../../plugins/auth-token/mod.ts";
import { createClient } from "../../src/client/mod.ts";
import { hostCryptography } from "../../src/runtime/cryptography.ts";
import { type HostRuntime, hostRuntime } from "../../src/runtime/host_runtime.ts";
import { Live } from "./live.ts";

const TOKEN = "mr_token-of-alice";
let live: Live;
let host: HostRuntime;

beforeAll(async () => {
  const digest = hostCryptography.digest("SHA-256", new TextEncoder().encode(TOKEN));
  const hash = `sha256:${Buffer.from(digest).toString("base64url")}`;
  live = await Live.start({
    auth: [
      authToken({
        tokens: [{ principal: "User:alice", hash }],
        rules: [{ principal: "User:alice", allow: ["all"], topics: ["mine-"] }],
      }),
    ],
  });
  host = hostRuntime({ log: { level: "off" } });
});
afterAll(async () => {
  await live.stop();
  await host.stop(1000);
});

const bootstrap = (): string => `127.0.0.1:${live.port}`;
const countOf = (reason: string): number =>
  live.logLines.filter((line) => line.includes(`"reason":"${reason}"`)).length;
/** What a call fails with, and all that it was caused by, as text. */
async function failureOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => new Error("it was let in"),
    (error: unknown) => error,
  );
  const texts: string[] = [];
  const collect = (each: unknown): void => {
    if (!(each instanceof Error)) return;
    texts.push(`${each.name}: ${each.message}`);
    collect(each.cause);
    // kafkajs has an aggregate of its own.
    const { errors } = each as { errors?: unknown };
    if (Array.isArray(errors)) errors.forEach(collect);
  };
  collect(error);
  return texts.join("\n");
}

async function valuesOf(topic: string): Promise<string[]> {
  const client = createClient(host.runtime, {
    bootstrap: bootstrap(),
    sasl: { mechanism: "PLAIN", username: "alice", password: TOKEN },
  });
  const values: string[] = [];
  const consumer = client.consumer({ topics: [topic], from: "beginning", untilEnd: true });
  for await (const { value } of consumer) values.push(new TextDecoder().decode(value!));
  await client.close();
  return values;
}

describe("kafkajs", () => {
  const kafkajs = (password: string | null): Kafka =>
    new Kafka({
      brokers: [bootstrap()],
      logLevel: logLevel.NOTHING,
      retry: { retries: 0 },
      ...(password === null
        ? {}
        : { sasl: { mechanism: "plain" as const, username: "alice", password } }),
    });

  test("with the right token does what is allowed, and is told what is not", async () => {
    const kafka = kafkajs(TOKEN);
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: "mine-kafkajs", numPartitions: 1 }] });
    const refused = admin.createTopics({ topics: [{ topic: "theirs", numPartitions: 1 }] });
    expect(await failureOf(refused)).toMatch(/authoriz/i);
    expect(await admin.listTopics()).toContain("mine-kafkajs");
    await admin.disconnect();
    const producer = kafka.producer();
    await producer.connect();
    await producer.send({ topic: "mine-kafkajs", messages: [{ value: "one" }, { value: "two" }] });
    await producer.disconnect();
    expect(await valuesOf("mine-kafkajs")).toEqual(["one", "two"]);
  });

  test("with a wrong one is told that it failed", async () => {
    const before = countOf("authentication_failed");
    const failure = await failureOf(kafkajs("wrong-token").admin().connect());
    expect(failure).toContain("Authentication failed");
    expect(countOf("authentication_failed")).toBe(before + 1);
  });

  test("without one is not served", async () => {
    const before = countOf("request_before_login");
    const admin = kafkajs(null).admin();
    await admin.connect(); // Asks for the versions, which anybody may.
    expect(await failureOf(admin.listTopics())).not.toContain("it was let in");
    await admin.disconnect();
    expect(countOf("request_before_login")).toBeGreaterThan(before);
  });
});

describe("@platformatic/kafka", () => {
  const common = (password: string | null) => ({
    clientId: "auth-platformatic",
    bootstrapBrokers: [bootstrap()],
    retries: 0,
    timeout: 5_000,
    ...(password === null
      ? {}
      : { sasl: { mechanism: "PLAIN" as const, username: "alice", password } }),
  });

  test("with the right token does what is allowed, and is told what is not", async () => {
    const admin = new Admin(common(TOKEN));
    await admin.createTopics({ topics: ["mine-platformatic"], partitions: 1, replicas: 1 });
    const refused = admin.createTopics({ topics: ["theirs"], partitions: 1, replicas: 1 });
    expect(await failureOf(refused)).toMatch(/authoriz/i);
    await admin.close();
    const producer = new Producer(common(TOKEN));
    await producer.send({
      messages: ["one", "two"].map((text) => ({
        topic: "mine-platformatic",
        partition: 0,
        value: Buffer.from(text),
      })),
    });
    await producer.close();
    expect(await valuesOf("mine-platformatic")).toEqual(["one", "two"]);
  });

  for (const [what, password, reason] of [
    ["with a wrong one is told that it failed", "wrong-token", "authentication_failed"],
    ["without one is not served", null, "request_before_login"],
  ] as const) {
    test(what, async () => {
      const before = countOf(reason);
      const admin = new Admin(common(password));
      const failure = await failureOf(admin.listTopics());
      expect(failure).not.toContain("it was let in");
      if (password !== null) expect(failure).toMatch(/authentication/i);
      expect(countOf(reason)).toBeGreaterThan(before);
      await admin.close();
    });
  }
});
