// The groups of the consumer protocol (KIP-848) of one shard: their requests, records and timers.
// Invariants: the log's records alone change a ConsumerGroup; a member that is heard of in time stays.
// Kafka: the consumer half of GroupMetadataManager.

import { assert } from "../../../../base/assert.ts";
import type {
  JoinGroupRequest,
  JoinGroupResponse,
} from "../../../../protocol/messages/11_join_group.ts";
import type {
  HeartbeatRequest,
  HeartbeatResponse,
} from "../../../../protocol/messages/12_heartbeat.ts";
import type {
  LeaveGroupRequest,
  LeaveGroupResponse,
} from "../../../../protocol/messages/13_leave_group.ts";
import type {
  SyncGroupRequest,
  SyncGroupResponse,
} from "../../../../protocol/messages/14_sync_group.ts";
import type {
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponse,
} from "../../../../protocol/messages/68_consumer_group_heartbeat.ts";
import { type Decision, NO_DECISION, type Now, type Reply } from "../../runtime/shard.ts";
import type { GroupCall } from "../group.ts";
import type { ConsumerGroupRecord, GroupRecord } from "../group_record.ts";
import type { HeartbeatCall } from "../group_requests.ts";
import type { GroupShardOptions } from "../group_shard_options.ts";
import type { Groups } from "../groups.ts";
import { classicHeartbeat, classicJoin, classicLeave, classicSync } from "./classic_requests.ts";
import type { ClassicSide } from "./classic_side.ts";
import { ConsumerGroup } from "./consumer_group.ts";
import type { ConsumerContext } from "./context.ts";
import { type DescribedConsumerGroup, describe } from "./describe.ts";
import { fenceOne } from "./fencing.ts";
import { heartbeat } from "./heartbeats.ts";
import { MEMBER_UNREVOKED } from "./member.ts";
import { MemberTimers } from "./member_timers.ts";
import { TopicHashes } from "./topic_hash.ts";

export class ConsumerGroups {
  readonly #context: ConsumerContext;

  constructor(options: GroupShardOptions, groups: Groups, classic: ClassicSide) {
    this.#context = {
      options,
      groups,
      classic,
      timers: new MemberTimers(options.timers, groups, (group, member, reason, now) =>
        fenceOne(this.#context, group, member, reason, now),
      ),
      hashes: new TopicHashes(),
      softStates: new Map(),
    };
  }

  /** Any ConsumerGroupHeartbeat, whatever group has the id. */
  heartbeat(
    call: HeartbeatCall,
    request: ConsumerGroupHeartbeatRequest,
    reply: Reply<ConsumerGroupHeartbeatResponse>,
  ): Decision<GroupRecord> {
    return heartbeat(this.#context, call, request, reply);
  }

  /** One group of a ConsumerGroupDescribe. Operations are left to whoever knows who may do what. */
  describe(groupId: string): DescribedConsumerGroup {
    return describe(this.#context, groupId);
  }

  /** JoinGroup for a consumer group that has members; an empty one becomes a classic group (ClassicGroups.join). */
  classicJoin(
    call: GroupCall,
    request: JoinGroupRequest,
    reply: Reply<JoinGroupResponse>,
  ): Decision<GroupRecord> {
    return classicJoin(this.#context, this.#group(request.groupId), call, request, reply);
  }

  /** SyncGroup for a consumer group. */
  classicSync(
    _call: GroupCall,
    request: SyncGroupRequest,
    reply: Reply<SyncGroupResponse>,
  ): Decision<GroupRecord> {
    return classicSync(this.#context, this.#group(request.groupId), request, reply);
  }

  /** Heartbeat for a consumer group. */
  classicHeartbeat(
    _call: GroupCall,
    request: HeartbeatRequest,
    reply: Reply<HeartbeatResponse>,
  ): Decision<GroupRecord> {
    return classicHeartbeat(this.#context, this.#group(request.groupId), request, reply);
  }

  /** LeaveGroup for a consumer group, of members of both protocols. */
  classicLeave(
    call: GroupCall,
    request: LeaveGroupRequest,
    reply: Reply<LeaveGroupResponse>,
  ): Decision<GroupRecord> {
    return classicLeave(this.#context, this.#group(request.groupId), call, request, reply);
  }

  replay(record: ConsumerGroupRecord): void {
    const { groups, softStates, options } = this.#context;
    const { groupId } = record.key;
    const known = groups.get(groupId);
    let group = known instanceof ConsumerGroup ? known : null;
    if (group === null) {
      // A tombstone of what is not there any more, or became a classic group.
      if (record.value === null) return;
      if (known !== undefined && !known.isEmpty) {
        options.log.error("group_replaced_on_replay", { groupId, type: known.type });
      }
      group = new ConsumerGroup(groupId);
      groups.set(group);
    }
    if (!group.apply(record)) return;
    groups.delete(groupId);
    softStates.delete(groupId);
  }

  /** Every session starts anew, as nobody was heard of while the shard was away. */
  loaded(_now: Now): Decision<GroupRecord> {
    const { groups, options, timers } = this.#context;
    for (const group of groups.values()) {
      if (!(group instanceof ConsumerGroup)) continue;
      const { groupId } = group;
      const sessionTimeoutMs = options.settings.consumerSessionTimeoutMs(groupId);
      for (const member of group.members.values()) {
        const timeoutMs = member.classic?.sessionTimeoutMs ?? sessionTimeoutMs;
        timers.session(groupId, member.memberId, timeoutMs);
        if (member.state === MEMBER_UNREVOKED && member.classic === null) {
          timers.rebalance(groupId, member);
        }
      }
    }
    return NO_DECISION;
  }

  #group(groupId: string): ConsumerGroup {
    const group = this.#context.groups.get(groupId);
    assert(group instanceof ConsumerGroup, "the request is for a consumer group");
    return group;
  }
}
