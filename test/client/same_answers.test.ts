// Both ways to a broker give the same answers: every API, in every version, field by field.

import { expect, test } from "bun:test";
import { ZERO_UUID } from "../../src/base/uuid.ts";
import { Produce } from "../../src/protocol/messages/00_produce.ts";
import { Fetch } from "../../src/protocol/messages/01_fetch.ts";
import { ListOffsets } from "../../src/protocol/messages/02_list_offsets.ts";
import { Metadata } from "../../src/protocol/messages/03_metadata.ts";
import { CreateTopics } from "../../src/protocol/messages/19_create_topics.ts";
import { DeleteTopics } from "../../src/protocol/messages/20_delete_topics.ts";
import { DeleteRecords } from "../../src/protocol/messages/21_delete_records.ts";
import { OffsetForLeaderEpoch } from "../../src/protocol/messages/23_offset_for_leader_epoch.ts";
import { DescribeConfigs } from "../../src/protocol/messages/32_describe_configs.ts";
import { AlterConfigs } from "../../src/protocol/messages/33_alter_configs.ts";
import { CreatePartitions } from "../../src/protocol/messages/37_create_partitions.ts";
import { IncrementalAlterConfigs } from "../../src/protocol/messages/44_incremental_alter_configs.ts";
import { DescribeCluster } from "../../src/protocol/messages/60_describe_cluster.ts";
import { DescribeTopicPartitions } from "../../src/protocol/messages/75_describe_topic_partitions.ts";
import type { Api } from "../../src/protocol/schema.ts";
import { RecordBatchBuilder } from "../../src/record/record_builder.ts";
import { Rig, ways } from "./ports.ts";
import { failureOf, utf8 } from "./rig.ts";

function fetchOf(topicId: string, fetchOffset: number, maxWaitMs: number) {
  return {
    maxWaitMs,
    minBytes: 1,
    topics: [
      {
        topic: "t",
        topicId,
        partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 1_000_000 }],
      },
    ],
  };
}

