// Topics made, listed, described and deleted, by those who may.

import { afterEach, describe, expect, test } from "bun:test";
import { createTopic, deleteTopic, describeTopic, listTopics } from "../../src/gateway/topics.ts";
import { callerOf, type MemoryBroker, memoryBroker, tokenAuth } from "../support/memory_broker.ts";

let rig: MemoryBroker;
afterEach(() => rig.stop());

describe("topics of the gateway", () => {
  test("are made with settings of their own, shown, and deleted", async () => {
    rig = await memoryBroker({ settings: { "num.partitions": 2 } });
    const { broker, caller } = rig;
    const config = { "retention.ms": "1000" };
    const made = await createTopic(broker, caller, { name: "b", partitions: 3, config });
    if (!made.ok) throw new Error(made.error.message);
    expect(made.value).toMatchObject({ name: "b", partitions: 3, config, isInternal: false });
    expect(made.value.id).toHaveLength(22);
    expect(await createTopic(broker, caller, { name: "a" })).toMatchObject({
      value: { partitions: 2, config: {} },
    });
    expect((await listTopics(broker, caller)).map(({ name }) => name)).toEqual(["a", "b"]);
    expect(await describeTopic(broker, caller, "b")).toEqual(made);
    expect(await deleteTopic(broker, caller, "b")).toEqual({
      ok: true,
      value: { name: "b", id: made.value.id },
    });
    for (const outcome of [
      await describeTopic(broker, caller, "b"),
      await deleteTopic(broker, caller, "b"),
    ]) {
      expect(outcome).toMatchObject({ error: { code: "unknown_topic_or_partition" } });
    }
  });

  test("are refused in Kafka's terms", async () => {
    rig = await memoryBroker();
    const { broker, caller } = rig;
    await rig.topic("t");
    const codes = await Promise.all(
      [
        { name: "t" },
        { name: "no such name!" },
        { name: "x", partitions: 0 },
        { name: "x", config: { "no.such.setting": "1" } },
        { name: "x", config: { "retention.ms": "soon" } },
      ].map(async (topic) => {
        const outcome = await createTopic(broker, caller, topic);
        return outcome.ok ? "ok" : outcome.error.code;
      }),
    );
    expect(codes).toEqual([
      "topic_already_exists",
      "invalid_topic_exception",
      "invalid_partitions",
      "invalid_config",
      "invalid_config",
    ]);
  });

  test("show only what their caller may see", async () => {
    const isAllowed = (user: string, operation: string, resource: string) =>
      user === "alice" ||
      (resource.startsWith("bob-") && ["create", "describe", "delete"].includes(operation));
    rig = await memoryBroker({ auth: [tokenAuth({}, isAllowed)] });
    const { broker } = rig;
    await rig.topic("secret");
    const bob = callerOf("bob", rig.caller.signal);
    expect(await createTopic(broker, bob, { name: "bob-1", partitions: 4 })).toMatchObject({
      ok: true,
      value: { name: "bob-1", partitions: 4, config: null },
    });
    expect((await listTopics(broker, bob)).map(({ name }) => name)).toEqual(["bob-1"]);
    expect(await describeTopic(broker, bob, "bob-1")).toMatchObject({ value: { config: null } });
    for (const outcome of [
      await describeTopic(broker, bob, "secret"),
      await deleteTopic(broker, bob, "secret"),
      await createTopic(broker, bob, { name: "other" }),
    ]) {
      expect(outcome).toMatchObject({ ok: false, error: { code: "topic_authorization_failed" } });
    }
  });
});
