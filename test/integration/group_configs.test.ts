// Settings of one group, over the wire and at once: what IncrementalAlterConfigs sets is what its members are told and held to.

import { afterEach, expect, test } from "bun:test";
import { CreateTopics } from "../../src/protocol/messages/19_create_topics.ts";
import { DescribeConfigs } from "../../src/protocol/messages/32_describe_configs.ts";
import { IncrementalAlterConfigs } from "../../src/protocol/messages/44_incremental_alter_configs.ts";
import { ConsumerGroupHeartbeat } from "../../src/protocol/messages/68_consumer_group_heartbeat.ts";
import { ConsumerGroupDescribe } from "../../src/protocol/messages/69_consumer_group_describe.ts";
import { until } from "./group_rig.ts";
import { Live, type WireClient } from "./live.ts";

const GROUP = 32;
const SET = 0;
const DELETE = 1;
const UNSUPPORTED_VERSION = 35;

let live: Live;
afterEach(() => live.stop());

async function start(settings: Record<string, string | number>): Promise<WireClient> {
  live = await Live.start({ settings });
  const client = await live.connect();
  await client.ask(CreateTopics, 7, {
    topics: [{ name: "t", numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] }],
    timeoutMs: 5000,
    validateOnly: false,
  });
  return client;
}

async function alter(client: WireClient, groupId: string, name: string, value: string | null) {
  const { responses } = await client.ask(IncrementalAlterConfigs, 1, {
    resources: [
      {
        resourceType: GROUP,
        resourceName: groupId,
        configs: [{ name, configOperation: value === null ? DELETE : SET, value }],
      },
    ],
    validateOnly: false,
  });
  return responses[0]!.errorCode;
}

function beat(client: WireClient, groupId: string, memberEpoch: number) {
  const isJoining = memberEpoch === 0;
  return client.ask(ConsumerGroupHeartbeat, 1, {
    groupId,
    memberId: "m",
    memberEpoch,
    rebalanceTimeoutMs: isJoining ? 10_000 : -1,
    subscribedTopicNames: isJoining ? ["t"] : null,
    topicPartitions: isJoining ? [] : null,
  });
}

async function memberCount(client: WireClient, groupId: string): Promise<number> {
  const { groups } = await client.ask(ConsumerGroupDescribe, 1, {
    groupIds: [groupId],
    includeAuthorizedOperations: false,
  });
  return groups[0]!.members.length;
}

test("the interval of heartbeats follows the group's setting with the next heartbeat", async () => {
  const client = await start({
    "group.consumer.min.heartbeat.interval.ms": 1,
    "group.consumer.heartbeat.interval.ms": 400,
  });
  // Also before there is such a group.
  expect(await alter(client, "g", "consumer.heartbeat.interval.ms", "70")).toBe(0);
  const joined = await beat(client, "g", 0);
  expect([joined.errorCode, joined.heartbeatIntervalMs]).toEqual([0, 70]);
  expect((await beat(client, "other", 0)).heartbeatIntervalMs).toBe(400);
  expect(await alter(client, "g", "consumer.heartbeat.interval.ms", "90")).toBe(0);
  expect((await beat(client, "g", joined.memberEpoch)).heartbeatIntervalMs).toBe(90);
  expect(await alter(client, "g", "consumer.heartbeat.interval.ms", null)).toBe(0);
  expect((await beat(client, "g", joined.memberEpoch)).heartbeatIntervalMs).toBe(400);
  const { results } = await client.ask(DescribeConfigs, 4, {
    resources: [{ resourceType: GROUP, resourceName: "g", configurationKeys: null }],
    includeSynonyms: false,
  });
  const row = results[0]!.configs.find(({ name }) => name === "consumer.heartbeat.interval.ms")!;
  // From what was given at start.
  expect([row.value, row.configSource]).toEqual(["400", 4]);
  client.close();
});

test("a member that is silent is out after its group's session time-out, and no other's", async () => {
  const client = await start({
    "group.consumer.min.heartbeat.interval.ms": 1,
    "group.consumer.min.session.timeout.ms": 1,
  });
  expect(await alter(client, "short", "consumer.heartbeat.interval.ms", "50")).toBe(0);
  expect(await alter(client, "short", "consumer.session.timeout.ms", "200")).toBe(0);
  await beat(client, "short", 0);
  const { memberEpoch } = await beat(client, "long", 0);
  expect(await memberCount(client, "short")).toBe(1);
  await until("the silent one is out", async () => (await memberCount(client, "short")) === 0);
  expect(await memberCount(client, "long")).toBe(1);
  // And with the next heartbeat also where the member was there before.
  expect(await alter(client, "long", "consumer.heartbeat.interval.ms", "50")).toBe(0);
  expect(await alter(client, "long", "consumer.session.timeout.ms", "200")).toBe(0);
  expect((await beat(client, "long", memberEpoch)).errorCode).toBe(0);
  await until("and so is the other", async () => (await memberCount(client, "long")) === 0);
  client.close();
});

test("without the consumer protocol its heartbeats are refused as Kafka does", async () => {
  const client = await start({ "group.coordinator.rebalance.protocols": "classic" });
  expect((await beat(client, "g", 0)).errorCode).toBe(UNSUPPORTED_VERSION);
  const { groups } = await client.ask(ConsumerGroupDescribe, 1, {
    groupIds: ["g", "h"],
    includeAuthorizedOperations: false,
  });
  expect(groups.map(({ errorCode }) => errorCode)).toEqual([
    UNSUPPORTED_VERSION,
    UNSUPPORTED_VERSION,
  ]);
  client.close();
});
