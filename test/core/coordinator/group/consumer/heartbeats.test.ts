// Every answer that a ConsumerGroupHeartbeat may get, each path of Kafka's handler a case.

import { describe, expect, test } from "bun:test";
import type { KafkaErrorName } from "../../../../../src/protocol/errors.ts";
import type { ConsumerGroupHeartbeatRequest } from "../../../../../src/protocol/messages/68_consumer_group_heartbeat.ts";
import { replayAfterEach } from "../../shard_rig.ts";
import { assignedOf, ConsumerRig, expectError, TestMember } from "./consumer_rig.ts";

replayAfterEach();

function rigWithTopic(partitionCount = 4): ConsumerRig {
  const rig = new ConsumerRig();
  rig.topics.create("t", partitionCount);
  return rig;
}

describe("requests that are wrong whatever the group", () => {
  const cases: readonly (readonly [
    string,
    KafkaErrorName,
    Partial<ConsumerGroupHeartbeatRequest>,
    number?,
  ])[] = [
    ["no member id from version 1 on", "invalid_request", { memberId: "" }],
    ["a blank member id", "invalid_request", { memberId: "  " }],
    ["no member id with an epoch", "invalid_request", { memberId: "", memberEpoch: 3 }, 0],
    ["no member id when leaving", "invalid_request", { memberId: "", memberEpoch: -1 }, 0],
    ["no group id", "invalid_request", { groupId: "" }],
    ["an empty instance id", "invalid_request", { instanceId: "" }],
    ["an empty rack", "invalid_request", { rackId: "" }],
    ["joining without rebalance timeout", "invalid_request", { rebalanceTimeoutMs: -1 }],
    ["joining without owned partitions", "invalid_request", { topicPartitions: null }],
    [
      "joining with owned partitions",
      "invalid_request",
      { topicPartitions: [{ topicId: "AAAAAAAAAAAAAAAAAAAAAQ", partitions: [0] }] },
    ],
    ["joining without subscription", "invalid_request", { subscribedTopicNames: null }],
    ["-2 of a dynamic member", "invalid_request", { memberEpoch: -2 }],
    ["an epoch below -2", "invalid_request", { memberEpoch: -3 }],
    ["an unknown assignor", "unsupported_assignor", { serverAssignor: "mine" }],
  ];
  for (const [what, error, request, version = 1] of cases) {
    test(`${what}: ${error}`, () => {
      const rig = rigWithTopic();
      const response = rig.join(request, { version });
      expectError(response, error);
      expect(response).toMatchObject({ memberId: null, memberEpoch: 0, assignment: null });
      expect(rig.records).toEqual([]);
    });
  }

  test("an assignor that is there and not configured", () => {
    const rig = new ConsumerRig({ settings: { consumerAssignors: ["range"] } });
    rig.topics.create("t", 2);
    expectError(rig.join({ serverAssignor: "uniform" }), "unsupported_assignor");
    expectError(rig.join({ serverAssignor: "range" }), "none");
  });

  test("the protocol is switched off", () => {
    const rig = new ConsumerRig({ settings: { servesConsumerProtocol: false } });
    expectError(rig.join(), "unsupported_version");
  });
});

describe("joining", () => {
  test("the first member gets everything, in the epoch after the first", () => {
    const rig = rigWithTopic();
    const response = rig.join();
    expectError(response, "none");
    expect(response.memberEpoch).toBe(2);
    expect(assignedOf(response)!.length).toBe(4);
    expect(rig.records.map(({ kind }) => kind)).toEqual([
      "consumer_member",
      "consumer_group",
      "consumer_member_target",
      "consumer_target",
      "consumer_member_current",
    ]);
    expect(rig.group().state).toBe("Stable");
    rig.checkReplay();
  });

  test("version 0 may leave the member id to the coordinator", () => {
    const rig = rigWithTopic();
    const response = rig.join({ memberId: "" }, { version: 0 });
    expect(response.memberId).toHaveLength(22);
    expect([...rig.group().members.keys()]).toEqual([response.memberId!]);
  });

  test("a member that reads nothing is in the group's first epoch", () => {
    const rig = rigWithTopic();
    const response = rig.join({ subscribedTopicNames: [] });
    expect(response.memberEpoch).toBe(1);
    expect(assignedOf(response)).toEqual([]);
    rig.checkReplay();
  });

  test("a topic that does not exist yet is assigned once it does", () => {
    const rig = new ConsumerRig();
    const member = new TestMember(rig, { memberId: "m1" });
    expect(assignedOf(member.heartbeat())).toEqual([]);
    rig.topics.create("t", 3);
    expect(assignedOf(member.heartbeat())!.length).toBe(3);
    rig.checkReplay();
  });

  test("a full group takes no more, but who is in it may come back", () => {
    const rig = new ConsumerRig({ settings: { consumerSizeMax: 2 } });
    rig.topics.create("t", 2);
    rig.join({ memberId: "m1" });
    rig.join({ memberId: "m2", instanceId: "i2" });
    expectError(rig.join({ memberId: "m3" }), "group_max_size_reached");
    expectError(rig.join({ memberId: "" }, { version: 0 }), "group_max_size_reached");
    expectError(rig.join({ memberId: "m1" }), "none");
    rig.heartbeat({ memberId: "m2", instanceId: "i2", memberEpoch: -2 });
    expectError(rig.join({ memberId: "m4", instanceId: "i2" }), "none");
  });

  test("joining again with epoch 0 keeps the place", () => {
    const rig = rigWithTopic();
    const before = rig.join();
    const after = rig.join();
    expect(after.memberEpoch).toBe(before.memberEpoch);
    expect(assignedOf(after)).toEqual(assignedOf(before));
  });
});

