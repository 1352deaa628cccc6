// Offsets in transactions: pending until the marker, visible or gone with it, and what becomes of them when somebody
// commits, deletes, expires or restarts in between.

import { describe, expect, test } from "bun:test";
import { ZERO_UUID } from "../../../../src/base/uuid.ts";
import { groupRecordSerde } from "../../../../src/core/coordinator/group/group_record_serde.ts";
import { withDefaults } from "../../../../src/protocol/defaults.ts";
import {
  JoinGroup,
  type JoinGroupResponse,
} from "../../../../src/protocol/messages/11_join_group.ts";
import {
  ConsumerGroupHeartbeat,
  type ConsumerGroupHeartbeatResponse,
} from "../../../../src/protocol/messages/68_consumer_group_heartbeat.ts";
import { readControlBatch } from "../../../../src/record/control_record.ts";
import { RecordBatch } from "../../../../src/record/record_batch.ts";
import { openRecords } from "../../../../src/record/record_block.ts";
import { RecordCursor } from "../../../../src/record/record_reader.ts";
import { settle } from "../../../support/test_runtime.ts";
import { metadataFor } from "./classic/classic_rig.ts";
import { type RigProducer, TransactionsRig } from "./transactions_rig.ts";

function producer(producerId = 7, producerEpoch = 0): RigProducer {
  return { producerId, producerEpoch };
}

