// Offsets in a shard that is hosted as by the broker: no offset that anybody was told of is lost or goes back, whatever
// becomes of appends; what a log holds is there after a load; and groups of members end with their offsets.

import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../../src/base/prng.ts";
import type { GroupRecord } from "../../../../src/core/coordinator/group/group_record.ts";
import { groupRecordSerde } from "../../../../src/core/coordinator/group/group_record_serde.ts";
import type { FetchedGroup } from "../../../../src/core/coordinator/group/group_requests.ts";
import { GroupShard } from "../../../../src/core/coordinator/group/group_shard.ts";
import type { Decide } from "../../../../src/core/coordinator/runtime/shard.ts";
import { ShardHost } from "../../../../src/core/coordinator/runtime/shard_host.ts";
import { withDefaults } from "../../../../src/protocol/defaults.ts";
import type { Outcome } from "../../../../src/protocol/errors.ts";
import {
  OffsetCommit,
  type OffsetCommitResponse,
} from "../../../../src/protocol/messages/08_offset_commit.ts";
import {
  JoinGroup,
  type JoinGroupResponse,
} from "../../../../src/protocol/messages/11_join_group.ts";
import {
  LeaveGroup,
  type LeaveGroupResponse,
} from "../../../../src/protocol/messages/13_leave_group.ts";
import {
  SyncGroup,
  type SyncGroupResponse,
} from "../../../../src/protocol/messages/14_sync_group.ts";
import {
  ConsumerGroupHeartbeat,
  type ConsumerGroupHeartbeatResponse,
} from "../../../../src/protocol/messages/68_consumer_group_heartbeat.ts";
import { settle, TestRuntime } from "../../../support/test_runtime.ts";
import { ScriptedLog } from "../scripted_log.ts";
import { RigTopics, rigSettings } from "../shard_rig.ts";
import { metadataFor } from "./classic/classic_rig.ts";

const CHECK_MS = 60_000;
const RETENTION_MS = 600_000;
const PARTITIONS = 3;

class Hosted {
  readonly test = new TestRuntime();
  readonly topics = new RigTopics();
  readonly log: ScriptedLog;
  readonly settings = rigSettings({
    initialRebalanceDelayMs: 0,
    offsetsRetentionCheckMs: CHECK_MS,
    offsetsRetentionMs: RETENTION_MS,
  });
  host: ShardHost<GroupShard, GroupRecord>;
  shard!: GroupShard;
  readonly #signal = new AbortController().signal;

  constructor(log = new ScriptedLog()) {
    this.log = log;
    this.topics.create("t", PARTITIONS);
    this.host = this.#newHost();
  }

  #newHost(): ShardHost<GroupShard, GroupRecord> {
    const { runtime } = this.test;
    return new ShardHost({
      log: this.log,
      serde: groupRecordSerde,
      runtime,
      makeShard: (timers) => {
        this.shard = new GroupShard({
          timers,
          topics: () => this.topics,
          settings: this.settings,
          random: runtime.random,
          log: runtime.log,
        });
        return this.shard;
      },
      codec: () => "none",
      pendingMax: 1000,
    });
  }

  /** The broker dies with all that was not committed, and comes back. */
  crash(): void {
    this.host.close();
    this.log.fail();
    this.host = this.#newHost();
  }

  run<Response>(decide: Decide<GroupShard, GroupRecord, Response>): Promise<Outcome<Response>> {
    return this.host.run(decide, this.#signal);
  }

  /** By the member that has joined last, or by nobody. */
  async commit(
    offset: number,
    { groupId = "g", partition = 0, memberId = "", epoch = -1 } = {},
  ): Promise<number | string> {
    const request = withDefaults(OffsetCommit.request, {
      groupId,
      memberId,
      generationIdOrMemberEpoch: epoch,
      topics: [
        {
          name: "t",
          partitions: [
            { partitionIndex: partition, committedOffset: offset, committedMetadata: "" },
          ],
        },
      ],
    });
    const outcome = await this.run<OffsetCommitResponse>((shard, now, reply) =>
      shard.commitOffsets({ now, version: 9, clientId: "c", clientHost: "/h" }, request, reply),
    );
    return outcome.ok ? outcome.value.topics[0]!.partitions[0]!.errorCode : outcome.error.code;
  }

  /** All that is committed for a group, by partition; the code of a refusal. */
  async fetch(groupId = "g"): Promise<Record<number, number> | string> {
    const asked = [{ groupId, memberId: null, memberEpoch: -1, topics: null }];
    const outcome = await this.run<readonly FetchedGroup[]>((shard, now, reply) =>
      shard.fetchOffsets({ now, version: 9, clientId: "c", clientHost: "/h" }, asked, true, reply),
    );
    if (!outcome.ok) return outcome.error.code;
    const rows = outcome.value[0]!.topics[0]?.partitions ?? [];
    return Object.fromEntries(rows.map((row) => [row.partitionIndex, row.committedOffset]));
  }
}

