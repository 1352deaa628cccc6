import { OffsetDelete } from "../../src/protocol/messages/47_offset_delete.ts";
import { id, RefusalRig, UNKNOWN_ID } from "./refusal_rig.ts";

export class OffsetRefusals extends RefusalRig {
  async run(): Promise<void> {
    await this.#commits();
    await this.#fetches();
    await this.#offsetDeletes();
  }

  async #commits(): Promise<void> {
    const commit = async (what: string, groupId: string, given: object = {}, version = 9) =>
      this.note(`OffsetCommit: ${what}`, ...(await this.commit(groupId, given, version)));
    const by = (memberId: string, generationIdOrMemberEpoch: number, more: object = {}) => ({
      memberId,
      generationIdOrMemberEpoch,
      ...more,
    });
    await commit("no group id", "");
    await commit("v8, a group that is not there", this.group(), by("m", 1), 8);
    await commit("a group that is not there", this.group(), by("m", 1));
    await commit(
      "a member id, no generation, a group that is not there",
      this.group(),
      by("m", -1),
    );
    const simple = this.group();
    await commit("by nobody", simple);
    await commit("by somebody, without a generation", simple, by("m", -1));
    await commit("by a member of an empty group", simple, by("m", 0));
    await commit("by an instance id, without a generation", simple, {
      groupInstanceId: "i",
      generationIdOrMemberEpoch: -1,
    });
    const { groupId, memberId, generationId } = await this.stable();
    await commit("unknown member", groupId, by("m", generationId));
    await commit("old generation", groupId, by(memberId, generationId - 1));
    await commit("generation to come", groupId, by(memberId, generationId + 1));
    await commit("no generation", groupId, by(memberId, -1));
    await commit("by nobody, beside members", groupId);
    await commit(
      "unknown instance id",
      groupId,
      by(memberId, generationId, { groupInstanceId: "i" }),
    );
    await commit("in order, v2", groupId, by(memberId, generationId), 2);
    const fixed = await this.static();
    const fenced = by("m", fixed.generationId, { groupInstanceId: "i" });
    await commit("instance id of another member", fixed.groupId, fenced);
    const joined = await this.joined();
    await commit("before the sync", joined.groupId, by(joined.memberId, joined.generationId));
    const preparing = await this.preparing();
    const while_ = by(preparing.memberId, preparing.generationId);
    await commit("while members join", preparing.groupId, while_);
    await preparing.end();

