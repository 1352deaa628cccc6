// What most people mean by using Kafka, end to end over sockets: the partitions of a topic divided among the consumers of a
// group, while data flows and members come and go, in both protocols; groups that do not know of each other; offsets that
// are there after a restart, and never go back.

import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  OffsetCommitKey,
  OffsetCommitValue,
} from "../../src/protocol/internal_records/offset_commit.ts";
import { Produce } from "../../src/protocol/messages/00_produce.ts";
import { Fetch } from "../../src/protocol/messages/01_fetch.ts";
import { Metadata } from "../../src/protocol/messages/03_metadata.ts";
import { OffsetCommit } from "../../src/protocol/messages/08_offset_commit.ts";
import { OffsetFetch } from "../../src/protocol/messages/09_offset_fetch.ts";
import { JoinGroup } from "../../src/protocol/messages/11_join_group.ts";
import { Heartbeat } from "../../src/protocol/messages/12_heartbeat.ts";
import { SyncGroup } from "../../src/protocol/messages/14_sync_group.ts";
import { DescribeGroups } from "../../src/protocol/messages/15_describe_groups.ts";
import { CreateTopics } from "../../src/protocol/messages/19_create_topics.ts";
import { ConsumerGroupDescribe } from "../../src/protocol/messages/69_consumer_group_describe.ts";
import { decodeStoredKey, decodeStoredValue, storedRecordType } from "../../src/protocol/stored.ts";
import { batchesIn } from "../../src/record/record_batch.ts";
import { RecordBatchBuilder } from "../../src/record/record_builder.ts";
import { readRecords } from "../../src/record/record_reader.ts";
import {
  DataFlow,
  GroupRun,
  type Protocol,
  protocols,
  type ReadTopic,
  until,
} from "./group_rig.ts";
import { Live, type WireClient } from "./live.ts";

let live: Live;
let folder: string | null = null;
afterEach(async () => {
  await live.stop();
  if (folder !== null) rmSync(folder, { recursive: true, force: true });
  folder = null;
});

async function makeTopic(client: WireClient, name: string, partitionCount: number) {
  const made = await client.ask(CreateTopics, 7, {
    topics: [
      { name, numPartitions: partitionCount, replicationFactor: 1, assignments: [], configs: [] },
    ],
    timeoutMs: 5000,
    validateOnly: false,
  });
  expect(made.topics[0]!.errorCode).toBe(0);
  return { name, id: made.topics[0]!.topicId, partitionCount } satisfies ReadTopic;
}

async function membersInStableGroup(
  client: WireClient,
  protocol: Protocol,
  groupId: string,
): Promise<number> {
  if (protocol === "classic") {
    const { groups } = await client.ask(DescribeGroups, 5, { groups: [groupId] });
    return groups[0]!.groupState === "Stable" ? groups[0]!.members.length : -1;
  }
  const { groups } = await client.ask(ConsumerGroupDescribe, 1, {
    groupIds: [groupId],
    includeAuthorizedOperations: false,
  });
  return groups[0]!.groupState === "Stable" ? groups[0]!.members.length : -1;
}

async function committedOffsets(
  client: WireClient,
  groupId: string,
  topic: ReadTopic,
): Promise<number[]> {
  const { groups } = await client.ask(OffsetFetch, 9, {
    groups: [
      {
        groupId,
        topics: [
          {
            name: topic.name,
            partitionIndexes: Array.from({ length: topic.partitionCount }, (_, i) => i),
          },
        ],
      },
    ],
    requireStable: true,
  });
  return groups[0]!.topics[0]!.partitions.map(({ committedOffset }) => committedOffset);
}

function commitOf(groupId: string, topic: ReadTopic, offsets: readonly number[]) {
  return {
    groupId,
    memberId: "",
    topics: [
      {
        name: topic.name,
        partitions: offsets.map((committedOffset, partitionIndex) => ({
          partitionIndex,
          committedOffset,
          committedMetadata: `at ${committedOffset}`,
        })),
      },
    ],
  };
}

