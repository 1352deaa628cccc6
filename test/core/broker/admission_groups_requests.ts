// A request of each group API, in any version, for the group "g" and topics that are there; for tests of admission.

import type { GroupApi } from "../../../src/contracts/broker.ts";
import { OffsetCommit } from "../../../src/protocol/messages/08_offset_commit.ts";
import { OffsetFetch } from "../../../src/protocol/messages/09_offset_fetch.ts";
import { FindCoordinator } from "../../../src/protocol/messages/10_find_coordinator.ts";
import { JoinGroup } from "../../../src/protocol/messages/11_join_group.ts";
import { Heartbeat } from "../../../src/protocol/messages/12_heartbeat.ts";
import { LeaveGroup } from "../../../src/protocol/messages/13_leave_group.ts";
import { SyncGroup } from "../../../src/protocol/messages/14_sync_group.ts";
import { DescribeGroups } from "../../../src/protocol/messages/15_describe_groups.ts";
import { ListGroups } from "../../../src/protocol/messages/16_list_groups.ts";
import { TxnOffsetCommit } from "../../../src/protocol/messages/28_txn_offset_commit.ts";
import { DeleteGroups } from "../../../src/protocol/messages/42_delete_groups.ts";
import { OffsetDelete } from "../../../src/protocol/messages/47_offset_delete.ts";
import { ConsumerGroupHeartbeat } from "../../../src/protocol/messages/68_consumer_group_heartbeat.ts";
import { ConsumerGroupDescribe } from "../../../src/protocol/messages/69_consumer_group_describe.ts";
import type { Api, Fields } from "../../../src/protocol/schema.ts";

// biome-ignore lint/suspicious/noExplicitAny: requests and answers of every API; tests look at what they expect.
export type Json = any;

/** Names by id: "mine" and "theirs" are there. */
export const IDS: Readonly<Record<string, string>> = {
  AAAAAAAAAAAAAAAAAAAAAQ: "mine",
  AAAAAAAAAAAAAAAAAAAAAg: "theirs",
};
export const MINE = "AAAAAAAAAAAAAAAAAAAAAQ";
export const THEIRS = "AAAAAAAAAAAAAAAAAAAAAg";
export const NOBODYS = "AAAAAAAAAAAAAAAAAAAAAw";

export const APIS: Readonly<Record<keyof GroupApi, Api<Fields, Fields>>> = {
  offsetCommit: OffsetCommit as never,
  offsetFetch: OffsetFetch as never,
  txnOffsetCommit: TxnOffsetCommit as never,
  findCoordinator: FindCoordinator as never,
  joinGroup: JoinGroup as never,
  heartbeat: Heartbeat as never,
  leaveGroup: LeaveGroup as never,
  syncGroup: SyncGroup as never,
  describeGroups: DescribeGroups as never,
  listGroups: ListGroups as never,
  deleteGroups: DeleteGroups as never,
  offsetDelete: OffsetDelete as never,
  consumerGroupHeartbeat: ConsumerGroupHeartbeat as never,
  consumerGroupDescribe: ConsumerGroupDescribe as never,
};
export type Method = keyof GroupApi;

export const named = (...names: string[]) =>
  names.map((name) => ({
    name,
    partitions: [0, 1].map((partitionIndex) => ({ partitionIndex, committedOffset: 5 })),
    partitionIndexes: [0, 1],
  }));
export const byId = (...ids: string[]) =>
  ids.map((topicId) => ({
    topicId,
    partitions: [{ partitionIndex: 0, committedOffset: 5 }],
    partitionIndexes: [0],
  }));

/** A request of each API, in its newest version, for the group "g" and the topic "mine". */
export const REQUESTS: Readonly<Record<Method, Json>> = {
  offsetCommit: { groupId: "g", topics: byId(MINE) },
  offsetFetch: { groups: [{ groupId: "g", topics: byId(MINE) }] },
  txnOffsetCommit: { transactionalId: "t", groupId: "g", topics: named("mine") },
  findCoordinator: { keyType: 0, coordinatorKeys: ["g"] },
  joinGroup: { groupId: "g", memberId: "m", protocols: [] },
  heartbeat: { groupId: "g", memberId: "m" },
  leaveGroup: { groupId: "g", members: [{ memberId: "m" }] },
  syncGroup: {
    groupId: "g",
    memberId: "m",
    protocolType: "consumer",
    protocolName: "range",
    assignments: [],
  },
  describeGroups: { groups: ["g"] },
  listGroups: {},
  deleteGroups: { groupsNames: ["g"] },
  offsetDelete: { groupId: "g", topics: named("mine") },
  consumerGroupHeartbeat: { groupId: "g", memberId: "m", subscribedTopicNames: ["mine"] },
  consumerGroupDescribe: { groupIds: ["g"] },
};
export const METHODS = Object.keys(REQUESTS) as Method[];
export const newest = (method: Method): number => (APIS[method] as Api).highestStable;

/** The same in any version. */
export function olderRequest(method: Method, version: number): Json {
  switch (method) {
    case "offsetCommit":
      return version >= 10 ? REQUESTS[method] : { groupId: "g", topics: named("mine") };
    case "offsetFetch":
      if (version >= 10) return REQUESTS[method];
      return version >= 8
        ? { groups: [{ groupId: "g", topics: named("mine") }] }
        : { groupId: "g", topics: named("mine") };
    case "findCoordinator":
      return version >= 4 ? REQUESTS[method] : { key: "g" };
    case "leaveGroup":
      return version >= 3 ? REQUESTS[method] : { groupId: "g", memberId: "m" };
    case "syncGroup":
      return version >= 5
        ? REQUESTS[method]
        : { ...REQUESTS[method], protocolType: null, protocolName: null };
    default:
      return REQUESTS[method];
  }
}