    const at = (partitionIndex: number, committedMetadata: string | null = "") => ({
      partitionIndex,
      committedOffset: 1,
      committedMetadata,
    });
    const partitions = [
      at(0, "x".repeat(4097)),
      at(1, "x".repeat(4096)),
      at(2),
      at(-1),
      at(0, "é".repeat(4096)),
      at(1, null),
      { ...at(0), committedOffset: -5 },
    ];
    await commit(
      "metadata too long, long, no such partitions, long of two bytes, none, below zero",
      simple,
      {
        topics: [{ name: "t", partitions }],
      },
    );
    const nowhere = { topics: [{ name: "no-such", partitions: [at(0)] }] };
    await commit("no such topic", simple, nowhere);
    await commit("no such topic, unknown member", groupId, { ...nowhere, ...by("m", 7) });
    await commit("some topics, unknown member", groupId, {
      ...by("m", 7),
      topics: [...nowhere.topics, { name: "t", partitions: [at(0), at(9)] }],
    });
    const topics = [
      { topicId: UNKNOWN_ID, partitions: [at(0)] },
      { topicId: this.topicId, partitions: [at(0), at(9)] },
    ];
    await commit("v10, unknown topic id", simple, { topics }, 10);
    await commit("nothing", groupId, { topics: [], ...by("m", 7) });
  }

  async #fetches(): Promise<void> {
    const fetch = async (what: string, groupId: string, given: object = {}, version = 9) =>
      this.note(`OffsetFetch: ${what}`, ...(await this.fetch(groupId, given, version)));
    await fetch("no group id", "");
    await fetch("a group that is not there", this.group());
    await fetch("a group that is not there, by a member", this.group(), {
      memberId: "m",
      memberEpoch: 3,
    });
    await fetch("a group that is not there, all", this.group(), { topics: null });
    const { groupId } = await this.stable();
    await fetch("unknown member of a classic group", groupId, { memberId: "m", memberEpoch: 7 });
    await fetch("no such topic", groupId, { topics: [{ name: "none", partitionIndexes: [0, 9] }] });
    const topics = [{ topicId: UNKNOWN_ID, partitionIndexes: [0] }];
    await fetch("v10, unknown topic id", groupId, { topics }, 10);
    const group = this.group();
    const { memberEpoch } = await this.beat(group);
    const as = (memberId: string | null, epoch: number) => ({ memberId, memberEpoch: epoch });
    await fetch("a consumer group, by nobody", group, as(null, -1));
    await fetch("a consumer group, by nobody with an epoch", group, as(null, 1));
    await fetch("a consumer group, by no member id", group, as("", -1));
    await fetch("a consumer group, unknown member", group, as("m", memberEpoch));
    await fetch("a consumer group, old epoch", group, as(id(1), memberEpoch - 1));
    await fetch("a consumer group, epoch to come", group, as(id(1), memberEpoch + 1));
    await fetch("a consumer group, in order", group, as(id(1), memberEpoch));
    await fetch("a consumer group, all, old epoch", group, {
      ...as(id(1), memberEpoch - 1),
      topics: null,
    });
    const commit = async (what: string, given: object, version = 9) =>
      this.note(`OffsetCommit: ${what}`, ...(await this.commit(group, given, version)));
    const by = (memberId: string, generationIdOrMemberEpoch: number) => ({
      memberId,
      generationIdOrMemberEpoch,
    });
    await commit("a consumer group, by nobody", by("", -1));
    await commit("a consumer group, unknown member", by("m", memberEpoch));
    await commit("a consumer group, v8", by(id(1), memberEpoch), 8);
    await commit("a consumer group, v8, unknown member", by("m", memberEpoch), 8);
    await commit("a consumer group, epoch to come", by(id(1), memberEpoch + 1));
    await commit("a consumer group, epoch before it had the partition", by(id(1), memberEpoch - 1));
    await commit("a consumer group, no epoch", by(id(1), -1));
    await commit("a consumer group, in order", by(id(1), memberEpoch));
    await this.beat(group, { memberEpoch: -1 });
    await commit("a consumer group without members, by nobody", by("", -1));
    await commit("a consumer group without members, by a member", by(id(1), memberEpoch));
  }

  async #offsetDeletes(): Promise<void> {
    const remove = async (what: string, groupId: string, topics: object[]) => {
      const answer = await this.client.ask(OffsetDelete, 0, { groupId, topics } as never);
      const rows = answer.topics.flatMap(({ partitions }) => partitions);
      this.note(
        `OffsetDelete: ${what}`,
        answer.errorCode,
        ...rows.map(({ errorCode }) => errorCode),
      );
    };
    const t = (...indexes: number[]) => ({
      name: "t",
      partitions: indexes.map((partitionIndex) => ({ partitionIndex })),
    });
    const none = { name: "none", partitions: [{ partitionIndex: 0 }] };
    await remove("no group id", "", [t(0)]);
    await remove("a group that is not there", this.group(), [t(0)]);
    await remove("a group and a topic that are not there", this.group(), [none]);
    const simple = this.group();
    await this.commit(simple);
    await remove("no such topic", simple, [none]);
    await remove("no such partition", simple, [t(7)]);
    await remove("what is there, and what never was", simple, [t(0, 1)]);
    const { groupId } = await this.stable();
    await remove("a topic that is read", groupId, [t(0, 9)]);
    const connect = await this.stable({ protocolType: "connect" });
    await remove("a group of another type with members", connect.groupId, [t(0)]);
    const group = this.group();
    await this.beat(group);
    await remove("a topic that a consumer group reads", group, [t(0)]);
    const garbled = await this.stable({
      protocols: [{ name: "range", metadata: new Uint8Array(1) }],
    });
    await remove("a group that says nobody knows what it reads", garbled.groupId, [t(0)]);
  }
}