/** What a promise has come to; undefined while it has not. */
function watch<T>(promise: Promise<T>): { seen: T | undefined } {
  const watched: { seen: T | undefined } = { seen: undefined };
  void promise.then((value) => {
    watched.seen = value;
  });
  return watched;
}

describe("a commit", () => {
  test("is answered, and read, when it is committed and not before", async () => {
    const hosted = new Hosted();
    expect(await hosted.commit(1)).toBe(0);
    hosted.log.commitsAtOnce = false;
    const commit = watch(hosted.commit(2));
    const fetch = watch(hosted.fetch());
    await settle();
    expect([commit.seen, fetch.seen]).toEqual([undefined, undefined]);
    hosted.log.commit();
    await settle();
    expect([commit.seen, fetch.seen]).toEqual([0, { 0: 2 }]);
  });

  test("that is not is told nobody, and gone", async () => {
    const hosted = new Hosted();
    await hosted.commit(1);
    hosted.log.commitsAtOnce = false;
    const commit = watch(hosted.commit(2));
    const fetch = watch(hosted.fetch());
    await settle();
    hosted.log.fail();
    hosted.log.commitsAtOnce = true;
    await settle();
    expect([commit.seen, fetch.seen]).toEqual(["not_coordinator", "not_coordinator"]);
    expect(await hosted.fetch()).toEqual({ 0: 1 });
    expect(await hosted.commit(3)).toBe(0);
    expect(await hosted.fetch()).toEqual({ 0: 3 });
  });

  for (let seed = 0; seed < 20; seed++) {
    test(`never goes back for who was told of it, seed ${seed}`, async () => {
      const random = SeededRandom.of(`told ${seed}`);
      const hosted = new Hosted();
      hosted.log.commitsAtOnce = false;
      hosted.settings.offsetsRetentionMs = Number.MAX_SAFE_INTEGER;
      let answered = 0;
      let next = 1;
      /** The highest offset that somebody was told, by partition, and the highest that was tried. */
      const told: number[] = new Array(PARTITIONS).fill(0);
      const tried: number[] = new Array(PARTITIONS).fill(0);
      const under: Promise<unknown>[] = [];
      const commit = async () => {
        const partition = random.below(PARTITIONS);
        const offset = next++;
        tried[partition] = offset;
        const code = await hosted.commit(offset, { partition });
        if (code === 0) told[partition] = Math.max(told[partition]!, offset);
      };
      const fetch = async () => {
        const floor = [...told];
        const found = await hosted.fetch();
        if (typeof found === "string") return;
        answered++;
        for (let partition = 0; partition < PARTITIONS; partition++) {
          const offset = found[partition] ?? 0;
          expect(offset).toBeGreaterThanOrEqual(floor[partition]!);
          expect(offset).toBeLessThanOrEqual(tried[partition]!);
          told[partition] = Math.max(told[partition]!, offset);
        }
      };
      for (let i = 0; i < 150; i++) {
        const roll = random.below(20);
        if (roll < 9) under.push(commit());
        else if (roll < 14) under.push(fetch());
        else if (roll < 17) hosted.log.commit();
        else if (roll < 18) hosted.log.fail();
        else if (roll < 19) hosted.crash();
        // A load that failed is tried again after a while.
        else await hosted.test.advance(10_000);
        if (random.below(2) === 0) await settle();
      }
      hosted.log.commitsAtOnce = true;
      hosted.log.commit();
      await settle();
      await Promise.all(under);
      await hosted.test.advance(10_000);
      expect(answered).toBeGreaterThan(10);
      await fetch();
      hosted.crash();
      await fetch();
      expect(hosted.test.failures).toEqual([]);
      expect(hosted.test.events("coordinator_defect")).toEqual([]);
    });
  }
});

describe("a load", () => {
  test("of many commits finds them all, and no more of them than there are partitions", async () => {
    const hosted = new Hosted();
    hosted.topics.create("wide", 500);
    for (let round = 0; round < 20; round++) {
      const request = withDefaults(OffsetCommit.request, {
        groupId: `group ${round % 10}`,
        topics: [
          {
            name: "wide",
            partitions: Array.from({ length: 500 }, (_, partitionIndex) => ({
              partitionIndex,
              committedOffset: round * 1000 + partitionIndex,
              committedMetadata: "",
            })),
          },
        ],
      });
      await hosted.run<OffsetCommitResponse>((shard, now, reply) =>
        shard.commitOffsets({ now, version: 9, clientId: "c", clientHost: "/h" }, request, reply),
      );
    }
    hosted.crash();
    for (let group = 0; group < 10; group++) {
      const found = await hosted.fetch(`group ${group}`);
      expect(Object.values(found)).toEqual(
        Array.from({ length: 500 }, (_, partition) => (group + 10) * 1000 + partition),
      );
    }
    expect(hosted.shard.offsets.table.size).toBe(5000);
    expect(hosted.shard.groups.size).toBe(10);
  });
});