test("every API answers the same in every version, by either way", async () => {
  // Asking must not make anything that the next one finds.
  const rig = await Rig.start({ "auto.create.topics.enable": false });
  const [wire, here] = ways.map((way) => rig.port(way));
  const { admin } = rig.client("in process");
  await admin.createTopic({ name: "t", partitions: 2 });
  const { topicId } = await admin.topic("t");
  const batch = () => {
    const builder = new RecordBatchBuilder({ codec: "none", sizeBytesHint: 512 });
    builder.append(5, utf8("k"), utf8("v".repeat(600)), []);
    return builder.build();
  };
  const damaged = batch();
  damaged[damaged.length - 1]! ^= 1;
  const partition = { partitionIndex: 0 };
  const named = { name: "t", topicId: topicId! };
  const unknown = { name: "nobody", topicId: "AAAAAAAAAAAAAAAAAAAAAQ" };
  // biome-ignore lint/suspicious/noExplicitAny: requests of many APIs in one table.
  const table: readonly (readonly [Api, (version: number) => any])[] = [
    [
      Produce,
      () => ({
        transactionalId: null,
        acks: -1,
        timeoutMs: 1_000,
        topicData: [
          { ...unknown, partitionData: [{ index: 0, records: batch() }] },
          {
            ...named,
            partitionData: [
              { index: 0, records: null },
              { index: 1, records: damaged },
              { index: 9, records: batch() },
            ],
          },
        ],
      }),
    ],
    [
      Produce,
      () => ({
        acks: 5,
        timeoutMs: 1,
        topicData: [{ ...named, partitionData: [{ index: 0, records: batch() }] }],
      }),
    ],
    [Fetch, () => fetchOf(topicId!, 0, 0)],
    [Fetch, () => fetchOf(topicId!, 77, 0)],
    [Fetch, () => fetchOf(unknown.topicId, 0, 0)],
    [
      ListOffsets,
      () => ({
        replicaId: -1,
        topics: [
          {
            name: "t",
            partitions: [
              { partitionIndex: 0, timestamp: -1 },
              { partitionIndex: 1, timestamp: -2 },
              { partitionIndex: 0, timestamp: -2 },
              { partitionIndex: 9, timestamp: -1 },
            ],
          },
        ],
      }),
    ],
    ...[-3, -4, -5, -6, -7, 0, 6, 2n ** 60n].map(
      (timestamp) =>
        [
          ListOffsets,
          () => ({
            replicaId: -1,
            topics: [{ name: "t", partitions: [{ ...partition, timestamp }] }],
          }),
        ] as const,
    ),
    [Metadata, (version) => ({ topics: version === 0 ? [] : null })],
    [Metadata, () => ({ topics: [{ topicId: ZERO_UUID, name: "nobody" }] })],
    [
      CreateTopics,
      () => ({
        topics: [
          { name: "t", numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] },
        ],
        timeoutMs: 1_000,
        validateOnly: true,
      }),
    ],
    [
      DeleteTopics,
      (version) => {
        return {
          timeoutMs: 1_000,
          ...(version >= 6
            ? { topics: [{ name: "nobody", topicId: ZERO_UUID }] }
            : { topicNames: ["nobody"] }),
        };
      },
    ],
    [
      DeleteRecords,
      () => ({
        timeoutMs: 1_000,
        topics: [{ name: "t", partitions: [{ ...partition, offset: 2n ** 60n }] }],
      }),
    ],
    [
      OffsetForLeaderEpoch,
      (version) => ({
        ...(version >= 3 ? { replicaId: -2 } : {}),
        topics: [
          {
            topic: "t",
            partitions: [
              { partition: 0, currentLeaderEpoch: -1, leaderEpoch: 0 },
              { partition: 9, currentLeaderEpoch: -1, leaderEpoch: 0 },
            ],
          },
        ],
      }),
    ],
    [
      DescribeConfigs,
      () => ({ resources: [{ resourceType: 2, resourceName: "t", configurationKeys: null }] }),
    ],
    [
      AlterConfigs,
      () => ({
        resources: [{ resourceType: 2, resourceName: "nobody", configs: [] }],
        validateOnly: true,
      }),
    ],
    [
      IncrementalAlterConfigs,
      () => ({
        resources: [
          {
            resourceType: 2,
            resourceName: "t",
            configs: [{ name: "no.such", configOperation: 0, value: "1" }],
          },
        ],
        validateOnly: false,
      }),
    ],
    [
      CreatePartitions,
      () => ({
        topics: [{ name: "t", count: 1, assignments: null }],
        timeoutMs: 1_000,
        validateOnly: true,
      }),
    ],
    [DescribeCluster, () => ({ includeClusterAuthorizedOperations: true })],
    [
      DescribeTopicPartitions,
      () => ({ topics: [{ name: "t" }], responsePartitionLimit: 1, cursor: null }),
    ],
  ];
  // Something to find.
  await rig
    .client("wire")
    .producer()
    .send({ topic: "t", partition: 0, value: "x", timestampMs: 5 });
  let compared = 0;
  for (const [api, requestOf] of table) {
    for (let version = api.lowest; version <= api.highestStable; version++) {
      const bounds = { versionMin: version, versionMax: version };
      const [byWire, byCall] = [
        await wire!.send(api, requestOf(version), bounds),
        await here!.send(api, requestOf(version), bounds),
      ];
      expect({ api: api.name, version, answer: byCall }).toEqual({
        api: api.name,
        version,
        answer: byWire,
      });
      compared++;
    }
    for (const port of [wire!, here!]) {
      const beyond = port.send(api, requestOf(api.highest), { versionMin: 99 });
      expect((await failureOf(beyond)).code).toBe("unsupported_version");
    }
  }
  expect(compared).toBeGreaterThan(150);
  for (const port of [wire!, here!]) port.close();
  await rig.stop();
});
