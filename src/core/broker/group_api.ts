// The APIs of groups: checks what Kafka checks before a shard is asked, finds the shard of each group, and puts answers
// and refusals of shards into the response's shape. Invariant: rows come back in the order of the request.
// Kafka: KafkaApis, GroupCoordinatorService.

import type { Caller, GroupApi } from "../../contracts/broker.ts";
import { type KafkaErrorName, NONE, wireCodeOf } from "../../protocol/errors.ts";
import type {
  FindCoordinatorRequest,
  FindCoordinatorResponse,
} from "../../protocol/messages/10_find_coordinator.ts";
import type { JoinGroupResponse } from "../../protocol/messages/11_join_group.ts";
import type { HeartbeatResponse } from "../../protocol/messages/12_heartbeat.ts";
import type { LeaveGroupResponse } from "../../protocol/messages/13_leave_group.ts";
import type { SyncGroupResponse } from "../../protocol/messages/14_sync_group.ts";
import type {
  ListGroupsRequest,
  ListGroupsResponse,
} from "../../protocol/messages/16_list_groups.ts";
import type { OffsetDeleteResponse } from "../../protocol/messages/47_offset_delete.ts";
import type { ConsumerGroupHeartbeatResponse } from "../../protocol/messages/68_consumer_group_heartbeat.ts";
import { GROUP_VERSION } from "../cluster/features.ts";
import type {
  DeletedGroup,
  DescribedConsumerGroup,
  DescribedGroup,
  ListedGroup,
} from "../coordinator/group/group_requests.ts";
import { findCoordinators } from "./found_coordinators.ts";
import {
  GROUP_OPERATIONS,
  refusedConsumerDescribe,
  refusedConsumerHeartbeat,
  refusedDescribe,
  refusedJoin,
  refusedSync,
  saysProtocol,
} from "./group_answers.ts";
import { ask, byShard, callOf, type GroupContext } from "./group_dispatch.ts";
import { commitOffsets, fetchOffsets } from "./group_offsets.ts";
import { commitOffsetsInTransaction } from "./group_transactions.ts";

/** First version that may ask what the caller may do. */
const OPERATIONS_FROM = 3;
const KeyType = { group: 0, share: 2 } as const;

