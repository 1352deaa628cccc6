// Answers to members of classic groups, whole and of the right shape for the version.
// Kafka: JoinGroupResponse, SyncGroupResponse, HeartbeatResponse, LeaveGroupResponse.

import { type KafkaErrorName, NONE, wireCodeOf } from "../../../../protocol/errors.ts";
import type { JoinGroupResponse } from "../../../../protocol/messages/11_join_group.ts";
import type { HeartbeatResponse } from "../../../../protocol/messages/12_heartbeat.ts";
import type {
  LeaveGroupRequest,
  LeaveGroupResponse,
} from "../../../../protocol/messages/13_leave_group.ts";
import type { SyncGroupResponse } from "../../../../protocol/messages/14_sync_group.ts";

/** No assignment, no metadata. */
export const NO_BYTES = new Uint8Array(0);

function codeOf(error: KafkaErrorName | null): number {
  return error === null ? NONE : wireCodeOf(error);
}

/** A join that was let in. */
export function joined(
  version: number,
  fields: Partial<JoinGroupResponse> & Pick<JoinGroupResponse, "memberId">,
): JoinGroupResponse {
  return {
    throttleTimeMs: 0,
    errorCode: NONE,
    generationId: -1,
    protocolType: null,
    leader: "",
    skipAssignment: false,
    members: [],
    ...fields,
    // Null came with v7.
    protocolName: fields.protocolName ?? (version < 7 ? "" : null),
  };
}

export function joinRefused(
  version: number,
  memberId: string,
  error: KafkaErrorName,
): JoinGroupResponse {
  return joined(version, { memberId, errorCode: wireCodeOf(error) });
}

export function synced(
  assignment: Uint8Array,
  protocolType: string | null,
  protocolName: string | null,
): SyncGroupResponse {
  return { throttleTimeMs: 0, errorCode: NONE, protocolType, protocolName, assignment };
}

export function syncRefused(error: KafkaErrorName): SyncGroupResponse {
  return { ...synced(NO_BYTES, null, null), errorCode: wireCodeOf(error) };
}

/** Null: all is well. */
export function heartbeatAnswer(error: KafkaErrorName | null): HeartbeatResponse {
  return { throttleTimeMs: 0, errorCode: codeOf(error) };
}

export type LeavingMember = LeaveGroupRequest["members"][number];

/** Who is to leave, in the form of v3: before that a request was for one member. */
export function leavingMembers(
  version: number,
  request: LeaveGroupRequest,
): readonly LeavingMember[] {
  if (version >= 3) return request.members;
  return [{ memberId: request.memberId, groupInstanceId: null, reason: null }];
}

/** @param errors One for each member, in the order of the request. Before v3 the only member's error is the answer's. */
export function leaveAnswer(
  version: number,
  members: readonly LeavingMember[],
  errors: readonly (KafkaErrorName | null)[],
): LeaveGroupResponse {
  if (version < 3) {
    return { throttleTimeMs: 0, errorCode: codeOf(errors[0] ?? null), members: [] };
  }
  return {
    throttleTimeMs: 0,
    errorCode: NONE,
    members: members.map(({ memberId, groupInstanceId }, index) => ({
      memberId,
      groupInstanceId,
      errorCode: codeOf(errors[index] ?? null),
    })),
  };
}

/** Nobody left: the request as a whole was refused. */
export function leaveRefused(error: KafkaErrorName): LeaveGroupResponse {
  return { throttleTimeMs: 0, errorCode: wireCodeOf(error), members: [] };
}
