// The coordinator of groups in a whole broker: when __consumer_offsets is made and how, where groups fall, and that
// nobody else writes there.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { partitionOfKey } from "../../../src/core/broker/coordinator_shards.ts";
import { wireCodeOf } from "../../../src/protocol/errors.ts";
import type { FindCoordinatorRequest } from "../../../src/protocol/messages/10_find_coordinator.ts";
import { batchOf } from "../../support/log_rig.ts";
import { type MemoryBroker, memoryBroker } from "../../support/memory_broker.ts";

let live: MemoryBroker;

beforeEach(async () => {
  live = await memoryBroker({ settings: { "offsets.topic.num.partitions": 7 } });
});
afterEach(() => live.stop());

function find(keys: readonly string[], keyType = 0, version = 6) {
  const request: FindCoordinatorRequest = { key: keys[0] ?? "", keyType, coordinatorKeys: keys };
  return live.broker.groups.findCoordinator(live.caller, request, version);
}

async function internalTopic() {
  const { topics } = await live.broker.topics.metadata(
    live.caller,
    {
      topics: null,
      allowAutoTopicCreation: false,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    },
    12,
  );
  return topics.find((topic) => topic.name === "__consumer_offsets");
}

describe("the internal topic", () => {
  test("is not there before anybody asks for a group, and listing groups does not make it", async () => {
    expect(await internalTopic()).toBeUndefined();
    const listed = await live.broker.groups.listGroups(
      live.caller,
      { statesFilter: [], typesFilter: [] },
      5,
    );
    expect(listed).toEqual({ throttleTimeMs: 0, errorCode: 0, groups: [] });
    expect(await internalTopic()).toBeUndefined();
  });

  test("is made once, by whoever asks first, as Kafka makes it", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => find([`g${i}`])));
    for (const { coordinators } of answers) {
      expect(coordinators).toHaveLength(1);
      expect(coordinators[0]!.errorCode).toBe(0);
      expect(coordinators[0]!.nodeId).toBe(1);
    }
    const topic = await internalTopic();
    expect(topic!.isInternal).toBe(true);
    expect(topic!.partitions).toHaveLength(7);
    const { results } = await live.broker.admin.describeConfigs(
      live.caller,
      {
        resources: [
          {
            resourceType: 2,
            resourceName: "__consumer_offsets",
            configurationKeys: ["cleanup.policy", "compression.type", "segment.bytes"],
          },
        ],
        includeSynonyms: false,
        includeDocumentation: false,
      },
      4,
    );
    expect(results[0]!.configs.map(({ name, value }) => [name, value]).sort()).toEqual([
      ["cleanup.policy", "compact"],
      ["compression.type", "producer"],
      ["segment.bytes", "104857600"],
    ]);
  });

  test("is not for clients to write to", async () => {
    await find(["g"]);
    const [outcome] = await live.broker.log.append(live.caller, {
      acks: -1,
      timeoutMs: 1000,
      transactionalId: null,
      partitions: [{ topic: "__consumer_offsets", partition: 0, batches: batchOf(["x"]) }],
    });
    expect(outcome!.ok).toBe(false);
    expect(outcome!.ok || outcome!.error.code).toBe("invalid_topic_exception");
  });

  test("groups fall on partitions as in Kafka: by Java's hash of the id", () => {
    const cases: readonly (readonly [string, number])[] = [
      ["", 0],
      ["a", 97],
      ["my-group", -1_906_497_762],
      // Its hash is the smallest int there is, which has no absolute value.
      ["polygenelubricants", -2_147_483_648],
      ["grüße-мир-😀", -976_551_550],
    ];
    const hashOf = (text: string) => {
      let hash = 0n;
      for (let i = 0; i < text.length; i++) {
        hash = BigInt.asIntN(32, hash * 31n + BigInt(text.charCodeAt(i)));
      }
      return hash;
    };
    for (const [groupId, hash] of cases) {
      const expected = hashOf(groupId);
      if (hash !== 0) expect([groupId, Number(expected)]).toEqual([groupId, hash]);
      const absolute = expected === -2_147_483_648n ? 0n : expected < 0n ? -expected : expected;
      expect(partitionOfKey(groupId, 50)).toBe(Number(absolute % 50n));
    }
  });
});

describe("FindCoordinator", () => {
  test("answers several keys in order, and one in older versions", async () => {
    const many = await find(["b", "a", ""]);
    expect(many.coordinators.map(({ key, errorCode }) => [key, errorCode])).toEqual([
      ["b", 0],
      ["a", 0],
      ["", 0],
    ]);
    const one = await find(["g"], 0, 3);
    expect(one).toEqual({
      throttleTimeMs: 0,
      errorCode: 0,
      errorMessage: "NONE",
      nodeId: 1,
      host: "localhost",
      port: 0,
      coordinators: [],
    });
  });

  test.each([
    ["a share partition", 2, 6, "invalid_request"],
    ["a share partition in a version without", 2, 5, "invalid_request"],
    ["a transactional id, whose coordinator is another one's to find,", 1, 6, "invalid_request"],
    ["a type that is none", 7, 6, "invalid_request"],
  ] as const)("%s has no coordinator here", async (_what, keyType, version, code) => {
    const { coordinators } = await find(["x"], keyType, version);
    expect(coordinators[0]!).toMatchObject({
      key: "x",
      nodeId: -1,
      host: "",
      port: -1,
      errorCode: wireCodeOf(code),
    });
    const old = version < 6 ? await find(["x"], keyType, 3) : null;
    expect(old?.errorCode ?? wireCodeOf(code)).toBe(wireCodeOf(code));
    expect(await internalTopic()).toBeUndefined();
  });
});