/** The group half of a broker. Nothing here asks who is calling: that is admission. */
export function createGroupApi(context: GroupContext): GroupApi {
  return {
    offsetCommit: (caller, request, version) => commitOffsets(context, caller, request, version),
    offsetFetch: (caller, request, version) => fetchOffsets(context, caller, request, version),
    txnOffsetCommit: (caller, request, version) =>
      commitOffsetsInTransaction(context, caller, request, version),
    findCoordinator: (caller, request, version) =>
      findCoordinator(context, caller, request, version),
    async joinGroup(caller, request, version) {
      const { groupId, sessionTimeoutMs } = request;
      if (groupId === "") return refusedJoin(request, version, "invalid_group_id");
      const { settings } = context.api;
      if (
        sessionTimeoutMs < settings.number("group.min.session.timeout.ms") ||
        sessionTimeoutMs > settings.number("group.max.session.timeout.ms")
      ) {
        return refusedJoin(request, version, "invalid_session_timeout");
      }
      const outcome = await ask<JoinGroupResponse>(
        context,
        groupId,
        caller,
        version,
        (shard, call, reply) => shard.joinGroup(call, request, reply),
      );
      return outcome.ok ? outcome.value : refusedJoin(request, version, outcome.error.code);
    },
    async syncGroup(caller, request, version) {
      const { groupId } = request;
      if (!saysProtocol(request, version)) return refusedSync("inconsistent_group_protocol");
      if (groupId === "") return refusedSync("invalid_group_id");
      const outcome = await ask<SyncGroupResponse>(
        context,
        groupId,
        caller,
        version,
        (shard, call, reply) => shard.syncGroup(call, request, reply),
      );
      return outcome.ok ? outcome.value : refusedSync(outcome.error.code);
    },
    async heartbeat(caller, request, version) {
      const { groupId } = request;
      const refused = (code: KafkaErrorName) => ({
        throttleTimeMs: 0,
        errorCode: wireCodeOf(code),
      });
      if (groupId === "") return refused("invalid_group_id");
      const outcome = await ask<HeartbeatResponse>(
        context,
        groupId,
        caller,
        version,
        (shard, call, reply) => shard.heartbeat(call, request, reply),
      );
      if (outcome.ok) return outcome.value;
      // A member need not do anything about a shard that is still loading.
      if (outcome.error.code === "coordinator_load_in_progress") {
        return { throttleTimeMs: 0, errorCode: NONE };
      }
      return refused(outcome.error.code);
    },
    async leaveGroup(caller, request, version) {
      const { groupId } = request;
      const refused = (code: KafkaErrorName) => ({
        throttleTimeMs: 0,
        errorCode: wireCodeOf(code),
        members: [],
      });
      if (groupId === "") return refused("invalid_group_id");
      const outcome = await ask<LeaveGroupResponse>(
        context,
        groupId,
        caller,
        version,
        (shard, call, reply) => shard.leaveGroup(call, request, reply),
      );
      return outcome.ok ? outcome.value : refused(outcome.error.code);
    },
    async describeGroups(caller, request, version) {
      const rows = await byShard<string, DescribedGroup>(
        context,
        request.groups,
        (groupId) => groupId,
        (groupId, groupIds) =>
          ask<readonly DescribedGroup[]>(context, groupId, caller, version, (shard, call, reply) =>
            shard.describeGroups(call, groupIds, reply),
          ),
        (groupId, code) => refusedDescribe(groupId, version, code),
      );
      const asksOperations = version >= OPERATIONS_FROM && request.includeAuthorizedOperations;
      return { throttleTimeMs: 0, groups: asksOperations ? rows.map(withOperations) : rows };
    },
    listGroups: (caller, request, version) => listGroups(context, caller, request, version),
    async deleteGroups(caller, request, version) {
      const results = await byShard<string, DeletedGroup>(
        context,
        [...new Set(request.groupsNames)],
        (groupId) => groupId,
        (groupId, groupIds) =>
          ask<readonly DeletedGroup[]>(context, groupId, caller, version, (shard, call, reply) =>
            shard.deleteGroups(call, groupIds, reply),
          ),
        (groupId, code) => ({ groupId, errorCode: wireCodeOf(code) }),
      );
      return { throttleTimeMs: 0, results };
    },
    async offsetDelete(caller, request, version) {
      const { groupId } = request;
      const refused = (code: KafkaErrorName) => ({
        throttleTimeMs: 0,
        errorCode: wireCodeOf(code),
        topics: [],
      });
      if (groupId === "") return refused("invalid_group_id");
      const outcome = await ask<OffsetDeleteResponse>(
        context,
        groupId,
        caller,
        version,
        (shard, call, reply) => shard.deleteOffsets(call, request, reply),
      );
      return outcome.ok ? outcome.value : refused(outcome.error.code);
    },
    async consumerGroupHeartbeat(caller, request, version) {
      const mayDescribe = (topic: string) => context.mayDescribe(caller, topic);
      const outcome = await ask<ConsumerGroupHeartbeatResponse>(
        context,
        request.groupId,
        caller,
        version,
        (shard, call, reply) =>
          shard.consumerGroupHeartbeat({ ...call, mayDescribe }, request, reply),
      );
      return outcome.ok ? outcome.value : refusedConsumerHeartbeat(outcome.error);
    },
    async consumerGroupDescribe(caller, request, version) {
      if (!servesConsumerProtocol(context)) {
        const groups = request.groupIds.map((groupId) =>
          refusedConsumerDescribe(groupId, "unsupported_version"),
        );
        return { throttleTimeMs: 0, groups };
      }
      const rows = await byShard<string, DescribedConsumerGroup>(
        context,
        request.groupIds.filter((groupId) => groupId !== ""),
        (groupId) => groupId,
        (groupId, groupIds) =>
          ask<readonly DescribedConsumerGroup[]>(
            context,
            groupId,
            caller,
            version,
            (shard, call, reply) => shard.consumerGroupDescribe(call, groupIds, reply),
          ),
        (groupId, code) => refusedConsumerDescribe(groupId, code),
      );
      const next = rows.values();
      const groups = request.groupIds.map((groupId) =>
        groupId === "" ? refusedConsumerDescribe("", "invalid_group_id") : next.next().value!,
      );
      return {
        throttleTimeMs: 0,
        groups: request.includeAuthorizedOperations ? groups.map(withOperations) : groups,
      };
    },
  };
}

function servesConsumerProtocol({ api }: GroupContext): boolean {
  const served = api.settings.text("group.coordinator.rebalance.protocols") ?? "";
  return served.split(",").includes("consumer") && api.cluster.featureLevel(GROUP_VERSION) >= 1;
}

function withOperations<Row extends { readonly errorCode: number }>(row: Row): Row {
  return row.errorCode === NONE ? { ...row, authorizedOperations: GROUP_OPERATIONS } : row;
}

async function listGroups(
  { groups }: GroupContext,
  caller: Caller,
  request: ListGroupsRequest,
  version: number,
): Promise<ListGroupsResponse> {
  const outcomes = await groups.runAll<readonly ListedGroup[]>(
    (shard, now, reply) => shard.listGroups(callOf(caller, version, now), request, reply),
    caller.signal,
  );
  let errorCode = NONE;
  const rows: ListedGroup[] = [];
  for (const outcome of outcomes) {
    if (outcome.ok) rows.push(...outcome.value);
    // A shard that is somebody else's has nothing to list here.
    else if (outcome.error.code !== "not_coordinator") errorCode = outcome.error.wireCode;
  }
  return { throttleTimeMs: 0, errorCode, groups: errorCode === NONE ? rows : [] };
}

function findCoordinator(
  { api, groups }: GroupContext,
  caller: Caller,
  request: FindCoordinatorRequest,
  version: number,
): Promise<FindCoordinatorResponse> {
  const { keyType } = request;
  return findCoordinators(api, caller, request, version, async (key) => {
    // As Kafka answers where share groups are off.
    if (keyType === KeyType.share) {
      return { code: "invalid_request", message: "Share groups are not served yet" };
    }
    if (keyType !== KeyType.group) {
      return { code: "invalid_request", message: `There are no groups of key type ${keyType}` };
    }
    const partition = await groups.find(key);
    if (partition !== null) return { brokerId: groups.leaderOf(partition) };
    return { code: "coordinator_not_available", message: "The topic of groups could not be made" };
  });
}
