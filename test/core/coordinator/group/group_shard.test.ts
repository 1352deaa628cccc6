// A whole shard under seeded storms of requests of both protocols, commits, deletions, time and restarts: decisions touch
// hard state by their records alone, and the records, also compacted, give that state again.

import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../../src/base/prng.ts";
import { ClassicGroup } from "../../../../src/core/coordinator/group/classic/classic_group.ts";
import { ConsumerGroup } from "../../../../src/core/coordinator/group/consumer/consumer_group.ts";
import type { GroupCall } from "../../../../src/core/coordinator/group/group.ts";
import type { DeletedGroup } from "../../../../src/core/coordinator/group/group_requests.ts";
import { GroupShard } from "../../../../src/core/coordinator/group/group_shard.ts";
import { withDefaults } from "../../../../src/protocol/defaults.ts";
import {
  OffsetCommit,
  type OffsetCommitResponse,
} from "../../../../src/protocol/messages/08_offset_commit.ts";
import {
  JoinGroup,
  type JoinGroupResponse,
} from "../../../../src/protocol/messages/11_join_group.ts";
import type { HeartbeatResponse } from "../../../../src/protocol/messages/12_heartbeat.ts";
import {
  LeaveGroup,
  type LeaveGroupResponse,
} from "../../../../src/protocol/messages/13_leave_group.ts";
import {
  SyncGroup,
  type SyncGroupResponse,
} from "../../../../src/protocol/messages/14_sync_group.ts";
import type { OffsetDeleteResponse } from "../../../../src/protocol/messages/47_offset_delete.ts";
import {
  ConsumerGroupHeartbeat,
  type ConsumerGroupHeartbeatResponse,
} from "../../../../src/protocol/messages/68_consumer_group_heartbeat.ts";
import { isFullTestRun } from "../../../support/test_scale.ts";
import { type Asked, type RigSubject, replayAfterEach, ShardRig } from "../shard_rig.ts";
import { hardState } from "./consumer/consumer_rig.ts";
import { snapshotOf } from "./offsets_rig.ts";

replayAfterEach();

class ShardSubject extends GroupShard implements RigSubject {
  snapshot(): unknown {
    const groups = new Map<string, unknown>();
    for (const group of this.groups.values()) {
      if (group instanceof ConsumerGroup) groups.set(group.groupId, hardState(group));
      else if (group instanceof ClassicGroup) groups.set(group.groupId, group.stored ?? "simple");
    }
    return { groups, offsets: snapshotOf(this.offsets.table) };
  }
}

type Rig = ShardRig<ShardSubject>;

const GROUPS = ["g0", "g1", "g2"];
const TOPICS = ["a", "b", "c"];
const encoder = new TextEncoder();

/** A member to be: asks, waits for what it asked, and goes on with what it was told. */
class Client {
  readonly #rig: Rig;
  readonly #random: SeededRandom;
  readonly #name: string;
  readonly #groupId: string;
  #speaks: "classic" | "consumer";
  #memberId = "";
  #epoch = 0;
  #isLeader = false;
  #members: readonly string[] = [];
  #owned: readonly { readonly topicId: string; readonly partitions: readonly number[] }[] = [];
  #join: Asked<JoinGroupResponse> | null = null;
  #sync: Asked<SyncGroupResponse> | null = null;

  constructor(rig: Rig, random: SeededRandom, name: string) {
    this.#rig = rig;
    this.#random = random;
    this.#name = name;
    this.#groupId = GROUPS[random.below(GROUPS.length)]!;
    this.#speaks = random.below(2) === 0 ? "classic" : "consumer";
  }

  step(): void {
    const dice = this.#random.below(20);
    if (dice === 0) {
      // Comes back as somebody new, maybe of the other protocol, without a word.
      this.#forget();
      this.#speaks = this.#random.below(2) === 0 ? "classic" : "consumer";
    } else if (dice === 1) this.#leave();
    else if (dice < 6) this.#commit();
    else if (this.#speaks === "consumer") this.#consumerBeat();
    else this.#classicStep();
  }

  #call(version: number): GroupCall {
    return this.#rig.call({ version, clientId: this.#name });
  }

