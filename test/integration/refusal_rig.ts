// Requests of groups in short, and groups in the states in which requests are refused: for the cases of group_refusals.ts.
// They run against any broker on a socket, so that Apache Kafka can be asked what it says.

import { OffsetCommit } from "../../src/protocol/messages/08_offset_commit.ts";
import { OffsetFetch } from "../../src/protocol/messages/09_offset_fetch.ts";
import { JoinGroup } from "../../src/protocol/messages/11_join_group.ts";
import { Heartbeat } from "../../src/protocol/messages/12_heartbeat.ts";
import { LeaveGroup } from "../../src/protocol/messages/13_leave_group.ts";
import { SyncGroup } from "../../src/protocol/messages/14_sync_group.ts";
import { ConsumerGroupHeartbeat } from "../../src/protocol/messages/68_consumer_group_heartbeat.ts";
import type { WireClient } from "./live.ts";

/** Error codes as the answer has them, in its order; words where the code alone says too little. */
export type Codes = readonly (number | string)[];

export const UNKNOWN_ID = "EREREREiIjMzREREVVVVVQ";
/** A subscription to "t". */
export const METADATA = new Uint8Array([0, 0, 0, 0, 0, 1, 0, 1, 116, 255, 255, 255, 255]);
export const PROTOCOLS = [{ name: "range", metadata: METADATA }];
export const id = (n: number) => `AAAAAAAAAAAAAAAAAAAA${String(n).padStart(2, "0")}`;

export interface Membership {
  readonly groupId: string;
  readonly memberId: string;
  readonly generationId: number;
}

export interface RefusalRigOptions {
  readonly connect: () => Promise<WireClient>;
  readonly client: WireClient;
  /** Of "t". */
  readonly topicId: string;
  /** What the cases of all rigs come to; in the order of asking. */
  readonly seen: Record<string, Codes>;
}

export class RefusalRig {
  readonly seen: Record<string, Codes>;
  readonly connect: () => Promise<WireClient>;
  readonly client: WireClient;
  readonly topicId: string;
  groups = 0;

  constructor({ connect, client, topicId, seen }: RefusalRigOptions) {
    this.connect = connect;
    this.client = client;
    this.topicId = topicId;
    this.seen = seen;
  }

  note(what: string, ...codes: (number | string)[]): void {
    if (what in this.seen) throw new Error(`${what} is there twice`);
    this.seen[what] = codes;
  }

  /** The id of a group that is not there yet. */
  group(): string {
    return `${this.constructor.name}-${this.groups++}`;
  }

  // Requests, with what they mostly have

  async join(given: object, version = 5) {
    return await this.client.ask(JoinGroup, version, {
      groupId: "g",
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 10_000,
      memberId: "",
      protocolType: "consumer",
      protocols: PROTOCOLS,
      ...given,
    });
  }

  async sync(given: object, version = 5) {
    return await this.client.ask(SyncGroup, version, {
      groupId: "g",
      memberId: "m",
      generationId: 1,
      protocolType: version < 5 ? null : "consumer",
      protocolName: version < 5 ? null : "range",
      assignments: [],
      ...given,
    });
  }

  async heartbeat(given: object) {
    const fields = { groupId: "g", memberId: "m", generationId: 1, ...given };
    return (await this.client.ask(Heartbeat, 4, fields)).errorCode;
  }

  async leave(groupId: string, ...members: object[]) {
    const given = members.map((each) => ({ memberId: "", ...each }));
    const answer = await this.client.ask(LeaveGroup, 5, { groupId, members: given });
    return [answer.errorCode, ...answer.members.map(({ errorCode }) => errorCode)];
  }

  async commit(groupId: string, given: object = {}, version = 9) {
    const one = { partitionIndex: 0, committedOffset: 1, committedMetadata: "" };
    const answer = await this.client.ask(OffsetCommit, version, {
      groupId,
      topics: [{ name: "t", topicId: this.topicId, partitions: [one] }],
      ...given,
    });
    return answer.topics.flatMap((topic) => topic.partitions.map(({ errorCode }) => errorCode));
  }

  async fetch(groupId: string, given: object = {}, version = 9) {
    const topics = [{ name: "t", topicId: this.topicId, partitionIndexes: [0] }];
    const answer = await this.client.ask(OffsetFetch, version, {
      groups: [{ groupId, topics, ...given }],
    });
    const [group] = answer.groups;
    const rows = group!.topics.flatMap(({ partitions }) => partitions);
    return [group!.errorCode, ...rows.map(({ errorCode }) => errorCode)];
  }

  async beat(groupId: string, given: object = {}, version = 1) {
    return await this.client.ask(ConsumerGroupHeartbeat, version, {
      groupId,
      memberId: id(1),
      memberEpoch: 0,
      rebalanceTimeoutMs: 10_000,
      subscribedTopicNames: ["t"],
      topicPartitions: [],
      ...given,
    });
  }

  async beatCode(groupId: string, given: object = {}, version = 1) {
    return (await this.beat(groupId, given, version)).errorCode;
  }

  // Groups in the states that refusals need

  /** A group with one member whose sync is to come. */
  async joined(given: object = {}): Promise<Membership> {
    const groupId = this.group();
    const { errorCode, memberId, generationId } = await this.join({ groupId, ...given }, 3);
    if (errorCode !== 0) throw new Error(`The join of ${groupId} was answered ${errorCode}`);
    return { groupId, memberId, generationId };
  }

  /** A group with one member that has its assignment. */
  async stable(given: object = {}): Promise<Membership> {
    const member = await this.joined(given);
    const assignments = [{ memberId: member.memberId, assignment: new Uint8Array(4) }];
    const { errorCode } = await this.sync({ ...member, assignments }, 3);
    if (errorCode !== 0) throw new Error(`The sync of ${member.groupId} was answered ${errorCode}`);
    return member;
  }

  /** A group with one static member, "i". */
  async static(): Promise<Membership> {
    const groupId = this.group();
    const given = { groupId, groupInstanceId: "i" };
    const { memberId, generationId } = await this.join(given);
    const assignments = [{ memberId, assignment: new Uint8Array(4) }];
    await this.sync({ groupId, memberId, generationId, groupInstanceId: "i", assignments });
    return { groupId, memberId, generationId };
  }

  /** A group that waits for its member, since another one comes. `end` lets both go. */
  async preparing(): Promise<Membership & { readonly end: () => Promise<void> }> {
    const member = await this.stable();
    const other = await this.connect();
    await other.begin(JoinGroup, 3, {
      groupId: member.groupId,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 10_000,
      memberId: "",
      protocolType: "consumer",
      protocols: PROTOCOLS,
    });
    for (;;) {
      // As soon as the other's join is there, heartbeats say so.
      if ((await this.heartbeat(member)) === 27) break;
    }
    return { ...member, end: async () => other.close() };
  }
}
