// JoinGroup: who is let in, under which id, and what it starts. A dynamic member is given an id first and comes again with
// it (v4+, KIP-394); a static one takes the place of its predecessor, without a rebalance when nothing else changes.
// Kafka: GroupMetadataManager.classicGroupJoinToClassicGroup and what it calls.

import { randomUuid, uuidToHex } from "../../../../base/uuid.ts";
import type { KafkaErrorName } from "../../../../protocol/errors.ts";
import type {
  JoinGroupRequest,
  JoinGroupResponse,
} from "../../../../protocol/messages/11_join_group.ts";
import type { Decision, Now, Reply } from "../../runtime/shard.ts";
import type { GroupCall } from "../group.ts";
import type { GroupRecord } from "../group_record.ts";
import type { GroupSettings } from "../group_settings.ts";
import type { GroupShardOptions } from "../group_shard_options.ts";
import type { ClassicGroup } from "./classic_group.ts";
import { ClassicMember, ownProtocols } from "./member.ts";
import type { Rebalances } from "./rebalance.ts";
import { joined, joinRefused } from "./responses.ts";
import { learnSubscription, recordValueOf, type WrittenGroups } from "./stored_group.ts";
import { Turn } from "./turn.ts";

/** Of a text that comes from a client, as much as is logged. */
const REASON_LENGTH_MAX = 255;
const NAME_LENGTH_MAX = 255;

/** One request on its way through the paths. */
export interface Join {
  readonly turn: Turn;
  readonly call: GroupCall;
  readonly request: JoinGroupRequest;
  readonly reply: Reply<JoinGroupResponse>;
}

/** Why a join is refused whatever the group; null when the group is to say. */
export function refuseJoin(
  request: JoinGroupRequest,
  settings: GroupSettings,
): KafkaErrorName | null {
  const { groupId, sessionTimeoutMs } = request;
  if (groupId === "") return "invalid_group_id";
  const { sessionTimeoutMsMin, sessionTimeoutMsMax } = settings;
  const isWithin =
    sessionTimeoutMs >= sessionTimeoutMsMin && sessionTimeoutMs <= sessionTimeoutMsMax;
  return isWithin ? null : "invalid_session_timeout";
}

export class Joins {
  readonly #options: GroupShardOptions;
  readonly #rebalances: Rebalances;
  readonly #written: WrittenGroups;

  constructor(options: GroupShardOptions, rebalances: Rebalances, written: WrittenGroups) {
    this.#options = options;
    this.#rebalances = rebalances;
    this.#written = written;
  }

  join(join: Join, group: ClassicGroup): void {
    const { request } = join;
    const { memberId } = request;
    if (!this.#hasRoom(group, memberId)) {
      // The last ones to come are out when group.max.size was lowered: the group may not lead them any more.
      this.#rebalances.end(group.groupId, memberId);
      group.remove(memberId);
      refuse(join, "group_max_size_reached", "");
    } else if (!group.supports(request.protocolType, request.protocols)) {
      refuse(join, "inconsistent_group_protocol", memberId);
    } else if (memberId === "") {
      this.#joinNew(join, group);
    } else if (group.pendingJoins.has(memberId)) {
      // An id is given to dynamic members alone; Kafka finds itself in an illegal state here.
      if (request.groupInstanceId !== null) refuse(join, "unknown_server_error", "");
      else this.#add(join, group, memberId);
    } else {
      const error = group.checkMember(memberId, request.groupInstanceId);
      if (error !== null) refuse(join, error, memberId);
      else this.#joinAgain(join, group, group.member(memberId)!);
    }
  }

