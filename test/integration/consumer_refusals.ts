// Every way in which Kafka's handlers refuse members of consumer groups, of either protocol, as a case. See group_refusals.ts.

import { ConsumerGroupDescribe } from "../../src/protocol/messages/69_consumer_group_describe.ts";
import { id, RefusalRig } from "./refusal_rig.ts";

export class ConsumerRefusals extends RefusalRig {
  async run(): Promise<void> {
    await this.#consumerHeartbeats();
    await this.#bothProtocols();
  }

  async #consumerHeartbeats(): Promise<void> {
    const beat = async (what: string, groupId: string, given: object = {}, version = 1) =>
      this.note(`ConsumerGroupHeartbeat: ${what}`, await this.beatCode(groupId, given, version));
    const fresh = () => this.group();
    await beat("no member id", fresh(), { memberId: "" });
    await beat("v0, no member id", fresh(), { memberId: "" }, 0);
    await beat("v0, no member id, an epoch", fresh(), { memberId: "", memberEpoch: 1 }, 0);
    await beat("v0, no member id, leaves", fresh(), { memberId: "", memberEpoch: -1 }, 0);
    await beat("a blank member id", fresh(), { memberId: " \t" });
    await beat("a member id of control characters", fresh(), { memberId: "\u0001\u001f" });
    await beat("a member id of a wide space", fresh(), { memberId: "\u00a0" });
    await beat("no group id", "");
    await beat("a blank group id", " ");
    await beat("an empty instance id", fresh(), { instanceId: "" });
    await beat("an empty rack", fresh(), { rackId: "" });
    await beat("no rebalance timeout", fresh(), { rebalanceTimeoutMs: -1 });
    await beat("no partitions said", fresh(), { topicPartitions: null });
    const owned = [{ topicId: this.topicId, partitions: [0] }];
    await beat("partitions brought along", fresh(), { topicPartitions: owned });
    await beat("no subscription", fresh(), { subscribedTopicNames: null });
    await beat("an empty subscription", fresh(), { subscribedTopicNames: [] });
    const regex = { subscribedTopicNames: null, subscribedTopicRegex: "(" };
    await beat("an expression that is none", fresh(), regex);
    await beat("an empty expression", fresh(), { ...regex, subscribedTopicRegex: "" });
    await beat("epoch -2 without an instance id", fresh(), { memberEpoch: -2 });
    await beat("epoch -3", fresh(), { memberEpoch: -3 });
    await beat("an unknown assignor", fresh(), { serverAssignor: "best" });
    await beat("an assignor without a name", fresh(), { serverAssignor: "" });
    await beat("a group that is not there", fresh(), { memberEpoch: 1 });
    await beat("leaves a group that is not there", fresh(), { memberEpoch: -1 });
    const group = fresh();
    const { memberEpoch } = await this.beat(group);
    await beat("unknown member", group, { memberId: id(9), memberEpoch: 1 });
    await beat("unknown member leaves", group, { memberId: id(9), memberEpoch: -1 });
    await beat("an epoch to come", group, { memberEpoch: memberEpoch + 1 });
    await beat("an old epoch", group, { memberEpoch: memberEpoch - 1, topicPartitions: owned });
    await beat("unknown instance id", group, { memberEpoch, instanceId: "i" });
    await beat("unknown instance id leaves", group, { memberEpoch: -2, instanceId: "i" });
    await beat("joins again", group);
    await beat("a second member", group, { memberId: id(2) });
    await beat("one too many", group, { memberId: id(3) });
    await beat("one too many, static", group, { memberId: id(3), instanceId: "i" });
    const fixed = fresh();
    const joined = await this.beat(fixed, { instanceId: "i" });
    const other = { memberId: id(2), instanceId: "i" };
    await beat("instance id that is taken", fixed, other);
    await beat("instance id that is its own, joins again", fixed, { instanceId: "i" });
    await beat("fenced", fixed, { ...other, memberEpoch: joined.memberEpoch });
    await beat("fenced leaves", fixed, { ...other, memberEpoch: -1 });
    await beat("fenced leaves for a while", fixed, { ...other, memberEpoch: -2 });
    await beat("a static member, old epoch", fixed, { instanceId: "i", memberEpoch: 77 });
    await beat("leaves for a while", fixed, { instanceId: "i", memberEpoch: -2 });
    await beat("its old epoch, while it is away", fixed, {
      instanceId: "i",
      memberEpoch: joined.memberEpoch,
    });
    await beat("takes the place of one that is away", fixed, other);
    await beat("of the one before", fixed, { instanceId: "i", memberEpoch: joined.memberEpoch });
    const full = fresh();
    await this.beat(full, { instanceId: "i" });
    await this.beat(full, { memberId: id(2) });
    await beat("leaves a full group for a while", full, { instanceId: "i", memberEpoch: -2 });
    const successor = { memberId: id(3), instanceId: "i" };
    await beat("takes the place of one that is away, in a full group", full, successor);
  }

  async #bothProtocols(): Promise<void> {
    const beat = async (what: string, groupId: string, given: object = {}) =>
      this.note(`ConsumerGroupHeartbeat: ${what}`, await this.beatCode(groupId, given));
    const { groupId } = await this.stable();
    await beat("an epoch, to a classic group", groupId, { memberEpoch: 1 });
    await beat("leaves a classic group", groupId, { memberEpoch: -1 });
    const connect = await this.stable({ protocolType: "connect" });
    await beat("to a group of another type", connect.groupId);
    const garbled = await this.stable({
      protocols: [{ name: "range", metadata: new Uint8Array(1) }],
    });
    await beat("to a group whose members nobody understands", garbled.groupId);
    const simple = this.group();
    await this.commit(simple);
    await beat("to a group of offsets alone", simple);

    const group = this.group();
    await this.beat(group);
    const join = async (what: string, given: object, version = 5) => {
      const { errorCode, memberId } = await this.join({ groupId: group, ...given }, version);
      this.note(`JoinGroup to a consumer group: ${what}`, errorCode);
      return memberId;
    };
    await join("of another type", { protocolType: "connect" });
    await join("no protocols", { protocols: [] });
    const garbage = [{ name: "range", metadata: new Uint8Array(1) }];
    await join("v3, garbled", { protocols: garbage }, 3);
    await join("unknown instance id of a member", { memberId: "m", groupInstanceId: "i" });
    const memberId = await join("without an id", {});
    await join("with it", { memberId });
    await join("one too many", { memberId: "m" });
    const sync = async (what: string, given: object) =>
      this.note(
        `SyncGroup to a consumer group: ${what}`,
        (await this.sync({ groupId: group, memberId, ...given })).errorCode,
      );
    await sync("unknown member", { memberId: "m" });
    await sync("unknown instance id", { groupInstanceId: "i" });
    await sync("a member of the other protocol", { memberId: id(1) });
    await sync("old generation", { generationId: 0 });
    const { groups } = await this.client.ask(ConsumerGroupDescribe, 1, {
      groupIds: [group],
      includeAuthorizedOperations: false,
    });
    const generationId = groups[0]!.members.find((each) => each.memberId === memberId)!.memberEpoch;
    await sync("of another type", { generationId, protocolType: "connect" });
    await sync("another protocol", { generationId, protocolName: "sticky" });
    await sync("in order", { generationId });
    const heartbeat = async (what: string, given: object) =>
      this.note(
        `Heartbeat to a consumer group: ${what}`,
        await this.heartbeat({ groupId: group, memberId, ...given }),
      );
    await heartbeat("unknown member", { memberId: "m" });
    await heartbeat("unknown instance id", { groupInstanceId: "i" });
    await heartbeat("a member of the other protocol", { memberId: id(1), generationId: 1 });
    await heartbeat("old generation", { generationId: 0 });
    const by = (epoch: number) => ({ memberId, generationIdOrMemberEpoch: epoch });
    const commit = async (what: string, epoch: number, version = 9) =>
      this.note(
        `OffsetCommit by a classic member: ${what}`,
        ...(await this.commit(group, by(epoch), version)),
      );
    await commit("generation to come", generationId + 1);
    await commit("v8, in order", generationId, 8);
    this.note(
      "OffsetFetch by a classic member: old generation",
      ...(await this.fetch(group, { memberId, memberEpoch: generationId - 1 })),
    );
    this.note(
      "LeaveGroup of a consumer group: unknown, nobody, unknown instance, both members",
      ...(await this.leave(
        group,
        { memberId: "m" },
        { memberId: "" },
        { memberId: "", groupInstanceId: "j" },
        { memberId },
        { memberId: id(1) },
      )),
    );
  }
}
