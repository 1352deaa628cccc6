// A consumer of the classic protocol under the rig: joins, syncs and heartbeats against whichever kind of group has the
// id, as the shard dispatches it. The leader of a classic group deals partitions out in turns.

import { ByteReader } from "../../../../../src/base/byte_reader.ts";
import { ByteWriter } from "../../../../../src/base/byte_writer.ts";
import { codecOf } from "../../../../../src/protocol/compile.ts";
import {
  ConsumerProtocolAssignment,
  ConsumerProtocolSubscription,
} from "../../../../../src/protocol/internal_records/consumer_protocol.ts";
import type { JoinGroupResponse } from "../../../../../src/protocol/messages/11_join_group.ts";
import type { HeartbeatResponse } from "../../../../../src/protocol/messages/12_heartbeat.ts";
import type { LeaveGroupResponse } from "../../../../../src/protocol/messages/13_leave_group.ts";
import type { SyncGroupResponse } from "../../../../../src/protocol/messages/14_sync_group.ts";
import type { Asked } from "../../shard_rig.ts";
import type { ConsumerRig } from "./consumer_rig.ts";

export interface ClassicClientOptions {
  readonly groupId?: string;
  readonly instanceId?: string | null;
  readonly topics?: readonly string[];
  readonly protocols?: readonly string[];
  readonly sessionTimeoutMs?: number;
  readonly rebalanceTimeoutMs?: number;
}

export class ClassicClient {
  readonly rig: ConsumerRig;
  readonly groupId: string;
  readonly instanceId: string | null;
  readonly protocols: readonly string[];
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  topics: readonly string[];
  memberId = "";
  generation = -1;
  protocolType = "consumer";
  /** As "topic partition". */
  owned: string[] = [];
  #joined: JoinGroupResponse | null = null;

  constructor(rig: ConsumerRig, options: ClassicClientOptions = {}) {
    this.rig = rig;
    this.groupId = options.groupId ?? "g";
    this.instanceId = options.instanceId ?? null;
    this.topics = options.topics ?? ["t"];
    this.protocols = options.protocols ?? ["cooperative-sticky"];
    this.sessionTimeoutMs = options.sessionTimeoutMs ?? 10_000;
    this.rebalanceTimeoutMs = options.rebalanceTimeoutMs ?? 60_000;
  }

  /** Is given a member id first, where it has none. */
  join(version = 9): Asked<JoinGroupResponse> {
    const asked = this.joinOnce(version);
    if (!asked.isDone || asked.value.errorCode !== 79) return asked;
    this.memberId = asked.value.memberId;
    return this.joinOnce(version);
  }