  /** Whether the group takes one more, or has the member already. */
  #hasRoom(group: ClassicGroup, memberId: string): boolean {
    const { sizeMax } = this.#options.settings;
    switch (group.stateName) {
      case "Empty":
      case "Dead":
        return true;
      case "PreparingRebalance":
        // By those who wait: of a group that has become too large the last ones to join again are out.
        return group.member(memberId)?.join != null || group.joinCount < sizeMax;
      default:
        return group.member(memberId) !== undefined || group.memberCount < sizeMax;
    }
  }

  #joinNew(join: Join, group: ClassicGroup): void {
    const { request, call, turn, reply } = join;
    const { groupInstanceId } = request;
    const uuid = uuidToHex(randomUuid(this.#options.random));
    const memberId = `${beginning(groupInstanceId ?? call.clientId)}-${uuid}`;
    if (groupInstanceId !== null) {
      const predecessor = group.staticMemberId(groupInstanceId);
      if (predecessor !== undefined) this.#replace(join, group, predecessor, memberId);
      else this.#add(join, group, memberId);
    } else if (call.version >= 4) {
      this.#rebalances.startPending(group, memberId, request.sessionTimeoutMs);
      turn.answer(reply, joinRefused(call.version, memberId, "member_id_required"));
    } else {
      this.#add(join, group, memberId);
    }
  }

  #add(join: Join, group: ClassicGroup, memberId: string): void {
    const { call, request, turn, reply } = join;
    const { groupInstanceId } = request;
    const member = new ClassicMember({
      memberId,
      groupInstanceId,
      clientId: call.clientId,
      clientHost: call.clientHost,
      ...saidBy(join),
    });
    if (group.stateName === "PreparingRebalance" && group.previousStateName === "Empty") {
      group.hasNewMember = true;
    }
    group.add(member, request.protocolType);
    group.parkJoin(turn, member, { reply, version: call.version });
    this.#rebalances.startNew(group, member);
    const who = groupInstanceId === null ? memberId : `${memberId} (${groupInstanceId})`;
    this.#rebalances.prepareOrComplete(turn, group, because(`new member ${who}`, join));
  }

  #joinAgain(join: Join, group: ClassicGroup, member: ClassicMember): void {
    const { request } = join;
    const { memberId } = member;
    switch (group.stateName) {
      case "PreparingRebalance":
        this.#update(join, group, member, `member ${memberId} joins again`);
        break;
      case "CompletingRebalance":
        // The same metadata: it has not got the answer to its join.
        if (member.matches(request.protocols)) answerCurrent(join, group);
        else this.#update(join, group, member, `member ${memberId} has new metadata`);
        break;
      case "Stable":
        // A leader asks for a rebalance by joining: what it divides may have changed.
        if (group.leaderId === memberId) {
          this.#update(join, group, member, `leader ${memberId} joins again`);
        } else if (!member.matches(request.protocols)) {
          this.#update(join, group, member, `member ${memberId} has new metadata`);
        } else {
          answerCurrent(join, group);
        }
        break;
      default:
        refuse(join, "unknown_member_id", memberId);
    }
  }

  #update(join: Join, group: ClassicGroup, member: ClassicMember, reason: string): void {
    const { turn, reply, call } = join;
    group.update(member, saidBy(join));
    group.parkJoin(turn, member, { reply, version: call.version });
    this.#rebalances.prepareOrComplete(turn, group, because(reason, join));
  }

  /** A static member comes without its id, or with another's place: it goes on where its predecessor was. */
  #replace(join: Join, group: ClassicGroup, oldMemberId: string, newMemberId: string): void {
    const { turn, reply, call } = join;
    const oldLeaderId = group.leaderId;
    const member = group.replaceStatic(oldMemberId, newMemberId, turn);
    const { protocols, rebalanceTimeoutMs, sessionTimeoutMs } = member;
    const before = { protocols, rebalanceTimeoutMs, sessionTimeoutMs };
    this.#rebalances.end(group.groupId, oldMemberId);
    // For the first time by what its predecessor said, as Kafka does: the next heartbeat goes by what it says itself.
    this.#rebalances.start(group, member);
    group.update(member, saidBy(join));
    this.#options.log.info("group_static_member_replaced", {
      group: group.groupId,
      instance: member.groupInstanceId,
      member: newMemberId,
      replaced: oldMemberId,
    });
    if (group.stateName === "Stable" && group.selectProtocol() === group.protocolName) {
      // The assignment stands, and the members know nothing of it: only the log does.
      turn.tooLarge = (now) =>
        this.#takeReplacementBack(now, join, group, member, oldMemberId, before);
      this.#written.write(turn, group, recordValueOf(group));
      learnSubscription(group, this.#options.log);
      const isLeader = group.leaderId === newMemberId;
      const skips = isLeader && call.version >= 9;
      turn.answer(
        reply,
        joined(call.version, {
          ...currentOf(group, newMemberId),
          // Who does not know how to skip the assignment must not take itself for the leader: it is told of the old one.
          leader: (call.version >= 9 ? group.leaderId : oldLeaderId) ?? "",
          skipAssignment: skips,
          members: skips ? group.joinMembers() : [],
        }),
      );
      return;
    }
    group.parkJoin(turn, member, { reply, version: call.version });
    const reason = because(`static member ${member.groupInstanceId} is ${newMemberId} now`, join);
    // The leader may have been told of the old id, and would assign nothing to the new one.
    this.#rebalances.prepareOrComplete(turn, group, reason);
  }

  #takeReplacementBack(
    now: Now,
    join: Join,
    group: ClassicGroup,
    member: ClassicMember,
    oldMemberId: string,
    before: Parameters<ClassicGroup["update"]>[1],
  ): Decision<GroupRecord> {
    const turn = new Turn(now);
    this.#written.forget(group.groupId);
    group.update(member, before);
    const old = group.replaceStatic(member.memberId, oldMemberId, turn);
    this.#rebalances.end(group.groupId, member.memberId);
    this.#rebalances.start(group, old);
    learnSubscription(group, this.#options.log);
    turn.answer(join.reply, joinRefused(join.call.version, "", "unknown_server_error"));
    return turn.decision();
  }
}

function saidBy({ request, call }: Join) {
  const { sessionTimeoutMs, rebalanceTimeoutMs, protocols } = request;
  return {
    sessionTimeoutMs,
    // v0 knows no other timeout.
    rebalanceTimeoutMs: call.version === 0 ? sessionTimeoutMs : rebalanceTimeoutMs,
    protocols: ownProtocols(protocols),
  };
}

function because(reason: string, { request }: Join): string {
  const said = request.reason ?? "";
  return said === "" ? reason : `${reason}: ${said.slice(0, REASON_LENGTH_MAX)}`;
}

function refuse({ turn, reply, call }: Join, error: KafkaErrorName, memberId: string): void {
  turn.answer(reply, joinRefused(call.version, memberId, error));
}

/** The generation as it stands: the member goes on to sync. */
function answerCurrent({ turn, reply, call, request }: Join, group: ClassicGroup): void {
  const { memberId } = request;
  const sees = group.stateName === "CompletingRebalance" && group.leaderId === memberId;
  const members = sees ? group.joinMembers() : [];
  turn.answer(reply, joined(call.version, { ...currentOf(group, memberId), members }));
}

function currentOf(group: ClassicGroup, memberId: string) {
  return {
    memberId,
    generationId: group.generation,
    protocolType: group.protocolType,
    protocolName: group.protocolName,
    leader: group.leaderId ?? "",
  };
}

/** Of a name that may be as long as a string on the wire: with an id behind it, it would be longer. */
function beginning(name: string): string {
  if (name.length <= NAME_LENGTH_MAX) return name;
  // By whole characters: half of one would come back as another one.
  return Array.from(name).slice(0, NAME_LENGTH_MAX).join("");
}
