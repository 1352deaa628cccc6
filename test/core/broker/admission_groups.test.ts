// Admission of the group APIs over an inner broker that grants everything: what is asked, refused, and handed on.

import { beforeEach, describe, expect, test } from "bun:test";
import { ZERO_UUID } from "../../../src/base/uuid.ts";
import type { Question } from "../../../src/contracts/auth.ts";
import type { Broker, GroupApi } from "../../../src/contracts/broker.ts";
import { admit } from "../../../src/core/broker/admission.ts";
import { OPERATIONS_NOT_ASKED } from "../../../src/core/broker/api_context.ts";
import { createGroupApi } from "../../../src/core/broker/group_api.ts";
import { errorByCode } from "../../../src/protocol/errors.ts";
import { FindCoordinator } from "../../../src/protocol/messages/10_find_coordinator.ts";
import { DescribeGroups } from "../../../src/protocol/messages/15_describe_groups.ts";
import { DeleteGroups } from "../../../src/protocol/messages/42_delete_groups.ts";
import { ConsumerGroupDescribe } from "../../../src/protocol/messages/69_consumer_group_describe.ts";
import { withDefaults } from "../../../src/protocol/mod.ts";
import type { Api } from "../../../src/protocol/schema.ts";
import {
  APIS,
  byId,
  IDS,
  type Json,
  METHODS,
  type Method,
  MINE,
  NOBODYS,
  named,
  newest,
  olderRequest,
  REQUESTS,
  THEIRS,
} from "./admission_groups_requests.ts";
import { callerOf, overTheWire } from "./api_bench.ts";

let reached: { readonly method: string; readonly request: Json }[];
let questions: Question[];
let answers: Partial<Record<Method, (request: Json) => Json>>;
beforeEach(() => {
  reached = [];
  questions = [];
  answers = { offsetFetch: fetchedSevens };
});

/** Every offset asked for is 7. */
function fetchedSevens(request: Json): Json {
  return {
    throttleTimeMs: 0,
    topics: [],
    errorCode: 0,
    groups: request.groups.map((group: Json) => ({
      groupId: group.groupId,
      errorCode: 0,
      topics: (group.topics ?? []).map((topic: Json) => ({
        ...topic,
        partitions: topic.partitionIndexes.map((partitionIndex: number) => ({
          partitionIndex,
          committedOffset: 7,
          committedLeaderEpoch: -1,
          metadata: "",
          errorCode: 0,
        })),
      })),
    })),
  };
}

function innerBroker(): Broker {
  const groups = Object.fromEntries(
    Object.keys(APIS).map((method) => [
      method,
      async (_caller: unknown, request: Json) => {
        reached.push({ method, request });
        const made = answers[method as Method];
        return made === undefined
          ? withDefaults(APIS[method as Method].response, {})
          : made(request);
      },
    ]),
  );
  return {
    log: { topicNameOf: (id: string) => IDS[id] ?? null },
    groups,
    topics: {},
    admin: {},
  } as unknown as Broker;
}

function admitted(allows: (question: Question) => boolean): GroupApi {
  return admit(
    innerBroker(),
    {
      authorize(_principal, _peer, asked) {
        questions.push(...asked);
        return asked.map(allows);
      },
    },
    () => ["mine", "theirs"],
    () => 2,
  ).groups;
}

/** Calls a method as a client of that version would; the answer as it would see it. */
async function ask(groups: GroupApi, method: Method, version: number, body: Json): Promise<Json> {
  const api = APIS[method] as Api;
  const request = overTheWire(api, "request", version, withDefaults(api.request, body));
  const answer = await groups[method](callerOf("alice"), request as never, version);
  return overTheWire(api, "response", version, answer);
}

const codeOf = (row: { readonly errorCode: number }): string =>
  errorByCode(row.errorCode)?.code ?? "ok";
const codesOf = (rows: readonly { readonly errorCode: number }[]): string[] => rows.map(codeOf);
const DENIED = "group_authorization_failed";
const TOPIC_DENIED = "topic_authorization_failed";

