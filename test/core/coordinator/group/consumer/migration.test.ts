// A live group changes its protocol, there and back, and members of the classic protocol live in a consumer group.

import { describe, expect, test } from "bun:test";
import type { ConsumerGroup } from "../../../../../src/core/coordinator/group/consumer/consumer_group.ts";
import type { RigOptions } from "../../shard_rig.ts";
import { replayAfterEach } from "../../shard_rig.ts";
import {
  assignmentBytes,
  ClassicClient,
  type ClassicClientOptions,
  stableClassicGroup,
} from "./classic_client.ts";
import { ConsumerRig, expectError, settle, TestMember } from "./consumer_rig.ts";

replayAfterEach();

function rigWithClassic(
  count: number,
  options: ClassicClientOptions = {},
  rigOptions: RigOptions = {},
): { rig: ConsumerRig; clients: ClassicClient[] } {
  const rig = new ConsumerRig(rigOptions);
  rig.topics.create("t", 4);
  const clients = Array.from({ length: count }, () => new ClassicClient(rig, options));
  stableClassicGroup(rig, clients);
  return { rig, clients };
}

/** Until nobody is told anything new. */
function settleMixed(
  rig: ConsumerRig,
  clients: readonly ClassicClient[],
  members: readonly TestMember[],
): void {
  for (let round = 0; round < 10; round++) {
    for (const client of clients) client.follow();
    for (const member of members) {
      member.heartbeat();
      member.heartbeat();
    }
    rig.checkOwners();
    rig.advance(500);
  }
  expect(rig.group().state).toBe("Stable");
}

describe("upgrades", () => {
  test("the first member of the consumer protocol brings a live group along", () => {
    const { rig, clients } = rigWithClassic(2);
    expect(clients.map(({ owned }) => owned.length)).toEqual([2, 2]);
    const before = rig.records.length;
    const member = new TestMember(rig, { memberId: "new" });
    expectError(member.heartbeat(), "none");
    expect(rig.records.slice(before).map(({ kind }) => kind)).toEqual([
      "classic_group",
      "consumer_member",
      "consumer_member",
      "consumer_group",
      "consumer_member_target",
      "consumer_member_target",
      "consumer_target",
      "consumer_member_current",
      "consumer_member_current",
      "consumer_member",
      "consumer_group",
      // Of the one that has to give a partition up, and of the new one.
      "consumer_member_target",
      "consumer_member_target",
      "consumer_target",
      "consumer_member_current",
    ]);
    expect(rig.records[before]!.value).toBeNull();
    expect(rig.group().classicCount).toBe(2);
    rig.checkReplay();
    settleMixed(rig, clients, [member]);
    expect([...clients.map(({ owned }) => owned.length), member.owned.size].sort()).toEqual([
      1, 1, 2,
    ]);
    rig.checkReplay();
  });

  test("who waits for a join is sent back to join the consumer group", () => {
    const { rig, clients } = rigWithClassic(1);
    const late = new ClassicClient(rig);
    const waiting = late.join();
    expect(waiting.isDone).toBe(false);
    new TestMember(rig, { memberId: "new" }).heartbeat();
    expectError(waiting.value, "rebalance_in_progress");
    late.joined(late.join());
    late.synced(late.sync());
    expect(rig.group().memberCount).toBe(3);
    expect(clients[0]!.owned.length).toBe(4);
    rig.checkReplay();
  });

  test("classic members keep their own sessions", () => {
    const { rig } = rigWithClassic(2);
    const member = new TestMember(rig, { memberId: "new" });
    member.heartbeat();
    rig.advance(11_000);
    expect([...rig.group().members.keys()]).toEqual(["new"]);
    settle(rig, [member]);
    expect(member.owned.size).toBe(4);
    rig.checkReplay();
  });

  test("not when migration is off, the group too large, or of another kind", () => {
    const off = rigWithClassic(1, {}, { settings: { mayUpgrade: false } });
    expectError(off.rig.join({ memberId: "new" }), "group_id_not_found");
    const large = rigWithClassic(2, {}, { settings: { consumerSizeMax: 1 } });
    expectError(large.rig.join({ memberId: "new" }), "group_id_not_found");
    const rig = new ConsumerRig();
    rig.topics.create("t", 4);
    const connector = new ClassicClient(rig);
    connector.protocolType = "connect";
    stableClassicGroup(rig, [connector]);
    expectError(rig.join({ memberId: "new" }), "group_id_not_found");
    expect(rig.subject.groups.get("g")!.type).toBe("classic");
    expectError(connector.heartbeat(), "none");
  });

  test("not when an assignor gives its members data of its own, or they cannot be read", () => {
    for (const assignment of [
      assignmentBytes([0], new Uint8Array([1])),
      new Uint8Array([0, 1, 9]),
    ]) {
      const { rig, clients } = rigWithClassic(1);
      const [record] = rig.records.filter(({ kind }) => kind === "classic_group").slice(-1);
      if (record?.kind !== "classic_group" || record.value === null) throw new Error("No group");
      const value = {
        ...record.value,
        members: record.value.members.map((member) => ({ ...member, assignment })),
      };
      rig.apply(() => ({ records: [{ ...record, value }], answers: [] }));
      rig.reload();
      expectError(rig.join({ memberId: "new" }), "group_id_not_found");
      expectError(clients[0]!.heartbeat(), "none");
    }
  });

  test("an empty classic group just becomes a consumer group", () => {
    const { rig, clients } = rigWithClassic(1);
    clients[0]!.leave();
    rig.advance(5_000);
    expectError(rig.join({ memberId: "new" }), "none");
    expect(rig.group().memberCount).toBe(1);
    rig.checkReplay();
  });

  test("a heartbeat with an epoch, or a leave, does not make a consumer group of it", () => {
    const { rig } = rigWithClassic(1);
    expectError(rig.heartbeat({ memberEpoch: 1 }), "group_id_not_found");
    expectError(rig.heartbeat({ memberEpoch: -1 }), "group_id_not_found");
  });

  test("a static classic member is replaced by itself with the new protocol", () => {
    const { rig, clients } = rigWithClassic(1, { instanceId: "i1" });
    const member = new TestMember(rig, { memberId: "new", instanceId: "i1" });
    member.heartbeat();
    expect([...rig.group().members.keys()]).toEqual(["new"]);
    settle(rig, [member]);
    expect(member.owned.size).toBe(4);
    expectError(clients[0]!.heartbeat(), "fenced_instance_id");
    rig.checkReplay();
  });
});