  #forget(): void {
    this.#join?.cancel();
    this.#sync?.cancel();
    this.#join = null;
    this.#sync = null;
    this.#memberId = "";
    this.#epoch = 0;
    this.#owned = [];
  }

  #classicStep(): void {
    if (this.#join !== null) {
      if (!this.#join.isDone) return;
      this.#joined();
      return;
    }
    if (this.#sync !== null) {
      if (this.#sync.isDone) this.#sync = null;
      return;
    }
    if (this.#memberId === "" || this.#epoch === 0 || this.#random.below(4) === 0) {
      this.#askToJoin();
      return;
    }
    const asked = this.#rig.ask<HeartbeatResponse>((shard, reply) =>
      shard.heartbeat(
        this.#call(4),
        {
          groupId: this.#groupId,
          memberId: this.#memberId,
          generationId: this.#epoch,
          groupInstanceId: null,
        },
        reply,
      ),
    );
    if (asked.value.errorCode !== 0) this.#epoch = 0;
  }

  #askToJoin(): void {
    const request = withDefaults(JoinGroup.request, {
      groupId: this.#groupId,
      memberId: this.#memberId,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 15_000,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: subscription() }],
    });
    this.#join = this.#rig.ask<JoinGroupResponse>((shard, reply) =>
      shard.joinGroup(this.#call(9), request, reply),
    );
    if (this.#join.isDone) this.#joined();
  }

  #joined(): void {
    let told: JoinGroupResponse;
    try {
      told = this.#join!.value;
    } catch {
      // Lost with the shard.
      this.#forget();
      return;
    } finally {
      this.#join = null;
    }
    const { errorCode, memberId, generationId, leader, members } = told;
    this.#memberId = errorCode === 0 || errorCode === 79 ? memberId : "";
    this.#epoch = 0;
    if (errorCode !== 0) return;
    this.#epoch = generationId;
    this.#isLeader = leader === memberId;
    this.#members = members.map((each) => each.memberId);
    const request = withDefaults(SyncGroup.request, {
      groupId: this.#groupId,
      memberId,
      generationId,
      protocolType: "consumer",
      protocolName: "range",
      assignments: this.#isLeader
        ? this.#members.map((each) => ({
            memberId: each,
            assignment: encoder.encode(`of ${each}`),
          }))
        : [],
    });
    this.#sync = this.#rig.ask<SyncGroupResponse>((shard, reply) =>
      shard.syncGroup(this.#call(5), request, reply),
    );
  }

  #consumerBeat(): void {
    if (this.#memberId === "") this.#memberId = `${this.#name}-${this.#random.uint32()}`;
    const isFirst = this.#epoch === 0;
    const request = withDefaults(ConsumerGroupHeartbeat.request, {
      groupId: this.#groupId,
      memberId: this.#memberId,
      memberEpoch: this.#epoch,
      rebalanceTimeoutMs: isFirst ? 15_000 : -1,
      subscribedTopicNames: isFirst ? TOPICS.slice(0, 1 + this.#random.below(3)) : null,
      subscribedTopicRegex: isFirst && this.#random.below(4) === 0 ? "[ab]" : null,
      topicPartitions: isFirst ? [] : this.#owned,
    });
    const asked = this.#rig.ask<ConsumerGroupHeartbeatResponse>((shard, reply) =>
      shard.consumerGroupHeartbeat({ ...this.#call(1), mayDescribe: () => true }, request, reply),
    );
    const { errorCode, memberEpoch, assignment } = asked.value;
    if (errorCode !== 0) {
      this.#forget();
      return;
    }
    this.#epoch = memberEpoch;
    if (assignment !== null) this.#owned = assignment.topicPartitions;
  }

  #leave(): void {
    if (this.#memberId === "") return;
    if (this.#speaks === "consumer") {
      const request = withDefaults(ConsumerGroupHeartbeat.request, {
        groupId: this.#groupId,
        memberId: this.#memberId,
        memberEpoch: -1,
      });
      this.#rig.ask<ConsumerGroupHeartbeatResponse>((shard, reply) =>
        shard.consumerGroupHeartbeat({ ...this.#call(1), mayDescribe: () => true }, request, reply),
      );
    } else {
      const request = withDefaults(LeaveGroup.request, {
        groupId: this.#groupId,
        members: [{ memberId: this.#memberId }],
      });
      this.#rig.ask<LeaveGroupResponse>((shard, reply) =>
        shard.leaveGroup(this.#call(5), request, reply),
      );
    }
    this.#forget();
  }

  #commit(): void {
    const isMember = this.#memberId !== "" && this.#random.below(3) > 0;
    const request = withDefaults(OffsetCommit.request, {
      groupId: this.#groupId,
      memberId: isMember ? this.#memberId : "",
      generationIdOrMemberEpoch: isMember ? this.#epoch : -1,
      topics: [
        {
          name: TOPICS[this.#random.below(TOPICS.length)]!,
          partitions: [
            {
              partitionIndex: this.#random.below(4),
              committedOffset: this.#random.below(1000),
              committedMetadata: "",
            },
          ],
        },
      ],
    });
    this.#rig.ask<OffsetCommitResponse>((shard, reply) =>
      shard.commitOffsets(this.#call(9), request, reply),
    );
  }
}

/** The consumer protocol's subscription to all topics, version 0. */
function subscription(): Uint8Array {
  const bytes: number[] = [0, 0, 0, 0, 0, TOPICS.length];
  for (const name of TOPICS) bytes.push(0, name.length, ...encoder.encode(name));
  return new Uint8Array([...bytes, 0xff, 0xff, 0xff, 0xff]);
}

function disturb(rig: Rig, random: SeededRandom): void {
  const groupId = GROUPS[random.below(GROUPS.length)]!;
  const name = TOPICS[random.below(TOPICS.length)]!;
  const call = rig.call({ version: 2 });
  switch (random.below(8)) {
    case 0:
      rig.ask<readonly DeletedGroup[]>((shard, reply) =>
        shard.deleteGroups(call, [groupId, "none"], reply),
      );
      break;
    case 1:
      rig.ask<OffsetDeleteResponse>((shard, reply) =>
        shard.deleteOffsets(
          call,
          { groupId, topics: [{ name, partitions: [{ partitionIndex: random.below(4) }] }] },
          reply,
        ),
      );
      break;
    case 2:
      if (rig.topics.named(name) === null) break;
      rig.topics.delete(name);
      rig.ask<number>((shard, reply) => shard.topicsDeleted([name], rig.now, reply));
      break;
    case 3:
      if (rig.topics.named(name) === null) rig.topics.create(name, 4);
      break;
    case 4:
      rig.advance(20_000);
      break;
    case 5:
      rig.advance(8 * 24 * 3_600_000);
      break;
    case 6:
      rig.reload();
      break;
    default:
      rig.checkReplay();
  }
}

function storm(seed: number, steps: number): Rig {
  const random = SeededRandom.of(`group shard ${seed}`);
  const rig = new ShardRig((options) => new ShardSubject(options), {
    seed,
    settings: { initialRebalanceDelayMs: seed % 2 === 0 ? 0 : 1000 },
  });
  for (const name of TOPICS) rig.topics.create(name, 4);
  const clients = Array.from({ length: 8 }, (_, i) => {
    return new Client(rig, random.fork(`client ${i}`), `c${i}`);
  });
  for (let step = 0; step < steps; step++) {
    clients[random.below(clients.length)]!.step();
    if (random.below(4) === 0) rig.advance(random.below(2000));
    if (random.below(25) === 0) disturb(rig, random);
  }
  rig.checkReplay();
  return rig;
}

describe("a shard in storms", () => {
  const seeds = isFullTestRun ? 300 : 4;
  test(`${seeds} seeds: its records are its state`, () => {
    const kinds = new Set<string>();
    for (let seed = 1; seed <= seeds; seed++) {
      try {
        const rig = storm(seed, 250);
        for (const record of rig.records) kinds.add(record.kind);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
    // The storms reach all there is.
    expect([...kinds].sort()).toEqual([
      "classic_group",
      "consumer_group",
      "consumer_group_partitions",
      "consumer_member",
      "consumer_member_current",
      "consumer_member_target",
      "consumer_regex",
      "consumer_target",
      "offset_commit",
    ]);
  }, 120_000);
});