describe("admitGroups() with nothing allowed", () => {
  test("covers every method of a GroupApi", () => {
    const real = createGroupApi({} as never);
    expect(Object.keys(admitted(() => false)).sort()).toEqual(Object.keys(real).sort());
    expect([...METHODS].sort() as string[]).toEqual(Object.keys(real).sort());
  });

  test("every API refuses the group, and none but the list reaches a shard", async () => {
    const groups = admitted(() => false);
    answers.listGroups = () => ({
      throttleTimeMs: 0,
      errorCode: 0,
      groups: [{ groupId: "g", protocolType: "", groupState: "Empty", groupType: "classic" }],
    });
    const seen: Record<string, Json> = {};
    for (const method of METHODS) {
      const answer = await ask(groups, method, newest(method), REQUESTS[method]);
      const rows = answer.groups ?? answer.coordinators ?? answer.results;
      if (method === "listGroups") expect(answer.groups).toEqual([]);
      else if (/offsetCommit$/i.test(method)) seen[method] = codesOf(answer.topics[0].partitions);
      else seen[method] = rows === undefined ? codeOf(answer) : codesOf(rows);
    }
    expect(seen).toEqual({
      offsetCommit: [DENIED],
      offsetFetch: [DENIED],
      txnOffsetCommit: Array(2).fill("transactional_id_authorization_failed"),
      findCoordinator: [DENIED],
      joinGroup: DENIED,
      heartbeat: DENIED,
      leaveGroup: DENIED,
      syncGroup: DENIED,
      describeGroups: [DENIED],
      deleteGroups: [DENIED],
      offsetDelete: DENIED,
      consumerGroupHeartbeat: DENIED,
      consumerGroupDescribe: [DENIED],
    });
    expect(reached.map(({ method }) => method)).toEqual(["listGroups"]);
  });

  test("a sync that does not say its protocol is told so, as by Kafka, whatever the caller may do", async () => {
    const { protocolType, protocolName, ...neither } = REQUESTS.syncGroup;
    const silent = [neither, { ...neither, protocolType }, { ...neither, protocolName }];
    for (const isAllowed of [false, true]) {
      const groups = admitted(() => isAllowed);
      for (const request of silent) {
        const answer = await ask(groups, "syncGroup", 5, request);
        expect(codeOf(answer)).toBe("inconsistent_group_protocol");
      }
    }
    // Older versions have no place for it.
    expect(
      codeOf(
        await ask(
          admitted(() => false),
          "syncGroup",
          4,
          neither,
        ),
      ),
    ).toBe(DENIED);
    expect([questions.length, reached]).toEqual([1, []]);
  });

  test("refusals can be written in every version", async () => {
    const groups = admitted(() => false);
    for (const method of METHODS) {
      const { lowest, highestStable } = APIS[method] as Api;
      for (let version = lowest; version <= highestStable; version++) {
        const older = olderRequest(method, version);
        const answer = await ask(groups, method, version, older);
        expect(JSON.stringify(answer)).toContain('"errorCode":');
      }
    }
  });

  test("the first versions of OffsetFetch say it in each partition", async () => {
    const groups = admitted(() => false);
    const asked = { groupId: "g", topics: named("mine") };
    const [topic] = (await ask(groups, "offsetFetch", 1, asked)).topics;
    expect([topic.name, codesOf(topic.partitions)]).toEqual(["mine", [DENIED, DENIED]]);
    const answer = await ask(groups, "offsetFetch", 2, asked);
    expect([codeOf(answer), answer.topics]).toEqual([DENIED, []]);
  });
});

describe("admitGroups() with everything allowed", () => {
  test("asks the operation that Kafka asks, of the resource that Kafka asks", async () => {
    const groups = admitted(() => true);
    const row = (api: Api, of: string, groupId: string) => ({
      throttleTimeMs: 0,
      [of]: [{ ...(withDefaults(api.response, { [of]: [{ groupId }] }) as Json)[of][0] }],
    });
    answers.describeGroups = () => row(DescribeGroups as never, "groups", "g");
    answers.consumerGroupDescribe = () => row(ConsumerGroupDescribe as never, "groups", "g");
    answers.deleteGroups = () => row(DeleteGroups as never, "results", "g");
    const asked: Record<string, string[]> = {};
    for (const method of METHODS) {
      questions = [];
      await ask(groups, method, newest(method), REQUESTS[method]);
      asked[method] = questions.map(
        ({ operation, resource }) => `${operation} ${resource.type} ${resource.name}`,
      );
    }
    expect(asked).toEqual({
      offsetCommit: ["read group g", "read topic mine"],
      offsetFetch: ["describe group g", "describe topic mine"],
      txnOffsetCommit: ["write transactional_id t", "read group g", "read topic mine"],
      findCoordinator: ["describe group g"],
      joinGroup: ["read group g"],
      heartbeat: ["read group g"],
      leaveGroup: ["read group g"],
      syncGroup: ["read group g"],
      describeGroups: ["describe group g"],
      listGroups: ["describe cluster kafka-cluster"],
      deleteGroups: ["delete group g"],
      offsetDelete: ["delete group g", "read topic mine"],
      consumerGroupHeartbeat: ["read group g", "describe topic mine"],
      consumerGroupDescribe: ["describe group g"],
    });
    expect(reached.map(({ method }) => method)).toEqual(METHODS);
  });

  test("hands a call on before its first await", () => {
    const groups = admitted(() => true);
    const caller = callerOf("alice");
    const commit = { ...REQUESTS.offsetCommit, topics: named("mine") };
    void groups.offsetCommit(caller, commit, 9);
    void groups.joinGroup(caller, REQUESTS.joinGroup, 9);
    void groups.consumerGroupHeartbeat(caller, REQUESTS.consumerGroupHeartbeat, 1);
    void groups.offsetFetch(caller, { groups: [{ groupId: "g", topics: null }] } as never, 9);
    expect(reached.map(({ method }) => method)).toEqual([
      "offsetCommit",
      "joinGroup",
      "consumerGroupHeartbeat",
      "offsetFetch",
    ]);
  });
});

