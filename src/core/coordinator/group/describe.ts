// DescribeGroups, ListGroups and DeleteGroups on the groups of one shard, of whatever protocol.
// What a caller may do with a group is not known here: those bits are set by whoever knows the caller.
// Kafka: GroupMetadataManager.describeGroups, listGroups; GroupCoordinatorShard.deleteGroups.

import { javaTrim } from "../../../base/java_trim.ts";
import { errorText, NONE, wireCodeOf } from "../../../protocol/errors.ts";
import type { ListGroupsRequest } from "../../../protocol/messages/16_list_groups.ts";
import { answer, type Decision, type Reply } from "../runtime/shard.ts";
import { ClassicGroup } from "./classic/classic_group.ts";
import type { ClassicMember } from "./classic/member.ts";
import { NO_BYTES } from "./classic/responses.ts";
import type { GroupCall } from "./group.ts";
import type { GroupRecord } from "./group_record.ts";
import type { DeletedGroup, DescribedGroup, ListedGroup } from "./group_requests.ts";
import type { Groups } from "./groups.ts";

type DescribedMember = DescribedGroup["members"][number];

/** `authorizedOperations` when nobody asked for them. */
const OPERATIONS_NOT_ASKED = -2_147_483_648;

/** A row for each id, in their order. Groups of another protocol are as good as unknown to this API. */
export function describeGroups(
  groups: Groups,
  call: GroupCall,
  groupIds: readonly string[],
  reply: Reply<readonly DescribedGroup[]>,
): Decision<GroupRecord> {
  const rows = groupIds.map((groupId) => {
    const group = groups.get(groupId);
    if (group instanceof ClassicGroup) return described(group);
    return undescribed(groupId, call.version, group !== undefined);
  });
  return { records: [], answers: [answer(reply, rows)] };
}

function described(group: ClassicGroup): DescribedGroup {
  // Before the leader has assigned, what members said is nobody's business but its own.
  const protocolName = group.stateName === "Stable" ? group.protocolName : null;
  return {
    errorCode: NONE,
    errorMessage: null,
    groupId: group.groupId,
    groupState: group.stateName,
    protocolType: group.protocolType,
    protocolData: protocolName ?? "",
    members: Array.from(group.members(), (member) => describedMember(member, protocolName)),
    authorizedOperations: OPERATIONS_NOT_ASKED,
  };
}

function describedMember(member: ClassicMember, protocolName: string | null): DescribedMember {
  return {
    memberId: member.memberId,
    groupInstanceId: member.groupInstanceId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    memberMetadata: protocolName === null ? NO_BYTES : member.metadata(protocolName),
    memberAssignment: member.assignment,
  };
}

/** An unknown group is a dead one; that this is an error came with v6 (KIP-1043). */
function undescribed(groupId: string, version: number, isOther: boolean): DescribedGroup {
  const saysSo = version >= 6;
  const message = isOther
    ? `Group ${groupId} is not a classic group.`
    : `Group ${groupId} not found.`;
  return {
    errorCode: saysSo ? wireCodeOf("group_id_not_found") : NONE,
    errorMessage: saysSo ? errorText(message) : null,
    groupId,
    groupState: "Dead",
    protocolType: "",
    protocolData: "",
    members: [],
    authorizedOperations: OPERATIONS_NOT_ASKED,
  };
}

/** Filters are of no regard to case; an empty one lets all through, one that names nothing we know lets nothing through. */
export function listGroups(
  groups: Groups,
  request: ListGroupsRequest,
  reply: Reply<readonly ListedGroup[]>,
): Decision<GroupRecord> {
  const states = new Set(request.statesFilter.map((state) => javaTrim(state.toLowerCase())));
  const types = new Set(request.typesFilter.map((type) => type.toLowerCase()));
  const rows: ListedGroup[] = [];
  for (const group of groups.values()) {
    if (states.size > 0 && !states.has(group.stateName.toLowerCase())) continue;
    if (types.size > 0 && !types.has(group.type)) continue;
    rows.push({
      groupId: group.groupId,
      protocolType: group.protocolType,
      groupState: group.stateName,
      groupType: group.type,
    });
  }
  return { records: [], answers: [answer(reply, rows)] };
}

/**
 * Deletes groups without members, with their offsets. A row for each id, in their order; an id that comes twice is
 * deleted once.
 *
 * @param deleteOffsets Tombstones for all offsets of a group.
 */
export function deleteGroups(
  groups: Groups,
  groupIds: readonly string[],
  deleteOffsets: (groupId: string) => readonly GroupRecord[],
  reply: Reply<readonly DeletedGroup[]>,
): Decision<GroupRecord> {
  const records: GroupRecord[] = [];
  const deleted = new Set<string>();
  const rows = groupIds.map((groupId) => {
    const group = groups.get(groupId);
    const error = group === undefined ? "group_id_not_found" : group.checkDelete();
    if (error !== null) return { groupId, errorCode: wireCodeOf(error) };
    if (!deleted.has(groupId)) {
      deleted.add(groupId);
      // Offsets first: a crash in between leaves a group that can be deleted again, never offsets without one.
      records.push(...deleteOffsets(groupId), ...group!.tombstones());
    }
    return { groupId, errorCode: NONE };
  });
  return { records, answers: [answer(reply, rows)], mayBeSplit: true };
}
