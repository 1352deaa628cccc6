// Every way in which Kafka's handlers of requests for classic groups refuse, as a case: what is sent, and which codes come
// back. Wanted for these and the cases beside them: topic "t" of two partitions, group.max.size and
// group.consumer.max.size of 2, no initial rebalance delay.

import { FindCoordinator } from "../../src/protocol/messages/10_find_coordinator.ts";
import { LeaveGroup } from "../../src/protocol/messages/13_leave_group.ts";
import { DescribeGroups } from "../../src/protocol/messages/15_describe_groups.ts";
import { ListGroups } from "../../src/protocol/messages/16_list_groups.ts";
import { DeleteGroups } from "../../src/protocol/messages/42_delete_groups.ts";
import { ConsumerGroupDescribe } from "../../src/protocol/messages/69_consumer_group_describe.ts";
import { METADATA, RefusalRig } from "./refusal_rig.ts";

export class GroupRefusals extends RefusalRig {
  async run(): Promise<void> {
    await this.#coordinators();
    await this.#joins();
    await this.#syncs();
    await this.#heartbeats();
    await this.#leaves();
    await this.#deletes();
    await this.#describes();
    await this.#lists();
  }

  async #coordinators(): Promise<void> {
    const find = async (version: number, given: object) => {
      const answer = await this.client.ask(FindCoordinator, version, given);
      return version < 4
        ? [answer.errorCode]
        : answer.coordinators.map(({ errorCode }) => errorCode);
    };
    this.note("FindCoordinator: no key", ...(await find(0, { key: "" })));
    this.note("FindCoordinator: key type 9, v3", ...(await find(3, { key: "a", keyType: 9 })));
    this.note(
      "FindCoordinator: key type 9",
      ...(await find(4, { coordinatorKeys: ["a", "b"], keyType: 9 })),
    );
    this.note(
      "FindCoordinator: share before v6",
      ...(await find(5, { coordinatorKeys: ["a"], keyType: 2 })),
    );
    this.note(
      "FindCoordinator: share, not a key",
      ...(await find(6, { coordinatorKeys: ["a"], keyType: 2 })),
    );
  }

  async #joins(): Promise<void> {
    const code = async (given: object, version = 5) => (await this.join(given, version)).errorCode;
    this.note("JoinGroup: no group id", await code({ groupId: "" }));
    const sessionTimeoutMs = 5999;
    this.note("JoinGroup: session too short", await code({ sessionTimeoutMs }));
    this.note("JoinGroup: session too long", await code({ sessionTimeoutMs: 1_800_001 }));
    const nobody = { groupId: this.group(), memberId: "m" };
    this.note("JoinGroup: member of a group that is not there", await code(nobody));
    const asks = { groupId: this.group() };
    this.note("JoinGroup: v3 without an id", await code(asks, 3));
    this.note("JoinGroup: v4 without an id", await code({ groupId: this.group() }, 4));
    const none = { groupId: this.group(), protocols: [] };
    this.note("JoinGroup: no protocols", await code(none));
    const untyped = { groupId: this.group(), protocolType: "" };
    this.note("JoinGroup: no protocol type", await code(untyped));
    const { groupId, memberId } = await this.stable();
    this.note("JoinGroup: of another type", await code({ groupId, protocolType: "connect" }, 3));
    const other = [{ name: "sticky", metadata: METADATA }];
    this.note("JoinGroup: nothing in common", await code({ groupId, protocols: other }, 3));
    const again = { groupId, memberId, protocolType: "connect" };
    this.note("JoinGroup: a member, of another type", await code(again));
    this.note("JoinGroup: unknown member", await code({ groupId, memberId: "m" }));
    const instance = { groupId, memberId, groupInstanceId: "i" };
    this.note("JoinGroup: a dynamic member with an instance id", await code(instance));
    const pendingIn = this.group();
    const pending = await this.join({ groupId: pendingIn });
    const asStatic = await this.join({
      groupId: pendingIn,
      memberId: pending.memberId,
      groupInstanceId: "i",
    });
    this.note(
      "JoinGroup: an id that was given out, with an instance id",
      asStatic.errorCode,
      asStatic.memberId === "" ? "no member id" : "its member id",
    );
    const fixed = await this.static();
    this.note(
      "JoinGroup: instance id of another member",
      await code({ groupId: fixed.groupId, memberId: "m", groupInstanceId: "i" }),
    );
    this.note(
      "JoinGroup: a member with an unknown instance id",
      await code({ groupId: fixed.groupId, memberId: fixed.memberId, groupInstanceId: "j" }),
    );
    // Two members are the most.
    const two = await this.preparing();
    const third = await this.join({ groupId: two.groupId, memberId: two.memberId }, 3);
    this.note("JoinGroup: the second member", third.errorCode);
    this.note("JoinGroup: one too many", await code({ groupId: two.groupId }, 3));
    await two.end();
  }

  async #syncs(): Promise<void> {
    const code = async (given: object, version = 5) => (await this.sync(given, version)).errorCode;
    this.note("SyncGroup: no group id", await code({ groupId: "" }));
    this.note("SyncGroup: v5 without a type", await code({ protocolType: null }));
    this.note("SyncGroup: v5 without a name", await code({ protocolName: null }));
    this.note("SyncGroup: a group that is not there", await code({ groupId: this.group() }));
    const simple = this.group();
    await this.commit(simple);
    this.note("SyncGroup: an empty group", await code({ groupId: simple }));
    const member = await this.stable();
    this.note("SyncGroup: unknown member", await code({ ...member, memberId: "m" }));
    const older = { ...member, generationId: member.generationId - 1 };
    this.note("SyncGroup: old generation", await code(older));
    const newer = { ...member, generationId: member.generationId + 1 };
    this.note("SyncGroup: generation to come", await code(newer));
    this.note("SyncGroup: of another type", await code({ ...member, protocolType: "connect" }));
    this.note("SyncGroup: another protocol", await code({ ...member, protocolName: "sticky" }));
    this.note("SyncGroup: in order", await code(member));
    const unknown = { ...member, groupInstanceId: "i" };
    this.note("SyncGroup: unknown instance id", await code(unknown));
    const fixed = await this.static();
    const fenced = { ...fixed, memberId: "m", groupInstanceId: "i" };
    this.note("SyncGroup: instance id of another member", await code(fenced));
    const preparing = await this.preparing();
    const { groupId, memberId, generationId } = preparing;
    this.note("SyncGroup: while members join", await code({ groupId, memberId, generationId }));
    await preparing.end();
  }

  async #heartbeats(): Promise<void> {
    this.note("Heartbeat: no group id", await this.heartbeat({ groupId: "" }));
    const nowhere = { groupId: this.group() };
    this.note("Heartbeat: a group that is not there", await this.heartbeat(nowhere));
    const simple = this.group();
    await this.commit(simple);
    this.note("Heartbeat: an empty group", await this.heartbeat({ groupId: simple }));
    const member = await this.joined();
    this.note("Heartbeat: before the sync", await this.heartbeat(member));
    this.note("Heartbeat: unknown member", await this.heartbeat({ ...member, memberId: "m" }));
    const old = { ...member, generationId: member.generationId - 1 };
    this.note("Heartbeat: old generation", await this.heartbeat(old));
    const unknown = { ...member, groupInstanceId: "i" };
    this.note("Heartbeat: unknown instance id", await this.heartbeat(unknown));
    const given = await this.join({ groupId: member.groupId });
    const pending = { ...member, memberId: given.memberId };
    this.note("Heartbeat: with an id that was given out", await this.heartbeat(pending));
    const fixed = await this.static();
    const fenced = { ...fixed, memberId: "m", groupInstanceId: "i" };
    this.note("Heartbeat: instance id of another member", await this.heartbeat(fenced));
    const preparing = await this.preparing();
    this.note("Heartbeat: while members join", await this.heartbeat(preparing));
    await preparing.end();
  }

  async #leaves(): Promise<void> {
    this.note("LeaveGroup: no group id", ...(await this.leave("", { memberId: "m" })));
    const absent = this.group();
    const two = [{ memberId: "m" }, { memberId: "", groupInstanceId: "i" }];
    this.note("LeaveGroup: a group that is not there", ...(await this.leave(absent, ...two)));
    const v2 = await this.client.ask(LeaveGroup, 2, { groupId: absent, memberId: "m" });
    this.note("LeaveGroup: v2, a group that is not there", v2.errorCode);
    this.note("LeaveGroup: nobody", ...(await this.leave(absent)));
    const fixed = await this.static();
    const { groupId, memberId } = fixed;
    const old = await this.client.ask(LeaveGroup, 2, { groupId, memberId: "m" });
    this.note("LeaveGroup: v2, unknown member", old.errorCode);
    const members = [
      { memberId: "m" },
      { memberId: "" },
      { memberId: "", groupInstanceId: "j" },
      { memberId: "m", groupInstanceId: "i" },
      { memberId, groupInstanceId: "j" },
      { memberId: "", groupInstanceId: "i" },
      { memberId, groupInstanceId: "i" },
    ];
    this.note(
      "LeaveGroup: unknown, nobody, unknown instance, fenced, wrong instance, by instance, gone",
      ...(await this.leave(groupId, ...members)),
    );
    const pending = this.group();
    const given = await this.join({ groupId: pending });
    const asked = { memberId: given.memberId, groupInstanceId: "whatever" };
    this.note("LeaveGroup: an id that was given out", ...(await this.leave(pending, asked)));
    this.note("LeaveGroup: and again", ...(await this.leave(pending, asked)));
  }

  async #deletes(): Promise<void> {
    const remove = async (what: string, ...groupsNames: string[]) => {
      const { results } = await this.client.ask(DeleteGroups, 2, { groupsNames });
      const codes = new Map(results.map(({ groupId, errorCode }) => [groupId, errorCode]));
      this.note(
        `DeleteGroups: ${what}`,
        ...[...new Set(groupsNames)].map((name) => codes.get(name) ?? "no row"),
      );
    };
    await remove("no group id", "");
    await remove("a group that is not there", this.group());
    const { groupId } = await this.stable();
    await remove("a group with members", groupId);
    const preparing = await this.preparing();
    await remove("while members join", preparing.groupId);
    await preparing.end();
    const group = this.group();
    await this.beat(group);
    await remove("a consumer group with members", group);
    const simple = this.group();
    await this.commit(simple);
    await remove("one that is there, twice, and one that is not", simple, simple, this.group());
    await remove("one that was deleted", simple);
    const pending = this.group();
    await this.join({ groupId: pending });
    await remove("one with an id that was given out", pending);
  }

  async #describes(): Promise<void> {
    const describe = async (what: string, version: number, groupId: string) => {
      const { groups } = await this.client.ask(DescribeGroups, version, { groups: [groupId] });
      const codes = groups.flatMap((row) => [row.errorCode, row.groupState, row.members.length]);
      this.note(`DescribeGroups: ${what}`, ...codes);
    };
    const absent = this.group();
    await describe("v5, not there", 5, absent);
    await describe("v6, not there", 6, absent);
    await describe("v6, no group id", 6, "");
    const group = this.group();
    await this.beat(group);
    await describe("v5, a consumer group", 5, group);
    await describe("v6, a consumer group", 6, group);
    const joined = await this.joined();
    await describe("before the sync", 6, joined.groupId);
    const preparing = await this.preparing();
    await describe("while members join", 6, preparing.groupId);
    await preparing.end();
    const ask = async (what: string, groupId: string) => {
      const { groups } = await this.client.ask(ConsumerGroupDescribe, 1, {
        groupIds: [groupId],
        includeAuthorizedOperations: false,
      });
      const codes = groups.flatMap((row) => [row.errorCode, row.groupState, row.members.length]);
      this.note(`ConsumerGroupDescribe: ${what}`, ...codes);
    };
    await ask("no group id", "");
    await ask("not there", absent);
    await ask("a classic group", joined.groupId);
    await ask("in order", group);
  }

  async #lists(): Promise<void> {
    const { groupId } = await this.stable();
    const group = this.group();
    await this.beat(group);
    const own = new Map([
      [groupId, "classic"],
      [group, "consumer"],
    ]);
    const list = async (what: string, statesFilter: string[], typesFilter: string[]) => {
      const answer = await this.client.ask(ListGroups, 5, { statesFilter, typesFilter });
      const names = answer.groups.flatMap((row) => own.get(row.groupId) ?? []);
      this.note(`ListGroups: ${what}`, answer.errorCode, ...names.sort());
    };
    await list("all", [], []);
    await list("by state", ["Stable"], []);
    await list("by state, spaces and capitals", [" sTABLE "], []);
    await list("by a state in spaces of another kind", ["\u00a0Stable"], []);
    await list("by a state behind a control character", ["\u0001Stable"], []);
    await list("by a state that is none", ["Happy"], []);
    await list("by a state that is none, and one that is", ["Happy", "Stable"], []);
    await list("by no name of a state", [""], []);
    await list("by type", [], ["CONSUMER"]);
    await list("by type in spaces", [], [" classic "]);
    await list("by a type that is none", [], ["happy"]);
    await list("by the type unknown", [], ["unknown"]);
    await list("by type and state", ["Empty"], ["classic"]);
  }
}