describe("the offsets of a group of members", () => {
  const call = { version: 9, clientId: "c", clientHost: "/h" };

  test("of the classic protocol age from the time the last one leaves, and the group ends with them", async () => {
    const hosted = new Hosted();
    const protocols = [{ name: "range", metadata: metadataFor(["t"]) }];
    const join = async (memberId: string) => {
      const request = withDefaults(JoinGroup.request, {
        groupId: "g",
        memberId,
        sessionTimeoutMs: 3 * RETENTION_MS,
        rebalanceTimeoutMs: 60_000,
        protocolType: "consumer",
        protocols,
      });
      const outcome = hosted.run<JoinGroupResponse>((shard, now, reply) =>
        shard.joinGroup({ ...call, now }, request, reply),
      );
      await hosted.test.advance(1);
      const joined = await outcome;
      if (!joined.ok) throw new Error(joined.error.code);
      return joined.value;
    };
    const { memberId } = await join("");
    const { generationId: epoch } = await join(memberId);
    const synced = await hosted.run<SyncGroupResponse>((shard, now, reply) =>
      shard.syncGroup(
        { ...call, now },
        withDefaults(SyncGroup.request, {
          groupId: "g",
          memberId,
          generationId: epoch,
          protocolType: "consumer",
          protocolName: "range",
          assignments: [],
        }),
        reply,
      ),
    );
    expect(synced.ok && synced.value.errorCode).toBe(0);
    expect(await hosted.commit(5, { memberId, epoch })).toBe(0);
    expect(await hosted.commit(6, { memberId, epoch: epoch + 1 })).toBe(22);
    expect(await hosted.commit(6, { memberId: "other", epoch })).toBe(25);
    expect(await hosted.commit(6)).toBe(25);
    await hosted.test.advance(2 * RETENTION_MS);
    expect(await hosted.fetch()).toEqual({ 0: 5 });
    const left = await hosted.run<LeaveGroupResponse>((shard, now, reply) =>
      shard.leaveGroup(
        { ...call, version: 5, now },
        withDefaults(LeaveGroup.request, {
          groupId: "g",
          members: [{ memberId, groupInstanceId: null }],
        }),
        reply,
      ),
    );
    expect(left.ok && left.value.members[0]!.errorCode).toBe(0);
    expect(await hosted.commit(7)).toBe(0);
    await hosted.test.advance(RETENTION_MS - CHECK_MS);
    hosted.crash();
    expect(await hosted.fetch()).toEqual({ 0: 7 });
    await hosted.test.advance(2 * CHECK_MS);
    expect(await hosted.fetch()).toEqual({});
    expect(hosted.shard.groups.size).toBe(0);
    hosted.crash();
    expect(await hosted.fetch()).toEqual({});
    expect(hosted.shard.groups.size).toBe(0);
  });

  test("of the consumer protocol age by their commits once nobody reads the topic", async () => {
    const hosted = new Hosted();
    const memberId = "AAAAAAAAAAAAAAAAAAAAAQ";
    const beat = async (given: { memberEpoch: number; subscribedTopicNames?: string[] }) => {
      const outcome = await hosted.run<ConsumerGroupHeartbeatResponse>((shard, now, reply) =>
        shard.consumerGroupHeartbeat(
          { ...call, version: 1, now, mayDescribe: () => true },
          withDefaults(ConsumerGroupHeartbeat.request, {
            groupId: "g",
            memberId,
            rebalanceTimeoutMs: given.memberEpoch === 0 ? 60_000 : -1,
            topicPartitions: given.memberEpoch === 0 ? [] : null,
            subscribedTopicNames: null,
            ...given,
          }),
          reply,
        ),
      );
      if (!outcome.ok) throw new Error(outcome.error.code);
      return outcome.value;
    };
    const { errorCode, memberEpoch: epoch } = await beat({
      memberEpoch: 0,
      subscribedTopicNames: ["t"],
    });
    expect(errorCode).toBe(0);
    expect(await hosted.commit(5, { memberId, epoch })).toBe(0);
    expect(await hosted.commit(6, { memberId, epoch: epoch + 1 })).toBe(113);
    expect(await hosted.commit(6, { memberId: "other", epoch })).toBe(25);
    for (let ms = 0; ms < 2 * RETENTION_MS; ms += 30_000) {
      await hosted.test.advance(30_000);
      await beat({ memberEpoch: epoch });
    }
    expect(await hosted.fetch()).toEqual({ 0: 5 });
    await beat({ memberEpoch: -1 });
    expect(await hosted.fetch()).toEqual({ 0: 5 });
    await hosted.test.advance(CHECK_MS);
    expect(await hosted.fetch()).toEqual({});
    expect(hosted.shard.groups.size).toBe(0);
    hosted.crash();
    expect(await hosted.fetch()).toEqual({});
    expect(hosted.shard.groups.size).toBe(0);
  });
});