describe("epochs", () => {
  test("a group or a member that is not there", () => {
    const rig = rigWithTopic();
    expectError(rig.heartbeat({ memberEpoch: 1 }), "group_id_not_found");
    expectError(rig.heartbeat({ memberEpoch: -1 }), "group_id_not_found");
    rig.join();
    expectError(rig.heartbeat({ memberId: "m2", memberEpoch: 1 }), "unknown_member_id");
    expectError(rig.heartbeat({ memberId: "m2", memberEpoch: -1 }), "unknown_member_id");
  });

  test("an epoch ahead is fenced", () => {
    const rig = rigWithTopic();
    const { memberEpoch } = rig.join();
    expectError(rig.heartbeat({ memberEpoch: memberEpoch + 1 }), "fenced_member_epoch");
  });

  test("the epoch before is let through with nothing but what is assigned, and no older one", () => {
    const rig = rigWithTopic(2);
    const topicId = rig.topics.named("t")!.id;
    const first = rig.join();
    const owned = [{ topicId, partitions: [0, 1] }];
    rig.heartbeat({ memberEpoch: first.memberEpoch, topicPartitions: owned });
    rig.topics.grow("t", 3);
    const second = rig.heartbeat({ memberEpoch: first.memberEpoch });
    expect(second.memberEpoch).toBe(first.memberEpoch + 1);
    // Its answer was lost: the member asks once more, in the epoch that it knows.
    const again = rig.heartbeat({ memberEpoch: first.memberEpoch, topicPartitions: owned });
    expectError(again, "none");
    expect(again.memberEpoch).toBe(second.memberEpoch);
    expectError(rig.heartbeat({ memberEpoch: first.memberEpoch }), "fenced_member_epoch");
    const foreign = [{ topicId, partitions: [7] }];
    expectError(
      rig.heartbeat({ memberEpoch: first.memberEpoch, topicPartitions: foreign }),
      "fenced_member_epoch",
    );
    expectError(
      rig.heartbeat({ memberEpoch: first.memberEpoch - 1, topicPartitions: owned }),
      "fenced_member_epoch",
    );
  });

  test("a member in a state that we do not know is fenced until it has nothing", () => {
    const rig = rigWithTopic(1);
    const { memberEpoch } = rig.join();
    rig.apply(() => ({
      records: [
        {
          kind: "consumer_member_current",
          key: { groupId: "g", memberId: "m1" },
          value: {
            memberEpoch,
            previousMemberEpoch: memberEpoch,
            state: 99,
            assignedPartitions: [],
            partitionsPendingRevocation: [],
          },
        },
      ],
      answers: [],
    }));
    expectError(rig.heartbeat({ memberEpoch }), "fenced_member_epoch");
    const response = rig.heartbeat({ memberEpoch, topicPartitions: [] });
    expectError(response, "none");
    expect(assignedOf(response)!.length).toBe(1);
  });
});

