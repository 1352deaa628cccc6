// What may be asked of a shard of groups: one method an API, each a decision. Several groups of one shard come in one
// request, and their rows go back in its order. Kafka: GroupCoordinatorShard.

import type {
  OffsetCommitRequest,
  OffsetCommitResponse,
} from "../../../protocol/messages/08_offset_commit.ts";
import type {
  OffsetFetchRequest,
  OffsetFetchResponse,
} from "../../../protocol/messages/09_offset_fetch.ts";
import type {
  JoinGroupRequest,
  JoinGroupResponse,
} from "../../../protocol/messages/11_join_group.ts";
import type {
  HeartbeatRequest,
  HeartbeatResponse,
} from "../../../protocol/messages/12_heartbeat.ts";
import type {
  LeaveGroupRequest,
  LeaveGroupResponse,
} from "../../../protocol/messages/13_leave_group.ts";
import type {
  SyncGroupRequest,
  SyncGroupResponse,
} from "../../../protocol/messages/14_sync_group.ts";
import type { DescribeGroupsResponse } from "../../../protocol/messages/15_describe_groups.ts";
import type {
  ListGroupsRequest,
  ListGroupsResponse,
} from "../../../protocol/messages/16_list_groups.ts";
import type {
  TxnOffsetCommitRequest,
  TxnOffsetCommitResponse,
} from "../../../protocol/messages/28_txn_offset_commit.ts";
import type { DeleteGroupsResponse } from "../../../protocol/messages/42_delete_groups.ts";
import type {
  OffsetDeleteRequest,
  OffsetDeleteResponse,
} from "../../../protocol/messages/47_offset_delete.ts";
import type {
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponse,
} from "../../../protocol/messages/68_consumer_group_heartbeat.ts";
import type { ConsumerGroupDescribeResponse } from "../../../protocol/messages/69_consumer_group_describe.ts";
import type { Decision, Now, Reply } from "../runtime/shard.ts";
import type { GroupCall } from "./group.ts";
import type { GroupRecord } from "./group_record.ts";

export type DescribedGroup = DescribeGroupsResponse["groups"][number];
export type ListedGroup = ListGroupsResponse["groups"][number];
export type DeletedGroup = DeleteGroupsResponse["results"][number];
export type FetchGroup = OffsetFetchRequest["groups"][number];
export type FetchedGroup = OffsetFetchResponse["groups"][number];
export type DescribedConsumerGroup = ConsumerGroupDescribeResponse["groups"][number];

type Decided = Decision<GroupRecord>;

/** A heartbeat of the consumer protocol. */
export interface HeartbeatCall extends GroupCall {
  /** Whether the caller may see the topic: expressions come to no others. */
  mayDescribe(topic: string): boolean;
}

export interface GroupRequests {
  joinGroup(call: GroupCall, request: JoinGroupRequest, reply: Reply<JoinGroupResponse>): Decided;
  syncGroup(call: GroupCall, request: SyncGroupRequest, reply: Reply<SyncGroupResponse>): Decided;
  heartbeat(call: GroupCall, request: HeartbeatRequest, reply: Reply<HeartbeatResponse>): Decided;
  leaveGroup(
    call: GroupCall,
    request: LeaveGroupRequest,
    reply: Reply<LeaveGroupResponse>,
  ): Decided;
  describeGroups(
    call: GroupCall,
    groupIds: readonly string[],
    reply: Reply<readonly DescribedGroup[]>,
  ): Decided;
  /** All groups of the shard that the filters let through. */
  listGroups(
    call: GroupCall,
    request: ListGroupsRequest,
    reply: Reply<readonly ListedGroup[]>,
  ): Decided;
  /** No id twice. With the groups go their offsets. */
  deleteGroups(
    call: GroupCall,
    groupIds: readonly string[],
    reply: Reply<readonly DeletedGroup[]>,
  ): Decided;
  /** Topics by name, from v10 on by id. A row for each, also for those that are not there. */
  commitOffsets(
    call: GroupCall,
    request: OffsetCommitRequest,
    reply: Reply<OffsetCommitResponse>,
  ): Decided;
  /** Likewise, by name; to be run in the transaction. */
  commitOffsetsInTransaction(
    call: GroupCall,
    request: TxnOffsetCommitRequest,
    reply: Reply<TxnOffsetCommitResponse>,
  ): Decided;
  /** Topics have their names in every version, and rows too. */
  fetchOffsets(
    call: GroupCall,
    groups: readonly FetchGroup[],
    requireStable: boolean,
    reply: Reply<readonly FetchedGroup[]>,
  ): Decided;
  deleteOffsets(
    call: GroupCall,
    request: OffsetDeleteRequest,
    reply: Reply<OffsetDeleteResponse>,
  ): Decided;
  consumerGroupHeartbeat(
    call: HeartbeatCall,
    request: ConsumerGroupHeartbeatRequest,
    reply: Reply<ConsumerGroupHeartbeatResponse>,
  ): Decided;
  consumerGroupDescribe(
    call: GroupCall,
    groupIds: readonly string[],
    reply: Reply<readonly DescribedConsumerGroup[]>,
  ): Decided;
  /** Those topics are gone, and with them the offsets of all groups. Answered with how many were dropped. */
  topicsDeleted(names: readonly string[], now: Now, reply: Reply<number>): Decided;
}