describe("an offset in a transaction", () => {
  for (const version of [1, 2]) {
    test(`is pending until it is committed, transaction.version ${version}`, async () => {
      const rig = new TransactionsRig();
      const p = producer();
      expect(await rig.commit(3)).toBe("none");
      expect(await rig.commitIn(p, 5)).toBe("none");
      expect(await rig.commitIn(p, 9, { partition: 1 })).toBe("none");
      expect(await rig.read("t", true)).toEqual(["unstable", "unstable", -1, -1]);
      expect(await rig.read("t", false)).toEqual([3, -1, -1, -1]);
      expect(await rig.end(p, true, version)).toBe("none");
      expect(await rig.read()).toEqual([5, 9, -1, -1]);
    });

    test(`is dropped when it is aborted, transaction.version ${version}`, async () => {
      const rig = new TransactionsRig();
      const p = producer();
      await rig.commit(3);
      await rig.commitIn(p, 5);
      await rig.commitIn(p, 6, { partition: 2 });
      expect(await rig.end(p, false, version)).toBe("none");
      expect(await rig.read()).toEqual([3, -1, -1, -1]);
    });
  }

  test("is unstable for as long as any transaction has it", async () => {
    const rig = new TransactionsRig();
    const [a, b] = [producer(1), producer(2)];
    await rig.commitIn(a, 5);
    await rig.commitIn(b, 6);
    await rig.end(b, true);
    expect(await rig.read()).toEqual(["unstable", -1, -1, -1]);
    expect(await rig.read("t", false)).toEqual([6, -1, -1, -1]);
    // Committed last, and yet written first.
    await rig.end(a, true);
    expect(await rig.read()).toEqual([6, -1, -1, -1]);
  });

  test("does not take a plain commit back that was written later", async () => {
    const rig = new TransactionsRig();
    const p = producer();
    await rig.commitIn(p, 5);
    await rig.commitIn(p, 5, { partition: 1 });
    await rig.commit(8);
    await rig.end(p, true);
    expect(await rig.read()).toEqual([8, 5, -1, -1]);
    rig.crash();
    expect(await rig.read()).toEqual([8, 5, -1, -1]);
  });

  test("of the next transaction is the next one's", async () => {
    const rig = new TransactionsRig();
    const p = producer();
    await rig.commitIn(p, 5);
    await rig.end(p, true);
    await rig.commitIn(p, 6);
    await rig.end(p, false);
    await rig.commitIn(p, 7, { partition: 1 });
    await rig.end(p, true);
    expect(await rig.read()).toEqual([5, 7, -1, -1]);
  });

  test("makes a simple group, which is there also where it is dropped", async () => {
    const rig = new TransactionsRig();
    const p = producer();
    await rig.commitIn(p, 5);
    expect(rig.shard.groups.get("g")?.stateName).toBe("Empty");
    await rig.end(p, false);
    expect(rig.shard.groups.get("g")?.protocolType).toBe("");
    rig.crash();
    expect(await rig.read()).toEqual([-1, -1, -1, -1]);
    expect(rig.shard.groups.get("g")?.protocolType).toBe("");
  });

  test("goes with a tombstone, and does not come back with the marker", async () => {
    const rig = new TransactionsRig();
    const p = producer();
    await rig.commit(1);
    await rig.commitIn(p, 5);
    await rig.commitIn(p, 6, { partition: 1 });
    expect(await rig.delete("t", 0)).toBe("none");
    expect(await rig.delete("t", 1)).toBe("none");
    expect(await rig.read()).toEqual([-1, -1, -1, -1]);
    await rig.commitIn(p, 7, { partition: 1 });
    await rig.end(p, true);
    expect(await rig.read()).toEqual([-1, 7, -1, -1]);
    rig.crash();
    expect(await rig.read()).toEqual([-1, 7, -1, -1]);
  });

  test("goes with its group", async () => {
    const rig = new TransactionsRig();
    const p = producer();
    await rig.commitIn(p, 5);
    await rig.commit(1, { partition: 2 });
    expect(await rig.deleteGroup()).toBe("none");
    expect(rig.shard.groups.size).toBe(0);
    await rig.end(p, true);
    expect(rig.shard.groups.size).toBe(0);
    expect(rig.shard.offsets.table.size).toBe(0);
    rig.crash();
    expect(await rig.read()).toEqual([-1, -1, -1, -1]);
    expect(rig.shard.groups.size).toBe(0);
  });

  test("goes with its topic also where nobody was there when that was deleted", async () => {
    const rig = new TransactionsRig(["t", "stays"]);
    const [a, b] = [producer(1), producer(2)];
    await rig.commit(1);
    await rig.commitIn(a, 5);
    await rig.commitIn(b, 6);
    await rig.commitIn(a, 7, { partition: 1 });
    await rig.commitIn(a, 8, { topic: "stays" });
    // Nobody tells the shard.
    rig.topics.delete("t");
    rig.crash();
    expect(await rig.read("stays")).toEqual(["unstable", -1, -1, -1]);
    const { pending } = rig.shard.offsets;
    expect([...pending.of("g")]).toEqual([{ topic: "stays", partition: 0 }]);
    rig.topics.create("t", 4);
    expect(await rig.read()).toEqual([-1, -1, -1, -1]);
    await rig.commitIn(b, 9, { partition: 1 });
    await rig.end(a, true);
    await rig.end(b, true);
    expect(await rig.read()).toEqual([-1, 9, -1, -1]);
    expect(await rig.read("stays")).toEqual([8, -1, -1, -1]);
    const before = rig.snapshot();
    rig.crash();
    expect(await rig.read()).toEqual([-1, 9, -1, -1]);
    expect(rig.snapshot()).toEqual(before);
  });

  test("goes with its topic", async () => {
    const rig = new TransactionsRig(["t", "u"]);
    const p = producer();
    await rig.commitIn(p, 5);
    await rig.commitIn(p, 6, { topic: "u" });
    await rig.deleteTopic("t");
    await rig.end(p, true);
    expect(rig.shard.offsets.table.size).toBe(1);
    expect(await rig.read("u")).toEqual([6, -1, -1, -1]);
  });

  test("keeps its group, and the offset it stands on, from expiring", async () => {
    const rig = new TransactionsRig();
    rig.settings.offsetsRetentionMs = 1000;
    rig.settings.offsetsRetentionCheckMs = 100;
    const p = producer();
    await rig.read();
    await rig.commit(1);
    await rig.commit(2, { partition: 1 });
    await rig.commitIn(p, 5);
    await rig.commitIn(p, 5, { groupId: "h" });
    await rig.test.advance(700_000);
    await rig.test.advance(2_000);
    expect(await rig.read("t", false)).toEqual([1, -1, -1, -1]);
    expect([...rig.shard.groups.values()].map((group) => group.groupId).sort()).toEqual(["g", "h"]);
    await rig.end(p, false);
    await rig.test.advance(2_000);
    expect(rig.shard.groups.size).toBe(0);
    expect(rig.shard.offsets.table.size).toBe(0);
  });
});