describe("six partitions", () => {
  for (const protocol of protocols) {
    test(`${protocol}: six consumers have one each, twelve leave six idle, three two each, one all`, async () => {
      live = await Live.start({ settings: { "offsets.topic.num.partitions": 4 } });
      const client = await live.connect();
      const topic = await makeTopic(client, "orders", 6);
      const flow = new DataFlow(topic, () => live.connect());
      const group = new GroupRun("workers", topic, () => live.connect());
      const others = new GroupRun("auditors", topic, () => live.connect());
      const reach = async (run: GroupRun, shares: readonly number[]) => {
        const left = run.resize(protocol, shares.length);
        await until(
          `${run.groupId} of ${shares.length}`,
          async () =>
            run.shares().join() === shares.join() &&
            (await membersInStableGroup(client, protocol, run.groupId)) === shares.length,
        );
        await left;
      };
      await reach(others, [2, 2, 2]);
      const { takenCount } = others;
      await reach(group, [1, 1, 1, 1, 1, 1]);
      await reach(group, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
      await reach(group, [2, 2, 2]);
      await reach(group, [6]);
      await reach(group, [2, 2, 2]);
      // What goes on in one group is no matter of the other.
      expect(others.takenCount).toBe(takenCount);

      const ends = await flow.stop();
      for (const run of [group, others]) {
        await until(`${run.groupId} has read everything`, () => {
          run.shares();
          return run.committed.join() === ends.join();
        });
        expect(run.readEnds).toEqual([...ends]);
        expect(await committedOffsets(client, run.groupId, topic)).toEqual([...ends]);
        await run.end();
      }
      client.close();
    }, 60_000);
  }
});

describe("a restart", () => {
  test("keeps offsets, and the group that commits them", async () => {
    folder = mkdtempSync(join(tmpdir(), "millrace-groups-"));
    live = await Live.start({ folder });
    let client = await live.connect();
    const topic = await makeTopic(client, "orders", 3);
    const joinRequest = (memberId: string) => ({
      groupId: "g",
      sessionTimeoutMs: 60_000,
      rebalanceTimeoutMs: 60_000,
      memberId,
      protocolType: "consumer",
      protocols: [
        { name: "range", metadata: new Uint8Array([0, 0, 0, 0, 0, 0, 255, 255, 255, 255]) },
      ],
    });
    const { memberId } = await client.ask(JoinGroup, 9, joinRequest(""));
    const { generationId, errorCode } = await client.ask(JoinGroup, 9, joinRequest(memberId));
    expect([errorCode, generationId]).toEqual([0, 1]);
    const assignment = new Uint8Array([1, 2, 3]);
    await client.ask(SyncGroup, 5, {
      groupId: "g",
      generationId,
      memberId,
      protocolType: "consumer",
      protocolName: "range",
      assignments: [{ memberId, assignment }],
    });
    const committed = await client.ask(OffsetCommit, 9, {
      ...commitOf("g", topic, [7, 8, 9]),
      memberId,
      generationIdOrMemberEpoch: generationId,
    });
    expect(committed.topics[0]!.partitions.map((each) => each.errorCode)).toEqual([0, 0, 0]);
    await client.ask(OffsetCommit, 9, commitOf("simple", topic, [1, 2, 3]));
    client.close();
    await live.stop();

    live = await Live.start({ folder });
    client = await live.connect();
    expect(await committedOffsets(client, "g", topic)).toEqual([7, 8, 9]);
    expect(await committedOffsets(client, "simple", topic)).toEqual([1, 2, 3]);
    // The member goes on as if nothing had been.
    const beat = await client.ask(Heartbeat, 4, { groupId: "g", generationId, memberId });
    expect(beat.errorCode).toBe(0);
    const again = await client.ask(SyncGroup, 5, {
      groupId: "g",
      generationId,
      memberId,
      protocolType: "consumer",
      protocolName: "range",
      assignments: [],
    });
    expect([again.errorCode, [...again.assignment]]).toEqual([0, [1, 2, 3]]);
    client.close();
  });
});

describe("the topic of groups", () => {
  test("is internal, can be read as Kafka's tools read it, and written by nobody", async () => {
    live = await Live.start({ settings: { "offsets.topic.num.partitions": 1 } });
    const client = await live.connect();
    const topic = await makeTopic(client, "orders", 2);
    await client.ask(OffsetCommit, 9, commitOf("g", topic, [41, 42]));
    const { topics } = await client.ask(Metadata, 12, { topics: null });
    expect(new Map(topics.map(({ name, isInternal }) => [name, isInternal]))).toEqual(
      new Map([
        ["__consumer_offsets", true],
        ["orders", false],
      ]),
    );

    const builder = new RecordBatchBuilder();
    builder.append(0, new Uint8Array([1]), new Uint8Array([2]));
    const produced = await client.ask(Produce, 9, {
      transactionalId: null,
      acks: -1,
      timeoutMs: 5000,
      topicData: [
        { name: "__consumer_offsets", partitionData: [{ index: 0, records: builder.build() }] },
      ],
    });
    // invalid_topic_exception, as Kafka answers everybody but its own client.
    expect(produced.responses[0]!.partitionResponses[0]!.errorCode).toBe(17);

    const fetched = await client.ask(Fetch, 12, {
      maxWaitMs: 1000,
      minBytes: 1,
      sessionId: 0,
      sessionEpoch: -1,
      topics: [
        {
          topic: "__consumer_offsets",
          partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 100_000 }],
        },
      ],
    });
    const records = fetched.responses[0]!.partitions[0]!.records as Uint8Array;
    const found = [];
    const { batches } = batchesIn(records);
    // Not compressed.
    const open = { compression: null as never, sizeBytesMax: 0 };
    for (const { key, value } of batches.flatMap((each) => readRecords(each, open).records)) {
      if (storedRecordType(key!) !== OffsetCommitKey.recordType) continue;
      const { group, topic: name, partition } = decodeStoredKey(OffsetCommitKey, key!);
      const { offset, metadata } = decodeStoredValue(OffsetCommitValue, value!);
      found.push([group, name, partition, offset, metadata]);
    }
    expect(found).toEqual([
      ["g", "orders", 0, 41, "at 41"],
      ["g", "orders", 1, 42, "at 42"],
    ]);
    client.close();
  });
});
