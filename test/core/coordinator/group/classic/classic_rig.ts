// Classic groups under test: a rig with their part of the shard alone, and requests in short.

import { expect } from "bun:test";
import { ClassicGroup } from "../../../../../src/core/coordinator/group/classic/classic_group.ts";
import { ClassicGroups } from "../../../../../src/core/coordinator/group/classic/classic_groups.ts";
import type { GroupRecord } from "../../../../../src/core/coordinator/group/group_record.ts";
import type { GroupShardOptions } from "../../../../../src/core/coordinator/group/group_shard_options.ts";
import { Groups } from "../../../../../src/core/coordinator/group/groups.ts";
import type { Decision, Now } from "../../../../../src/core/coordinator/runtime/shard.ts";
import { type KafkaErrorName, NONE, wireCodeOf } from "../../../../../src/protocol/errors.ts";
import { ConsumerProtocolSubscription } from "../../../../../src/protocol/internal_records/consumer_protocol.ts";
import type { JoinGroupResponse } from "../../../../../src/protocol/messages/11_join_group.ts";
import type { HeartbeatResponse } from "../../../../../src/protocol/messages/12_heartbeat.ts";
import type {
  LeaveGroupRequest,
  LeaveGroupResponse,
} from "../../../../../src/protocol/messages/13_leave_group.ts";
import type { SyncGroupResponse } from "../../../../../src/protocol/messages/14_sync_group.ts";
import { encodeStoredValue } from "../../../../../src/protocol/stored.ts";
import {
  type Asked,
  canonical,
  type RigOptions,
  type RigSubject,
  ShardRig,
} from "../../shard_rig.ts";

export class ClassicSubject implements RigSubject {
  readonly groups = new Groups();
  readonly classic: ClassicGroups;

  constructor(options: GroupShardOptions) {
    this.classic = new ClassicGroups(options, this.groups);
  }

  replay(record: GroupRecord): void {
    if (record.kind === "classic_group") this.classic.replay(record);
    else if (record.kind === "offset_commit" && record.value !== null) {
      this.classic.ensureSimple(record.key.group);
    }
  }

  loaded(now: Now): Decision<GroupRecord> {
    return this.classic.loaded(now);
  }

  snapshot(): unknown {
    const stored = new Map<string, unknown>();
    for (const group of this.groups.values()) {
      if (group instanceof ClassicGroup && group.stored !== null) {
        stored.set(group.groupId, group.stored);
      }
    }
    return stored;
  }

  group(groupId = "g"): ClassicGroup {
    const group = this.groups.get(groupId);
    if (!(group instanceof ClassicGroup)) throw new Error(`No classic group ${groupId}`);
    return group;
  }
}

export type ClassicRig = ShardRig<ClassicSubject>;

/** No initial delay unless a test is about it. */
export function classicRig(options: RigOptions = {}): ClassicRig {
  const settings = { initialRebalanceDelayMs: 0, ...options.settings };
  return new ShardRig((shard) => new ClassicSubject(shard), { ...options, settings });
}