describe("classic members in a consumer group", () => {
  function mixed(): { rig: ConsumerRig; client: ClassicClient; member: TestMember } {
    const { rig, clients } = rigWithClassic(1);
    const member = new TestMember(rig, { memberId: "new" });
    settleMixed(rig, clients, [member]);
    return { rig, client: clients[0]!, member };
  }

  test("a newcomer is given an id, joins at once, and gets what is free", () => {
    const { rig, client, member } = mixed();
    const late = new ClassicClient(rig);
    expectError(late.joinOnce().value, "member_id_required");
    const response = late.joined(late.join());
    expect(response).toMatchObject({
      protocolType: "consumer",
      protocolName: "cooperative-sticky",
      leader: "",
      members: [],
    });
    late.synced(late.sync());
    settleMixed(rig, [client, late], [member]);
    expect(late.owned.length).toBeGreaterThan(0);
    rig.checkReplay();
  });

  test("joins that are refused", () => {
    const { rig } = mixed();
    const join = (options: ClassicClientOptions, change?: (client: ClassicClient) => void) => {
      const client = new ClassicClient(rig, options);
      change?.(client);
      return client.join().value;
    };
    expectError(join({ protocols: ["mine"] }), "inconsistent_group_protocol");
    expectError(join({ protocols: [] }), "inconsistent_group_protocol");
    expectError(
      join({}, (client) => {
        client.protocolType = "connect";
      }),
      "inconsistent_group_protocol",
    );
    expectError(join({ sessionTimeoutMs: 1 }), "invalid_session_timeout");
    expectError(
      join({ instanceId: "nobody" }, (client) => {
        client.memberId = "somebody";
      }),
      "unknown_member_id",
    );
    rig.settings.consumerSizeMax = 2;
    expectError(join({}), "group_max_size_reached");
    rig.settings.mayUpgrade = false;
    rig.settings.mayDowngrade = false;
    expectError(join({}), "inconsistent_group_protocol");
    rig.checkReplay();
  });

  test("metadata that is none, or of a version below all", () => {
    const { rig } = mixed();
    const call = rig.call({ version: 3 });
    for (const metadata of [[], [0, 1, 0], [255, 255, 0, 0, 0, 0, 0, 0, 0, 0]]) {
      const request = {
        groupId: "g",
        sessionTimeoutMs: 10_000,
        rebalanceTimeoutMs: 60_000,
        memberId: "",
        groupInstanceId: null,
        protocolType: "consumer",
        protocols: [{ name: "cooperative-sticky", metadata: new Uint8Array(metadata) }],
        reason: null,
      };
      const asked = rig.ask<{ errorCode: number }>((subject, reply) =>
        subject.consumer.classicJoin(call, request, reply as never),
      );
      expectError(asked.value, "inconsistent_group_protocol");
    }
  });

  test("syncs and heartbeats that are refused", () => {
    const { rig, client, member } = mixed();
    const ids = { memberId: client.memberId, generation: client.generation };
    const as = (change: Partial<ClassicClient>, error: Parameters<typeof expectError>[1]) => {
      Object.assign(client, ids, change);
      expectError(client.heartbeat(), error);
      expectError(client.sync().value, error);
      Object.assign(client, ids);
    };
    as({}, "none");
    as({ memberId: "nobody" }, "unknown_member_id");
    as({ memberId: member.memberId }, "unknown_member_id");
    as({ generation: client.generation + 1 }, "illegal_generation");
    client.protocolType = "connect";
    expectError(client.sync().value, "inconsistent_group_protocol");
    client.protocolType = "consumer";
    // There is a newer target.
    rig.topics.grow("t", 6);
    member.heartbeat();
    expectError(client.sync().value, "rebalance_in_progress");
    expectError(client.heartbeat(), "rebalance_in_progress");
    client.joined(client.join());
    client.synced(client.sync());
    settleMixed(rig, [client], [member]);
    rig.checkReplay();
  });

  test("who does not join or sync in time is put out", () => {
    for (const isJoin of [true, false]) {
      const { rig, client, member } = mixed();
      rig.topics.grow("t", 6);
      member.heartbeat();
      expectError(client.heartbeat(), "rebalance_in_progress");
      if (!isJoin) client.joined(client.join());
      for (let seconds = 0; seconds < 61; seconds += 5) {
        rig.advance(5_000);
        client.heartbeat();
        member.heartbeat();
      }
      expect([...rig.group().members.keys()]).toEqual(["new"]);
      rig.checkReplay();
    }
  });

  test("an admin removes members of either protocol, and is told who was not there", () => {
    const { rig, client } = mixed();
    const other = new TestMember(rig, { memberId: "static", instanceId: "i1" });
    other.heartbeat();
    const response = client.leaveAs([
      { memberId: client.memberId, groupInstanceId: null, reason: null },
      { memberId: "nobody", groupInstanceId: null, reason: null },
      { memberId: "", groupInstanceId: "nobody", reason: null },
      { memberId: "x", groupInstanceId: "i1", reason: null },
      { memberId: "", groupInstanceId: "i1", reason: null },
    ]);
    expect(response.members.map(({ errorCode }) => errorCode)).toEqual([0, 25, 25, 82, 0]);
    expect([...rig.group().members.keys()]).toEqual(["new"]);
    rig.checkReplay();
  });

  test("a leave of version 2 has its error for itself", () => {
    const { rig, client } = mixed();
    expectError(new ClassicClient(rig).leave(2), "unknown_member_id");
    expectError(client.leave(2), "none");
    expect([...rig.group().members.keys()]).toEqual(["new"]);
  });
});

