// Classic groups in the log: a group's record out of its state and back, and which living group a record belongs to.
// Invariant: a record that a decision of this shard wrote leaves the living group as it is, with all that waits for it;
// any other record makes the group anew.
// Kafka: GroupCoordinatorRecordHelpers.newGroupMetadataRecord, GroupMetadataManager.replay(GroupMetadataKey, …).

import { DecodeError } from "../../../../base/byte_reader.ts";
import type { Logger } from "../../../../contracts/runtime.ts";
import type { GroupMetadataValue } from "../../../../protocol/internal_records/classic_group.ts";
import { ClassicGroup, type Sessions } from "./classic_group.ts";
import { ClassicMember } from "./member.ts";
import { topicsOf } from "./subscription.ts";
import type { Turn } from "./turn.ts";

/** Records on their way from a decision to replay. */
export class WrittenGroups {
  readonly #byId = new Map<string, { readonly value: GroupMetadataValue; group: ClassicGroup }>();

  write(turn: Turn, group: ClassicGroup, value: GroupMetadataValue): void {
    const { groupId } = group;
    turn.records.push({ kind: "classic_group", key: { group: groupId }, value });
    this.#byId.set(groupId, { value, group });
  }

  /** The record could not be written. */
  forget(groupId: string): void {
    this.#byId.delete(groupId);
  }

  /** The living group that this very record tells of; null when it comes out of the log. */
  take(groupId: string, value: GroupMetadataValue): ClassicGroup | null {
    const written = this.#byId.get(groupId);
    if (written?.value !== value) return null;
    this.#byId.delete(groupId);
    return written.group;
  }
}

/** The group as it is, with its members' assignments. */
export function recordValueOf(group: ClassicGroup): GroupMetadataValue {
  return {
    protocolType: group.protocolType,
    generation: group.generation,
    protocol: group.protocolName,
    leader: group.leaderId,
    currentStateTimestamp: group.stateSinceMs,
    members: [...group.members()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeout: member.rebalanceTimeoutMs,
      sessionTimeout: member.sessionTimeoutMs,
      subscription: member.metadata(group.protocolName),
      assignment: member.assignment,
    })),
  };
}

/** What is stored of a group whose first member is about to join. */
export function newGroupValue(stateSinceMs: number): GroupMetadataValue {
  return {
    protocolType: "",
    generation: 0,
    protocol: null,
    leader: null,
    currentStateTimestamp: stateSinceMs,
    members: [],
  };
}

/** The group that a record tells of. Of each member's protocols the record knows the one that the group goes by. */
export function groupOf(
  groupId: string,
  value: GroupMetadataValue,
  sessions: Sessions,
  log: Logger,
): ClassicGroup {
  const group = new ClassicGroup(
    {
      groupId,
      state: value.members.length === 0 ? "Empty" : "Stable",
      generation: value.generation,
      protocolType: value.protocolType,
      protocolName: value.protocol,
      leaderId: value.leader,
      stateSinceMs: Number(value.currentStateTimestamp),
      members: value.members.map(
        (member) =>
          new ClassicMember({
            memberId: member.memberId,
            groupInstanceId: member.groupInstanceId,
            clientId: member.clientId,
            clientHost: member.clientHost,
            // Records of old brokers have none.
            rebalanceTimeoutMs:
              member.rebalanceTimeout === -1 ? member.sessionTimeout : member.rebalanceTimeout,
            sessionTimeoutMs: member.sessionTimeout,
            protocols: [{ name: value.protocol ?? "", metadata: member.subscription }],
            assignment: member.assignment,
          }),
      ),
    },
    sessions,
  );
  group.stored = value;
  learnSubscription(group, log);
  return group;
}

/** What the members of the new generation read, as far as they speak the protocol of consumers. */
export function learnSubscription(group: ClassicGroup, log: Logger): void {
  group.subscribed = null;
  if (!group.usesConsumerProtocol) return;
  if (group.memberCount > 0 && group.protocolName === null) return;
  const topics = new Set<string>();
  try {
    for (const member of group.members()) {
      for (const topic of topicsOf(member.metadata(group.protocolName))) topics.add(topic);
    }
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    log.warn("group_subscription_unreadable", {
      group: group.groupId,
      protocol: group.protocolName,
      reason: error.message,
    });
    return;
  }
  group.subscribed = topics;
}