describe("admitGroups() with something allowed", () => {
  /** The group "g", and operations on the topic "mine". */
  const ofMine =
    (...operations: string[]) =>
    ({ operation, resource: { type, name } }: Question) =>
      (type === "group" && name === "g") ||
      (type === "topic" && name === "mine" && operations.includes(operation));

  test("a commit goes on without the topics that may not be read, and its rows keep their places", async () => {
    answers.offsetCommit = (request) => ({
      throttleTimeMs: 0,
      topics: request.topics.map((topic: Json) => ({
        ...topic,
        partitions: topic.partitions.map(({ partitionIndex }: Json) => ({
          partitionIndex,
          errorCode: 0,
        })),
      })),
    });
    const groups = admitted(ofMine("read"));
    const topics = named("theirs", "mine", "other");
    const answer = await ask(groups, "offsetCommit", 9, { groupId: "g", topics });
    expect(answer.topics.map((each: Json) => [each.name, ...codesOf(each.partitions)])).toEqual([
      ["theirs", TOPIC_DENIED, TOPIC_DENIED],
      ["mine", "ok", "ok"],
      ["other", TOPIC_DENIED, TOPIC_DENIED],
    ]);
    expect(reached[0]!.request.topics.map((each: Json) => each.name)).toEqual(["mine"]);
    // With nothing left there is nothing to ask: without topics it would be a question about membership.
    await ask(groups, "offsetCommit", 9, { groupId: "g", topics: named("theirs") });
    expect(reached.length).toBe(1);
  });

  test("a commit by topic id is asked by name; an id that nobody knows is handed on", async () => {
    answers.offsetCommit = (request) => ({
      throttleTimeMs: 0,
      topics: request.topics.map((topic: Json) => ({
        ...topic,
        partitions: [{ partitionIndex: 0, errorCode: topic.topicId === NOBODYS ? 100 : 0 }],
      })),
    });
    const groups = admitted(ofMine("read"));
    const topics = byId(THEIRS, NOBODYS, MINE);
    const answer = await ask(groups, "offsetCommit", 10, { groupId: "g", topics });
    expect(answer.topics.map((each: Json) => [each.topicId, codeOf(each.partitions[0])])).toEqual([
      [THEIRS, TOPIC_DENIED],
      [NOBODYS, "unknown_topic_id"],
      [MINE, "ok"],
    ]);
  });

  test("offsets of topics that may not be described are refused where they are named", async () => {
    const groups = admitted(ofMine("describe"));
    const answer = await ask(groups, "offsetFetch", 8, {
      groups: [
        { groupId: "h", topics: named("mine") },
        { groupId: "g", topics: named("theirs", "mine") },
      ],
    });
    expect(answer.groups[0]).toEqual({ groupId: "h", topics: [], errorCode: 30 });
    const { topics } = answer.groups[1];
    expect(topics.map((each: Json) => [each.name, ...codesOf(each.partitions)])).toEqual([
      ["theirs", TOPIC_DENIED, TOPIC_DENIED],
      ["mine", "ok", "ok"],
    ]);
    expect(topics[0].partitions[0].committedOffset).toBe(-1);
    expect(topics[1].partitions[0].committedOffset).toBe(7);
    expect(reached[0]!.request.groups.map((each: Json) => each.groupId)).toEqual(["g"]);
  });

  test("of all offsets of a group, those of topics that may be described are listed", async () => {
    const fetched = (topics: Json[]) =>
      topics.map((topic) => ({
        ...topic,
        partitions: [
          {
            partitionIndex: 0,
            committedOffset: 7,
            committedLeaderEpoch: -1,
            metadata: "",
            errorCode: 0,
          },
        ],
      }));
    answers.offsetFetch = (request) => {
      const isNew = request.groups.length > 0;
      const topics = fetched([
        { name: "theirs", topicId: THEIRS },
        { name: "mine", topicId: MINE },
      ]);
      const group = { groupId: "g", errorCode: 0, topics };
      return isNew
        ? { throttleTimeMs: 0, topics: [], errorCode: 0, groups: [group] }
        : { throttleTimeMs: 0, topics, errorCode: 0, groups: [] };
    };
    const groups = admitted(ofMine("describe"));
    const old = await ask(groups, "offsetFetch", 7, { groupId: "g", topics: null });
    expect(old.topics.map((each: Json) => each.name)).toEqual(["mine"]);
    const all = { groups: [{ groupId: "g", topics: null }] };
    const byName = await ask(groups, "offsetFetch", 9, all);
    expect(byName.groups[0].topics.map((each: Json) => each.name)).toEqual(["mine"]);
    const ids = await ask(groups, "offsetFetch", 10, all);
    expect(ids.groups[0].topics.map((each: Json) => each.topicId)).toEqual([MINE]);
  });

  test("rows of several groups keep their places", async () => {
    answers.describeGroups = ({ groups }) => ({
      throttleTimeMs: 0,
      groups: groups.map((groupId: string) => ({
        errorCode: 0,
        errorMessage: null,
        groupId,
        groupState: "Stable",
        protocolType: "consumer",
        protocolData: "range",
        members: [],
        authorizedOperations: 3400,
      })),
    });
    answers.deleteGroups = ({ groupsNames }) => ({
      throttleTimeMs: 0,
      results: groupsNames.map((groupId: string) => ({ groupId, errorCode: 0 })),
    });
    const groups = admitted(
      ({ operation, resource }) =>
        resource.name === "g" && ["read", "describe", "delete"].includes(operation),
    );
    const described = await ask(groups, "describeGroups", 6, {
      groups: ["h", "g", "i"],
      includeAuthorizedOperations: true,
    });
    expect(described.groups.map((each: Json) => [each.groupId, codeOf(each)])).toEqual([
      ["h", DENIED],
      ["g", "ok"],
      ["i", DENIED],
    ]);
    // READ, DELETE, DESCRIBE of the five that a group has; nothing of what was refused.
    expect(described.groups.map((each: Json) => each.authorizedOperations)).toEqual([
      OPERATIONS_NOT_ASKED,
      (1 << 3) | (1 << 6) | (1 << 8),
      OPERATIONS_NOT_ASKED,
    ]);
    const deleted = await ask(groups, "deleteGroups", 2, { groupsNames: ["h", "g", "h"] });
    expect(deleted.results.map((each: Json) => [each.groupId, codeOf(each)])).toEqual([
      ["h", DENIED],
      ["g", "ok"],
    ]);
  });

  test("lists the groups that may be described; who may describe the cluster sees all", async () => {
    answers.listGroups = () => ({
      throttleTimeMs: 0,
      errorCode: 0,
      groups: ["g", "h"].map((groupId) => ({
        groupId,
        protocolType: "consumer",
        groupState: "Stable",
        groupType: "classic",
      })),
    });
    const idsOf = (answer: Json) => answer.groups.map((each: Json) => each.groupId);
    expect(idsOf(await ask(admitted(ofMine()), "listGroups", 5, {}))).toEqual(["g"]);
    const all = admitted(({ resource }) => resource.type === "cluster");
    expect(idsOf(await ask(all, "listGroups", 5, {}))).toEqual(["g", "h"]);
  });

  test("offsets are forgotten of topics that may be read", async () => {
    answers.offsetDelete = ({ topics }) => ({
      errorCode: 0,
      throttleTimeMs: 0,
      topics: topics.map(({ name, partitions }: Json) => ({
        name,
        partitions: partitions.map(({ partitionIndex }: Json) => ({
          partitionIndex,
          errorCode: 0,
        })),
      })),
    });
    const groups = admitted(ofMine("read"));
    const topics = named("theirs", "mine");
    const answer = await ask(groups, "offsetDelete", 0, { groupId: "g", topics });
    const rows = new Map(answer.topics.map((each: Json) => [each.name, codesOf(each.partitions)]));
    expect(rows).toEqual(
      new Map([
        ["mine", ["ok", "ok"]],
        ["theirs", [TOPIC_DENIED, TOPIC_DENIED]],
      ]),
    );
    // Whether there is such a group is told even when no topic is left.
    answers.offsetDelete = () => ({ errorCode: 69, throttleTimeMs: 0, topics: [] });
    const gone = await ask(groups, "offsetDelete", 0, { groupId: "g", topics: named("theirs") });
    expect([codeOf(gone), gone.topics]).toEqual(["group_id_not_found", []]);
  });

  test("a heartbeat that names a topic which may not be described is refused whole", async () => {
    const groups = admitted(ofMine("describe"));
    const beat = (subscribedTopicNames: string[] | null) =>
      ask(groups, "consumerGroupHeartbeat", 1, {
        groupId: "g",
        memberId: "m",
        subscribedTopicNames,
      });
    expect(codeOf(await beat(["mine", "theirs"]))).toBe(TOPIC_DENIED);
    expect(reached).toEqual([]);
    expect([await beat(["mine"]), await beat(null), await beat([])].map(codeOf)).toEqual([
      "ok",
      "ok",
      "ok",
    ]);
  });

  test("a group that reads a topic which may not be described is not described", async () => {
    const member = (topicName: string, where: string) => ({
      memberId: topicName,
      memberEpoch: 1,
      clientId: "",
      clientHost: "",
      subscribedTopicNames: [],
      ...Object.fromEntries(
        ["assignment", "targetAssignment"].map((name) => [
          name,
          {
            topicPartitions:
              name === where ? [{ topicId: ZERO_UUID, topicName, partitions: [0] }] : [],
          },
        ]),
      ),
    });
    answers.consumerGroupDescribe = ({ groupIds }) => ({
      throttleTimeMs: 0,
      groups: groupIds.map((groupId: string) => ({
        errorCode: 0,
        errorMessage: null,
        groupId,
        groupState: "Stable",
        groupEpoch: 1,
        assignmentEpoch: 1,
        assignorName: "uniform",
        members:
          groupId === "open"
            ? [member("mine", "assignment"), member("mine", "targetAssignment")]
            : [member("mine", "assignment"), member("theirs", groupId)],
        authorizedOperations: OPERATIONS_NOT_ASKED,
      })),
    });
    const groups = admitted(
      ({ operation, resource: { type, name } }) =>
        operation === "describe" && (type === "group" || name === "mine"),
    );
    const { groups: rows } = await ask(groups, "consumerGroupDescribe", 1, {
      groupIds: ["assignment", "open", "targetAssignment"],
    });
    expect(codesOf(rows)).toEqual([TOPIC_DENIED, "ok", TOPIC_DENIED]);
    expect(rows.map((each: Json) => each.members.length)).toEqual([0, 2, 0]);
    expect(JSON.stringify(rows)).not.toContain("theirs");
  });

  test("coordinators are told of keys that may be described, each kind by its own resource", async () => {
    answers.findCoordinator = ({ coordinatorKeys }) => ({
      ...(withDefaults(FindCoordinator.response, {}) as object),
      coordinators: coordinatorKeys.map((key: string) => ({
        key,
        nodeId: 1,
        host: "here",
        port: 9092,
        errorCode: 0,
        errorMessage: "",
      })),
    });
    const groups = admitted(({ resource: { type, name } }) => type !== "cluster" && name === "g");
    const find = (keyType: number, version = 6) =>
      ask(groups, "findCoordinator", version, {
        keyType,
        ...(version >= 4 ? { coordinatorKeys: ["h", "g"] } : { key: "h" }),
      });
    const rowsOf = async (keyType: number) =>
      (await find(keyType)).coordinators.map((each: Json) => [each.key, codeOf(each), each.nodeId]);
    expect(await rowsOf(0)).toEqual([
      ["h", DENIED, -1],
      ["g", "ok", 1],
    ]);
    expect(await rowsOf(1)).toEqual([
      ["h", "transactional_id_authorization_failed", -1],
      ["g", "ok", 1],
    ]);
    expect(await rowsOf(2)).toEqual([
      ["h", "cluster_authorization_failed", -1],
      ["g", "cluster_authorization_failed", -1],
    ]);
    const old = await find(0, 3);
    expect([codeOf(old), old.nodeId, old.host, old.port]).toEqual([DENIED, -1, "", -1]);
  });
});