  joinOnce(version = 9): Asked<JoinGroupResponse> {
    const call = this.rig.call({ version });
    const request = {
      groupId: this.groupId,
      sessionTimeoutMs: this.sessionTimeoutMs,
      rebalanceTimeoutMs: this.rebalanceTimeoutMs,
      memberId: this.memberId,
      groupInstanceId: this.instanceId,
      protocolType: this.protocolType,
      protocols: this.protocols.map((name) => ({ name, metadata: this.#metadata() })),
      reason: null,
    };
    return this.rig.ask<JoinGroupResponse>((subject, reply) => {
      const group = subject.groups.get(this.groupId);
      return group?.type === "consumer" && !group.isEmpty
        ? subject.consumer.classicJoin(call, request, reply)
        : subject.classic.join(call, request, reply);
    });
  }

  /** Takes the answer of a join in. */
  joined(asked: Asked<JoinGroupResponse>): JoinGroupResponse {
    const response = asked.value;
    if (response.errorCode === 0) {
      this.memberId = response.memberId;
      this.generation = response.generationId;
      this.#joined = response;
    }
    return response;
  }

  sync(): Asked<SyncGroupResponse> {
    const request = {
      groupId: this.groupId,
      generationId: this.generation,
      memberId: this.memberId,
      groupInstanceId: this.instanceId,
      protocolType: this.protocolType,
      protocolName: this.#joined?.protocolName ?? this.protocols[0]!,
      assignments: this.#assignments(),
    };
    const call = this.rig.call({ version: 5 });
    return this.rig.ask<SyncGroupResponse>((subject, reply) =>
      subject.groups.get(this.groupId)?.type === "consumer"
        ? subject.consumer.classicSync(call, request, reply)
        : subject.classic.sync(call, request, reply),
    );
  }

  /** Takes the answer of a sync in. */
  synced(asked: Asked<SyncGroupResponse>): SyncGroupResponse {
    const response = asked.value;
    if (response.errorCode === 0) this.owned = ownedOf(response.assignment);
    return response;
  }

  heartbeat(): HeartbeatResponse {
    const request = {
      groupId: this.groupId,
      generationId: this.generation,
      memberId: this.memberId,
      groupInstanceId: this.instanceId,
    };
    const call = this.rig.call({ version: 4 });
    return this.rig.ask<HeartbeatResponse>((subject, reply) =>
      subject.groups.get(this.groupId)?.type === "consumer"
        ? subject.consumer.classicHeartbeat(call, request, reply)
        : subject.classic.heartbeat(call, request, reply),
    ).value;
  }

  leave(version = 5): LeaveGroupResponse {
    const { memberId, instanceId: groupInstanceId } = this;
    return this.leaveAs([{ memberId, groupInstanceId, reason: null }], version);
  }

  leaveAs(
    members: { memberId: string; groupInstanceId: string | null; reason: null }[],
    version = 5,
  ): LeaveGroupResponse {
    const request = { groupId: this.groupId, memberId: members[0]!.memberId, members };
    const call = this.rig.call({ version });
    return this.rig.ask<LeaveGroupResponse>((subject, reply) =>
      subject.groups.get(this.groupId)?.type === "consumer"
        ? subject.consumer.classicLeave(call, request, reply)
        : subject.classic.leave(call, request, reply),
    ).value;
  }

  /** A heartbeat, and joins and syncs as long as it is told to; in a consumer group only. */
  follow(): void {
    for (let round = 0; round < 5; round++) {
      if (this.heartbeat().errorCode === 0) return;
      if (this.joined(this.join()).errorCode !== 0) throw new Error("The join was refused");
      this.synced(this.sync());
    }
  }

  #metadata(): Uint8Array {
    const byTopic = new Map<string, number[]>();
    for (const each of this.owned) {
      const [topic, partition] = each.split(" ") as [string, string];
      byTopic.set(topic, [...(byTopic.get(topic) ?? []), Number(partition)]);
    }
    const writer = new ByteWriter();
    writer.int16(3);
    codecOf(ConsumerProtocolSubscription, 3).write(writer, {
      topics: [...this.topics],
      userData: null,
      ownedPartitions: [...byTopic].map(([topic, partitions]) => ({ topic, partitions })),
      generationId: this.generation,
      rackId: null,
    });
    return writer.toBytes();
  }

  #assignments(): { memberId: string; assignment: Uint8Array }[] {
    const joined = this.#joined;
    if (joined === null || joined.leader !== this.memberId || joined.members.length === 0) {
      return [];
    }
    const count = this.rig.topics.named("t")?.partitionCount ?? 0;
    return joined.members.map(({ memberId }, index) => {
      const partitions = Array.from({ length: count }, (_, partition) => partition).filter(
        (partition) => partition % joined.members.length === index,
      );
      return { memberId, assignment: assignmentBytes(partitions) };
    });
  }
}

export function assignmentBytes(
  partitions: number[],
  userData: Uint8Array | null = null,
): Uint8Array {
  const writer = new ByteWriter();
  writer.int16(3);
  const assignedPartitions = partitions.length === 0 ? [] : [{ topic: "t", partitions }];
  codecOf(ConsumerProtocolAssignment, 3).write(writer, { assignedPartitions, userData });
  return writer.toBytes();
}

function ownedOf(assignment: Uint8Array): string[] {
  if (assignment.length === 0) return [];
  const reader = new ByteReader(assignment);
  return codecOf(ConsumerProtocolAssignment, reader.int16())
    .read(reader)
    .assignedPartitions.flatMap(({ topic, partitions }) =>
      partitions.map((partition) => `${topic} ${partition}`),
    );
}

/** A classic group of those clients, stable, each with its share. */
export function stableClassicGroup(rig: ConsumerRig, clients: readonly ClassicClient[]): void {
  let joins = clients.map((client) => client.join());
  rig.advance(10_000);
  joins = joins.map((asked, index) => (asked.isDone ? asked : clients[index]!.join()));
  for (const [index, client] of clients.entries()) client.joined(joins[index]!);
  const syncs = clients.map((client) => client.sync());
  for (const [index, client] of clients.entries()) client.synced(syncs[index]!);
}