describe("a restart", () => {
  test("finds what is open pending, and its end", async () => {
    const rig = new TransactionsRig();
    const [a, b, c] = [producer(1), producer(2), producer(3)];
    await rig.commit(1);
    await rig.commitIn(a, 5);
    await rig.commitIn(b, 6, { partition: 1 });
    await rig.commitIn(c, 7, { partition: 2 });
    await rig.end(b, true);
    const before = rig.snapshot();
    rig.crash();
    expect(await rig.read()).toEqual(["unstable", 6, "unstable", -1]);
    expect(rig.snapshot()).toEqual(before);
    await rig.end(a, false);
    await rig.end(c, true);
    expect(await rig.read()).toEqual([1, 6, 7, -1]);
    rig.crash();
    expect(await rig.read()).toEqual([1, 6, 7, -1]);
  });

  test("finds ends that came before the shard was there, and while it was loaded", async () => {
    const rig = new TransactionsRig();
    const [a, b] = [producer(1), producer(2)];
    await rig.commitIn(a, 5);
    await rig.commitIn(b, 6, { partition: 1 });
    rig.crash();
    expect(await rig.end(a, true)).toBe("none");
    expect(rig.host.isActive).toBe(false);
    rig.log.commitsAtOnce = false;
    const read = rig.read();
    const ended = rig.end(b, true);
    await settle();
    expect(rig.host.isActive).toBe(false);
    rig.log.commitsAtOnce = true;
    rig.log.commit();
    expect(await ended).toBe("none");
    expect(await read).toEqual([5, 6, -1, -1]);
  });

  test("loses a transaction whose batches were not committed", async () => {
    const rig = new TransactionsRig();
    const p = producer();
    await rig.commit(1);
    rig.log.commitsAtOnce = false;
    const lost = rig.commitIn(p, 5);
    rig.crash();
    rig.log.commitsAtOnce = true;
    expect(await lost).toBe("not_coordinator");
    expect(await rig.read()).toEqual([1, -1, -1, -1]);
    expect(await rig.end(p, true)).toBe("none");
    expect(await rig.read()).toEqual([1, -1, -1, -1]);
  });
});

describe("what is written", () => {
  test("is a transactional batch of its own, and a marker, in the order of decisions", async () => {
    const rig = new TransactionsRig();
    const p = producer(7, 3);
    // One turn.
    const all = [
      rig.commit(1),
      rig.commit(2, { partition: 1 }),
      rig.commitIn(p, 5, { metadata: "m" }),
      rig.commit(3, { partition: 2 }),
      rig.end(p, true),
      rig.commit(4, { partition: 3 }),
    ];
    expect(await Promise.all(all)).toEqual(Array(6).fill("none"));
    const batches = rig.log.batches.map((bytes) => new RecordBatch(bytes, 0, bytes.length));
    expect(
      batches.map((each) => [
        each.recordCount,
        each.isTransactional,
        each.isControl,
        each.producerId,
        each.producerEpoch,
        each.baseSequence,
      ]),
    ).toEqual([
      [2, false, false, -1, -1, -1],
      [1, true, false, 7, 3, 0],
      [1, false, false, -1, -1, -1],
      [1, true, true, 7, 4, -1],
      [1, false, false, -1, -1, -1],
    ]);
    expect(readControlBatch(batches[3]!)).toEqual({ version: 0, type: 1, coordinatorEpoch: 0 });
    const block = openRecords(batches[1]!, {
      compression: rig.test.runtime.compression,
      sizeBytesMax: 1000,
    });
    if (typeof block === "string") throw new Error(block);
    const cursor = new RecordCursor(block);
    cursor.next();
    const value = cursor.value()!;
    // Version 4, and no tag for the topic's id.
    expect([value[1], value.at(-1)]).toEqual([4, 0]);
    expect(groupRecordSerde.decode(cursor.key()!, value)).toEqual({
      kind: "offset_commit",
      key: { group: "g", topic: "t", partition: 0 },
      value: {
        offset: 5,
        leaderEpoch: -1,
        metadata: "m",
        commitTimestamp: rig.test.runtime.clock.wallMs(),
        expireTimestamp: -1,
        topicId: ZERO_UUID,
      },
    });
    expect(await rig.read()).toEqual([5, 2, 3, 4]);
  });

  test("is nothing where the group refuses, or all is too large", async () => {
    const rig = new TransactionsRig();
    rig.settings.offsetMetadataBytesMax = 3;
    const p = producer();
    expect(await rig.commitIn(p, 5, { metadata: "long" })).toBe("offset_metadata_too_large");
    expect(await rig.commitIn(p, 5, { topic: "nope" })).toBe("unknown_topic_or_partition");
    expect(await rig.commitIn(p, 5, { partition: 4 })).toBe("unknown_topic_or_partition");
    expect(await rig.commitIn(p, 5, { generation: 0 })).toBe("illegal_generation");
    expect(rig.log.batches).toEqual([]);
    expect(rig.log.isOpen(p)).toBe(false);
  });
});