export function metadataFor(topics: readonly string[], version = 1): Uint8Array {
  return encodeStoredValue(ConsumerProtocolSubscription, version, {
    topics: [...topics],
    ownedPartitions: [],
  });
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function text(content: Uint8Array): string {
  return new TextDecoder().decode(content);
}

export interface JoinAs {
  readonly group?: string;
  readonly member?: string;
  readonly instance?: string | null;
  readonly client?: string;
  readonly version?: number;
  readonly sessionMs?: number;
  readonly rebalanceMs?: number;
  readonly type?: string;
  readonly protocols?: Readonly<Record<string, Uint8Array>>;
  readonly reason?: string | null;
}

export function join(rig: ClassicRig, as: JoinAs = {}): Asked<JoinGroupResponse> {
  const call = rig.call({ version: as.version ?? 9, clientId: as.client ?? "client" });
  const protocols = as.protocols ?? { range: metadataFor(["t"]) };
  return rig.ask((subject, reply) =>
    subject.classic.join(
      call,
      {
        groupId: as.group ?? "g",
        memberId: as.member ?? "",
        groupInstanceId: as.instance ?? null,
        sessionTimeoutMs: as.sessionMs ?? 10_000,
        rebalanceTimeoutMs: as.rebalanceMs ?? 20_000,
        protocolType: as.type ?? "consumer",
        protocols: Object.entries(protocols).map(([name, metadata]) => ({ name, metadata })),
        reason: as.reason ?? null,
      },
      reply,
    ),
  );
}

export interface SyncAs {
  readonly group?: string;
  readonly member: string;
  readonly generation: number;
  readonly instance?: string | null;
  readonly version?: number;
  readonly type?: string | null;
  readonly protocol?: string | null;
  /** By member id: what the leader gives. */
  readonly assigns?: Readonly<Record<string, string>>;
}

export function sync(rig: ClassicRig, as: SyncAs): Asked<SyncGroupResponse> {
  return rig.ask((subject, reply) =>
    subject.classic.sync(
      rig.call({ version: as.version ?? 5 }),
      {
        groupId: as.group ?? "g",
        memberId: as.member,
        generationId: as.generation,
        groupInstanceId: as.instance ?? null,
        protocolType: as.type === undefined ? "consumer" : as.type,
        protocolName: as.protocol === undefined ? "range" : as.protocol,
        assignments: Object.entries(as.assigns ?? {}).map(([memberId, assignment]) => ({
          memberId,
          assignment: bytes(assignment),
        })),
      },
      reply,
    ),
  );
}

export function heartbeat(
  rig: ClassicRig,
  member: string,
  generation: number,
  instance: string | null = null,
  group = "g",
): KafkaErrorName | null {
  const asked = rig.ask<HeartbeatResponse>((subject, reply) =>
    subject.classic.heartbeat(
      rig.call({ version: 4 }),
      { groupId: group, memberId: member, generationId: generation, groupInstanceId: instance },
      reply,
    ),
  );
  return errorOf(asked.value.errorCode);
}

/** Members by id, or by instance id where it says so. */
export function leave(
  rig: ClassicRig,
  members: readonly (string | { readonly instance: string; readonly member?: string })[],
  version = 5,
  group = "g",
): LeaveGroupResponse {
  const rows: LeaveGroupRequest["members"] = members.map((each) =>
    typeof each === "string"
      ? { memberId: each, groupInstanceId: null, reason: "bye" }
      : { memberId: each.member ?? "", groupInstanceId: each.instance, reason: null },
  );
  const asked = rig.ask<LeaveGroupResponse>((subject, reply) =>
    subject.classic.leave(
      rig.call({ version }),
      {
        groupId: group,
        memberId: version < 3 ? (rows[0]?.memberId ?? "") : "",
        members: version < 3 ? [] : rows,
      },
      reply,
    ),
  );
  return asked.value;
}

/** The name of an error code; null for none. */
export function errorOf(errorCode: number): KafkaErrorName | null {
  if (errorCode === NONE) return null;
  const names: readonly KafkaErrorName[] = [
    "unknown_server_error",
    "coordinator_not_available",
    "illegal_generation",
    "inconsistent_group_protocol",
    "invalid_group_id",
    "unknown_member_id",
    "invalid_session_timeout",
    "rebalance_in_progress",
    "non_empty_group",
    "group_id_not_found",
    "member_id_required",
    "group_max_size_reached",
    "fenced_instance_id",
  ];
  const name = names.find((each) => wireCodeOf(each) === errorCode);
  if (name === undefined) throw new Error(`Unexpected error code ${errorCode}`);
  return name;
}

export function joinError(asked: Asked<JoinGroupResponse>): KafkaErrorName | null {
  return errorOf(asked.value.errorCode);
}

export function syncError(asked: Asked<SyncGroupResponse>): KafkaErrorName | null {
  return errorOf(asked.value.errorCode);
}

export interface Formed {
  readonly generation: number;
  readonly leader: string;
  /** In the order of their coming. */
  readonly members: readonly string[];
}

/** Members come together (as v3, without the way round by an id), the leader assigns, and the group is stable. */
export function form(
  rig: ClassicRig,
  count: number,
  as: (index: number) => JoinAs = () => ({}),
): Formed {
  const asked = Array.from({ length: count }, (_, i) => join(rig, { version: 3, ...as(i) }));
  for (let tries = 0; !asked[0]!.isDone && tries < 10; tries++) {
    rig.advance(rig.settings.initialRebalanceDelayMs);
  }
  const { generationId: generation, leader } = asked[0]!.value;
  const members = asked.map((each) => each.value.memberId);
  const group = as(0).group ?? "g";
  const { protocolType, protocolName } = rig.subject.group(group);
  const assigns = Object.fromEntries(members.map((member, i) => [member, `${generation}.${i}`]));
  const say = { group, generation, type: protocolType, protocol: protocolName };
  const followers = members.filter((member) => member !== leader);
  const syncs = followers.map((member) => ({ member, asked: sync(rig, { ...say, member }) }));
  sync(rig, { ...say, member: leader, assigns });
  expect(rig.subject.group(group).stateName).toBe("Stable");
  for (const { member, asked } of syncs)
    expect(text(asked.value.assignment)).toBe(assigns[member]!);
  return { generation, leader, members };
}

/** What the rest of the world sees of a group that is settled. */
function viewOf(group: ClassicGroup): unknown {
  return canonical({
    state: group.stateName,
    generation: group.generation,
    protocolType: group.protocolType,
    protocolName: group.protocolName,
    leader: group.leaderId,
    subscribed: group.subscribed === null ? null : new Set(group.subscribed),
    ages: group.offsetsAgeFrom("some topic"),
    members: new Map(
      Array.from(group.members(), (member) => [
        member.memberId,
        {
          instance: member.groupInstanceId,
          client: [member.clientId, member.clientHost],
          timeouts: [member.sessionTimeoutMs, member.rebalanceTimeoutMs],
          metadata: member.metadata(group.protocolName),
          assignment: member.assignment,
        },
      ]),
    ),
  });
}

/** The log replayed gives the same hard state; and groups that are settled are, all in all, what a load makes of them. */
export function checkReplay(rig: ClassicRig): void {
  rig.checkReplay();
  const loaded = classicRig({
    settings: rig.settings,
    checksDecisions: false,
    isReplayed: false,
  });
  for (const record of rig.records) loaded.subject.replay(record);
  for (const group of rig.subject.groups.values()) {
    if (!(group instanceof ClassicGroup)) continue;
    const isSettled = group.stateName === "Stable" || group.stateName === "Empty";
    if (!isSettled) continue;
    expect(viewOf(loaded.subject.group(group.groupId))).toEqual(viewOf(group));
  }
}