describe("downgrades", () => {
  test("the group is classic again when the last of the new members has left", () => {
    const { rig, clients } = rigWithClassic(2);
    const member = new TestMember(rig, { memberId: "new" });
    settleMixed(rig, clients, [member]);
    const epoch = rig.group().groupEpoch;
    member.leave();
    rig.checkReplay();
    const group = rig.subject.groups.get("g")!;
    expect([group.type, group.memberCount]).toEqual(["classic", 2]);
    rig.advance(0);
    // Partitions are free: the members are told to join, with the generation that the group had.
    for (const client of clients) expectError(client.heartbeat(), "rebalance_in_progress");
    const joins = clients.map((client) => client.join());
    for (const [index, client] of clients.entries()) client.joined(joins[index]!);
    expect(clients[0]!.generation).toBe(epoch + 1);
    const syncs = clients.map((client) => client.sync());
    for (const [index, client] of clients.entries()) client.synced(syncs[index]!);
    expect(clients.flatMap(({ owned }) => owned).sort()).toEqual(["t 0", "t 1", "t 2", "t 3"]);
    rig.checkReplay();
  });

  test("by its session, too", () => {
    const { rig, clients } = rigWithClassic(1);
    const member = new TestMember(rig, { memberId: "new" });
    settleMixed(rig, clients, [member]);
    for (let seconds = 0; seconds < 50; seconds += 5) {
      rig.advance(5_000);
      clients[0]!.heartbeat();
    }
    expect(rig.subject.groups.get("g")!.type).toBe("classic");
    rig.checkReplay();
  });

  test("members that die afterwards are noticed by the classic group", () => {
    const { rig, clients } = rigWithClassic(1);
    const member = new TestMember(rig, { memberId: "new" });
    settleMixed(rig, clients, [member]);
    member.leave();
    rig.advance(120_000);
    expect(rig.subject.groups.get("g")).toMatchObject({ type: "classic", memberCount: 0 });
  });

  test("a static member that goes back to the classic protocol takes the group along, and its partitions", () => {
    const { rig, clients } = rigWithClassic(1);
    const member = new TestMember(rig, { memberId: "new", instanceId: "i1" });
    settleMixed(rig, clients, [member]);
    const owned = member.owned.size;
    const back = new ClassicClient(rig, { instanceId: "i1" });
    back.joined(back.join());
    expect(rig.subject.groups.get("g")!.type).toBe("classic");
    rig.advance(0);
    back.synced(back.sync());
    expect(back.owned.length).toBe(owned);
    expectError(clients[0]!.heartbeat(), "none");
    rig.checkReplay();
  });

  test("what members of the consumer group were late for is forgotten with it", () => {
    const { rig, clients } = rigWithClassic(1, { rebalanceTimeoutMs: 20_000 });
    const client = clients[0]!;
    const member = new TestMember(rig, { memberId: "new" });
    settleMixed(rig, clients, [member]);
    rig.topics.grow("t", 6);
    member.heartbeat();
    // It has 20 s to join the consumer group again, which ends before.
    expectError(client.heartbeat(), "rebalance_in_progress");
    member.leave();
    rig.advance(0);
    expect([...rig.timers.byKey.keys()].filter((key) => key.startsWith("consumer"))).toEqual([]);
    client.joined(client.join());
    client.synced(client.sync());
    // The group is a consumer group again, and its member late for nothing.
    const next = new TestMember(rig, { memberId: "next" });
    settleMixed(rig, clients, [next]);
    for (let seconds = 0; seconds < 25; seconds += 5) {
      rig.advance(5_000);
      expectError(client.heartbeat(), "none");
      next.heartbeat();
    }
    expect(rig.group().memberCount).toBe(2);
    rig.checkReplay();
  });

  test("not when it is switched off: the classic members stay in the consumer group", () => {
    const { rig, clients } = rigWithClassic(1, {}, { settings: { mayDowngrade: false } });
    const member = new TestMember(rig, { memberId: "new" });
    settleMixed(rig, clients, [member]);
    member.leave();
    rig.advance(0);
    const group: ConsumerGroup = rig.group();
    expect(group.memberCount).toBe(1);
    settleMixed(rig, clients, []);
    expect(clients[0]!.owned.length).toBe(4);
    rig.topics.grow("t", 6);
    settleMixed(rig, clients, []);
    expect(clients[0]!.owned.length).toBe(6);
    rig.checkReplay();
  });

  test("an empty consumer group becomes a classic one with the next join", () => {
    const rig = new ConsumerRig();
    rig.topics.create("t", 4);
    const member = new TestMember(rig, { memberId: "m1" });
    settle(rig, [member]);
    member.leave();
    const client = new ClassicClient(rig);
    stableClassicGroup(rig, [client]);
    expect(client.owned.length).toBe(4);
    expect(rig.subject.groups.get("g")!.type).toBe("classic");
    rig.checkReplay();
  });
});