describe("who commits in a transaction", () => {
  test("is checked against a classic group, whose sessions it does not keep alive", async () => {
    const rig = new TransactionsRig();
    const join = (memberId: string) =>
      rig.run<JoinGroupResponse>((shard, now, reply) =>
        shard.joinGroup(
          { now, version: 9, clientId: "c", clientHost: "/h" },
          withDefaults(JoinGroup.request, {
            groupId: "g",
            memberId,
            groupInstanceId: "static",
            sessionTimeoutMs: 10_000,
            rebalanceTimeoutMs: 10_000,
            protocolType: "consumer",
            protocols: [{ name: "range", metadata: metadataFor(["t"]) }],
          }),
          reply,
        ),
      );
    const joining = join("");
    await rig.test.advance(1);
    const joined = await joining;
    if (!joined.ok) throw new Error(joined.error.code);
    const { memberId, generationId: generation } = joined.value;
    expect(joined.value.errorCode).toBe(0);
    const p = producer();
    const commit = (fields: object) => rig.commitIn(p, 5, fields);
    const own = { memberId, generation, instanceId: "static" };
    // Also while it is rebalancing: the member has its generation.
    expect(await commit(own)).toBe("none");
    expect(await commit({ ...own, generation: generation + 1 })).toBe("illegal_generation");
    expect(await commit({ ...own, memberId: "other" })).toBe("fenced_instance_id");
    expect(await commit({ ...own, instanceId: null, memberId: "other" })).toBe("unknown_member_id");
    expect(await commit({ ...own, instanceId: "nobody" })).toBe("unknown_member_id");
    // Producers that say nothing of a member (before v3).
    expect(await commit({ version: 2 })).toBe("none");
    await rig.test.advance(9_000);
    expect(await commit(own)).toBe("none");
    await rig.test.advance(9_000);
    expect(await commit(own)).toBe("unknown_member_id");
  });

  test("is checked against a consumer group, by what it has had since the epoch that it names", async () => {
    const rig = new TransactionsRig(["t", "u"]);
    const memberId = "AAAAAAAAAAAAAAAAAAAAAQ";
    const beat = async (memberEpoch: number, subscribedTopicNames: string[]) => {
      const outcome = await rig.run<ConsumerGroupHeartbeatResponse>((shard, now, reply) =>
        shard.consumerGroupHeartbeat(
          { now, version: 1, clientId: "c", clientHost: "/h", mayDescribe: () => true },
          withDefaults(ConsumerGroupHeartbeat.request, {
            groupId: "g",
            memberId,
            memberEpoch,
            rebalanceTimeoutMs: 60_000,
            subscribedTopicNames,
            topicPartitions: memberEpoch === 0 ? [] : null,
          }),
          reply,
        ),
      );
      if (!outcome.ok) throw new Error(outcome.error.code);
      return outcome.value.memberEpoch;
    };
    const first = await beat(0, ["t"]);
    const generation = await beat(first, ["t", "u"]);
    expect(generation).toBe(first + 1);
    const p = producer();
    const commit = (fields: object) => rig.commitIn(p, 5, fields);
    expect(await commit({ memberId, generation })).toBe("none");
    expect(await commit({ memberId, generation: first, partition: 1 })).toBe("none");
    expect(await commit({ memberId, generation: first, topic: "u" })).toBe("illegal_generation");
    expect(await commit({ memberId, generation: generation + 1 })).toBe("illegal_generation");
    expect(await commit({ memberId: "other", generation })).toBe("unknown_member_id");
    expect(await commit({ partition: 2 })).toBe("none");
    await rig.end(p, true);
    expect(await rig.read()).toEqual([5, 5, 5, -1]);
  });

  test("is fenced by its epoch, in a transaction and by its end", async () => {
    const rig = new TransactionsRig();
    const p = producer(7, 4);
    await rig.commitIn(p, 5);
    expect(await rig.commitIn(producer(7, 3), 1)).toBe("invalid_producer_epoch");
    expect(await rig.end(producer(7, 3), true, 1)).toBe("invalid_producer_epoch");
    // Of the second protocol a marker is of a newer epoch than its batches.
    expect(await rig.end(producer(7, 3), true, 2)).toBe("invalid_producer_epoch");
    rig.coordinatorEpoch = 2;
    expect(await rig.end(p, true)).toBe("none");
    expect(await rig.commitIn(producer(7, 4), 1)).toBe("invalid_producer_epoch");
    rig.coordinatorEpoch = 1;
    expect(await rig.end(p, false)).toBe("transaction_coordinator_fenced");
    expect(await rig.read()).toEqual([5, -1, -1, -1]);
  });
});