describe("answers", () => {
  test("a keep-alive writes nothing and tells nothing anew", () => {
    const rig = rigWithTopic();
    const { memberEpoch } = rig.join();
    const before = rig.records.length;
    const response = rig.heartbeat({ memberEpoch });
    expect(response).toMatchObject({ memberEpoch, assignment: null, errorMessage: null });
    expect(rig.records.length).toBe(before);
  });

  test("a full request is told its assignment", () => {
    const rig = rigWithTopic();
    const { memberEpoch } = rig.join();
    const topicId = rig.topics.named("t")!.id;
    const topicPartitions = [{ topicId, partitions: [0, 1, 2, 3] }];
    const response = rig.join({ memberEpoch, topicPartitions });
    expect(assignedOf(response)!.length).toBe(4);
  });

  test("a new client host is written, and changes nothing else", () => {
    const rig = rigWithTopic();
    const { memberEpoch } = rig.join();
    const before = rig.records.length;
    rig.heartbeat({ memberEpoch }, { clientHost: "/10.0.0.1" });
    expect(rig.records.slice(before).map(({ kind }) => kind)).toEqual(["consumer_member"]);
    expect(rig.group().groupEpoch).toBe(memberEpoch);
    rig.checkReplay();
  });

  test("members come sooner while the group changes, and for a while afterwards", () => {
    const rig = rigWithTopic();
    const first = new TestMember(rig, { memberId: "m1" });
    expect(first.heartbeat().heartbeatIntervalMs).toBe(500);
    expect(first.heartbeat().heartbeatIntervalMs).toBe(500);
    rig.advance(30_000);
    expect(first.heartbeat().heartbeatIntervalMs).toBe(500);
    rig.advance(30_000);
    expect(first.heartbeat().heartbeatIntervalMs).toBe(5_000);
    const second = new TestMember(rig, { memberId: "m2" });
    expect(second.heartbeat().heartbeatIntervalMs).toBe(500);
    expect(first.heartbeat().heartbeatIntervalMs).toBe(500);
  });

  test("a large group comes less often: a hundred times a second at most when it settles", () => {
    const rig = new ConsumerRig({ checksDecisions: false });
    rig.topics.create("t", 200);
    const members = Array.from(
      { length: 200 },
      (_, index) => new TestMember(rig, { memberId: `m${index}` }),
    );
    for (const member of members.slice(0, 199)) member.heartbeat();
    expect(members[199]!.heartbeat().heartbeatIntervalMs).toBe(5 * 199);
    for (let round = 0; round < 4; round++) for (const member of members) member.heartbeat();
    expect(rig.group().state).toBe("Stable");
    expect(members[0]!.heartbeat().heartbeatIntervalMs).toBe(10 * 200);
  });

  test("the configured interval is never exceeded", () => {
    const rig = new ConsumerRig({ settings: { consumerHeartbeatIntervalMs: () => 200 } });
    rig.topics.create("t", 1);
    expect(rig.join().heartbeatIntervalMs).toBe(200);
  });
});

describe("groups of other kinds", () => {
  test("a simple group becomes a consumer group", () => {
    const rig = rigWithTopic(1);
    rig.subject.classic.ensureSimple("g");
    expectError(rig.heartbeat({ memberEpoch: 3 }), "group_id_not_found");
    expectError(rig.heartbeat({ memberEpoch: -1 }), "group_id_not_found");
    expectError(rig.join(), "none");
    expect(rig.group().memberCount).toBe(1);
    rig.checkReplay();
  });

  test("a group whose topics Kafka 4.0 kept in a record loses that record", () => {
    const rig = rigWithTopic(1);
    const key = { groupId: "g" };
    rig.join();
    rig.apply(() => ({
      records: [{ kind: "consumer_group_partitions", key, value: { topics: [] } }],
      answers: [],
    }));
    rig.join({ memberId: "m2" });
    expect(rig.group().hasPartitionsRecord).toBe(false);
    rig.checkReplay();
  });
});

test("a member in a state that a newer broker stored has to come back with nothing", () => {
  const rig = rigWithTopic();
  const { memberEpoch } = rig.join();
  const { id: topicId } = rig.topics.named("t")!;
  const assignedPartitions = [{ topicId, partitions: [0, 1, 2, 3], assignmentEpochs: null }];
  rig.apply(() => ({
    records: [
      {
        kind: "consumer_member_current",
        key: { groupId: "g", memberId: "m1" },
        value: {
          memberEpoch,
          previousMemberEpoch: memberEpoch - 1,
          state: 9,
          assignedPartitions,
          partitionsPendingRevocation: [],
        },
      },
    ],
    answers: [],
  }));
  const owned = [{ topicId, partitions: [0] }];
  expectError(rig.heartbeat({ memberEpoch }), "fenced_member_epoch");
  expectError(rig.heartbeat({ memberEpoch, topicPartitions: owned }), "fenced_member_epoch");
  const back = rig.join();
  expectError(back, "none");
  expect(assignedOf(back)).toHaveLength(4);
  expect(rig.group().state).toBe("Stable");
});
