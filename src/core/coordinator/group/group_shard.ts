// One partition of __consumer_offsets: its groups of both protocols, and their offsets. Hands each request and each
// record to the part that knows it. Invariant: a request of the classic protocol goes to the part whose group has the id;
// where there is none, or an empty one, that is the classic part.
// Kafka: GroupCoordinatorShard.

import type {
  OffsetCommitRequest,
  OffsetCommitResponse,
} from "../../../protocol/messages/08_offset_commit.ts";
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
import type { ListGroupsRequest } from "../../../protocol/messages/16_list_groups.ts";
import type {
  OffsetDeleteRequest,
  OffsetDeleteResponse,
} from "../../../protocol/messages/47_offset_delete.ts";
import type {
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponse,
} from "../../../protocol/messages/68_consumer_group_heartbeat.ts";
import { answer, type Decision, type Now, type Reply, type Shard } from "../runtime/shard.ts";
import { ClassicGroups } from "./classic/classic_groups.ts";
import { ConsumerGroups } from "./consumer/consumer_groups.ts";
import { deleteGroups, describeGroups, listGroups } from "./describe.ts";
import type { GroupCall } from "./group.ts";
import type { GroupRecord } from "./group_record.ts";
import type {
  DeletedGroup,
  DescribedConsumerGroup,
  DescribedGroup,
  FetchedGroup,
  FetchGroup,
  GroupRequests,
  HeartbeatCall,
  ListedGroup,
} from "./group_requests.ts";
import type { GroupShardOptions } from "./group_shard_options.ts";
import { Groups } from "./groups.ts";
import { GroupOffsets } from "./offsets.ts";

type Decided = Decision<GroupRecord>;

export class GroupShard implements Shard<GroupRecord>, GroupRequests {
  readonly groups = new Groups();
  readonly classic: ClassicGroups;
  readonly consumer: ConsumerGroups;
  readonly offsets: GroupOffsets;

  constructor(options: GroupShardOptions) {
    const { groups } = this;
    this.classic = new ClassicGroups(options, groups);
    this.consumer = new ConsumerGroups(options, groups, this.classic);
    this.offsets = new GroupOffsets({
      options,
      groups,
      ensureSimple: (groupId) => this.classic.ensureSimple(groupId),
    });
  }

  // The log

  replay(record: GroupRecord, offset: number): void {
    switch (record.kind) {
      case "offset_commit":
        this.offsets.replay(record, offset);
        break;
      case "classic_group":
        this.classic.replay(record);
        break;
      default:
        this.consumer.replay(record);
    }
  }

  /** Of all records only offsets are ever written by transactions. */
  replayTransactional(record: GroupRecord, offset: number, producerId: number): void {
    if (record.kind === "offset_commit") {
      this.offsets.replayTransactional(record, offset, producerId);
    }
  }

  replayMarker(producerId: number, isCommit: boolean): void {
    this.offsets.replayMarker(producerId, isCommit);
  }

  loaded(now: Now): Decided {
    const parts = [this.classic.loaded(now), this.consumer.loaded(now), this.offsets.loaded(now)];
    return {
      records: parts.flatMap((part) => part.records),
      answers: parts.flatMap((part) => part.answers),
      mayBeSplit: true,
    };
  }

  dropped(): void {}

  // The classic protocol

  joinGroup(call: GroupCall, request: JoinGroupRequest, reply: Reply<JoinGroupResponse>): Decided {
    // An empty group takes the protocol of whoever comes first.
    const group = this.groups.get(request.groupId);
    return group?.type === "consumer" && !group.isEmpty
      ? this.consumer.classicJoin(call, request, reply)
      : this.classic.join(call, request, reply);
  }

  syncGroup(call: GroupCall, request: SyncGroupRequest, reply: Reply<SyncGroupResponse>): Decided {
    return this.#isConsumer(request.groupId)
      ? this.consumer.classicSync(call, request, reply)
      : this.classic.sync(call, request, reply);
  }

  heartbeat(call: GroupCall, request: HeartbeatRequest, reply: Reply<HeartbeatResponse>): Decided {
    return this.#isConsumer(request.groupId)
      ? this.consumer.classicHeartbeat(call, request, reply)
      : this.classic.heartbeat(call, request, reply);
  }

  leaveGroup(
    call: GroupCall,
    request: LeaveGroupRequest,
    reply: Reply<LeaveGroupResponse>,
  ): Decided {
    return this.#isConsumer(request.groupId)
      ? this.consumer.classicLeave(call, request, reply)
      : this.classic.leave(call, request, reply);
  }

  // The consumer protocol

  consumerGroupHeartbeat(
    call: HeartbeatCall,
    request: ConsumerGroupHeartbeatRequest,
    reply: Reply<ConsumerGroupHeartbeatResponse>,
  ): Decided {
    return this.consumer.heartbeat(call, request, reply);
  }

  consumerGroupDescribe(
    _call: GroupCall,
    groupIds: readonly string[],
    reply: Reply<readonly DescribedConsumerGroup[]>,
  ): Decided {
    const rows = groupIds.map((groupId) => this.consumer.describe(groupId));
    return { records: [], answers: [answer(reply, rows)] };
  }

  // Groups of either protocol

  describeGroups(
    call: GroupCall,
    groupIds: readonly string[],
    reply: Reply<readonly DescribedGroup[]>,
  ): Decided {
    return describeGroups(this.groups, call, groupIds, reply);
  }

  listGroups(
    _call: GroupCall,
    request: ListGroupsRequest,
    reply: Reply<readonly ListedGroup[]>,
  ): Decided {
    return listGroups(this.groups, request, reply);
  }

  deleteGroups(
    _call: GroupCall,
    groupIds: readonly string[],
    reply: Reply<readonly DeletedGroup[]>,
  ): Decided {
    const deleteOffsets = (groupId: string) => this.offsets.tombstonesOf(groupId);
    return deleteGroups(this.groups, groupIds, deleteOffsets, reply);
  }

  // Offsets

  commitOffsets(
    call: GroupCall,
    request: OffsetCommitRequest,
    reply: Reply<OffsetCommitResponse>,
  ): Decided {
    return this.offsets.commit(call, request, reply);
  }

  fetchOffsets(
    _call: GroupCall,
    groups: readonly FetchGroup[],
    requireStable: boolean,
    reply: Reply<readonly FetchedGroup[]>,
  ): Decided {
    return this.offsets.fetch(groups, requireStable, reply);
  }

  deleteOffsets(
    _call: GroupCall,
    request: OffsetDeleteRequest,
    reply: Reply<OffsetDeleteResponse>,
  ): Decided {
    return this.offsets.delete(request, reply);
  }

  topicsDeleted(names: readonly string[], _now: Now, reply: Reply<number>): Decided {
    return this.offsets.topicsDeleted(names, reply);
  }

  #isConsumer(groupId: string): boolean {
    return this.groups.get(groupId)?.type === "consumer";
  }
}
