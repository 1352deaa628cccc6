// The calls of groups, as the in-process port makes them of a broker.
// Kafka: KafkaApis, its group coordinator's part.

import { OffsetCommit } from "../protocol/messages/08_offset_commit.ts";
import { OffsetFetch } from "../protocol/messages/09_offset_fetch.ts";
import { FindCoordinator } from "../protocol/messages/10_find_coordinator.ts";
import { JoinGroup } from "../protocol/messages/11_join_group.ts";
import { Heartbeat } from "../protocol/messages/12_heartbeat.ts";
import { LeaveGroup } from "../protocol/messages/13_leave_group.ts";
import { SyncGroup } from "../protocol/messages/14_sync_group.ts";
import { DescribeGroups } from "../protocol/messages/15_describe_groups.ts";
import { ListGroups } from "../protocol/messages/16_list_groups.ts";
import { DeleteGroups } from "../protocol/messages/42_delete_groups.ts";
import { OffsetDelete } from "../protocol/messages/47_offset_delete.ts";
import { ConsumerGroupHeartbeat } from "../protocol/messages/68_consumer_group_heartbeat.ts";
import { ConsumerGroupDescribe } from "../protocol/messages/69_consumer_group_describe.ts";
import { type BrokerCall, plainCall } from "./broker_call.ts";

/** The type of key that is a transactional id. */
const TRANSACTION_KEYS = 1;

/** Every API of groups, and the search for coordinators of either kind. */
export const groupCalls: readonly BrokerCall[] = [
  plainCall(OffsetCommit, (broker, ...call) => broker.groups.offsetCommit(...call)),
  plainCall(OffsetFetch, (broker, ...call) => broker.groups.offsetFetch(...call)),
  plainCall(FindCoordinator, ({ groups, transactions }, caller, request, version) => {
    const finder = request.keyType === TRANSACTION_KEYS ? transactions : groups;
    return finder.findCoordinator(caller, request, version);
  }),
  plainCall(JoinGroup, (broker, ...call) => broker.groups.joinGroup(...call)),
  plainCall(Heartbeat, (broker, ...call) => broker.groups.heartbeat(...call)),
  plainCall(LeaveGroup, (broker, ...call) => broker.groups.leaveGroup(...call)),
  plainCall(SyncGroup, (broker, ...call) => broker.groups.syncGroup(...call)),
  plainCall(DescribeGroups, (broker, ...call) => broker.groups.describeGroups(...call)),
  plainCall(ListGroups, (broker, ...call) => broker.groups.listGroups(...call)),
  plainCall(DeleteGroups, (broker, ...call) => broker.groups.deleteGroups(...call)),
  plainCall(OffsetDelete, (broker, ...call) => broker.groups.offsetDelete(...call)),
  plainCall(ConsumerGroupHeartbeat, (broker, ...call) =>
    broker.groups.consumerGroupHeartbeat(...call),
  ),
  plainCall(ConsumerGroupDescribe, (broker, ...call) =>
    broker.groups.consumerGroupDescribe(...call),
  ),
];
