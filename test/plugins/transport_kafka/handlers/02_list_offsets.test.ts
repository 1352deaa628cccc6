import { describe, expect, test } from "bun:test";
import type { OffsetQuery } from "../../../../src/contracts/broker.ts";
import { ListOffsets } from "../../../../src/protocol/messages/02_list_offsets.ts";
import { Harness, refused } from "../scripted.ts";

const BEYOND = 1n << 60n;

describe("ListOffsets", () => {
  test("asks the broker once for all partitions and keeps their places", async () => {
    const harness = await Harness.start();
    const answer = await harness.connect().ask(ListOffsets, 11, {
      replicaId: -1,
      isolationLevel: 1,
      topics: [
        {
          name: "a",
          partitions: [
            { partitionIndex: 2, timestamp: -1, currentLeaderEpoch: 4 },
            { partitionIndex: 0, timestamp: 1700 },
          ],
        },
        { name: "b", partitions: [{ partitionIndex: 1, timestamp: -2 }] },
      ],
    });
    expect(harness.scripted.of<OffsetQuery[]>("offsetFor")).toEqual([
      [
        { topic: "a", partition: 2, at: "latest", isolation: "read_committed", leaderEpoch: 4 },
        {
          topic: "a",
          partition: 0,
          at: { timestampMs: 1700 },
          isolation: "read_committed",
          leaderEpoch: -1,
        },
        { topic: "b", partition: 1, at: "earliest", isolation: "read_committed", leaderEpoch: -1 },
      ],
    ]);
    expect(
      answer.topics.map(({ name, partitions }) => [
        name,
        ...partitions.map((each) => each.partitionIndex),
      ]),
    ).toEqual([
      ["a", 2, 0],
      ["b", 1],
    ]);
    expect(answer.topics[0]!.partitions[0]).toMatchObject({
      errorCode: 0,
      timestamp: 1700,
      offset: 7,
      leaderEpoch: 2,
    });
  });

  test("a partition asked for twice is answered once, with 42", async () => {
    const harness = await Harness.start();
    const twice = { partitionIndex: 0, timestamp: -1 };
    const answer = await harness.connect().ask(ListOffsets, 11, {
      replicaId: -1,
      topics: [{ name: "a", partitions: [twice, { partitionIndex: 1, timestamp: -1 }, twice] }],
    });
    expect(
      answer.topics[0]!.partitions.map((each) => [each.partitionIndex, each.errorCode]),
    ).toEqual([
      [0, 42],
      [1, 0],
    ]);
  });

  test("errors of the broker come with -1 everywhere", async () => {
    const harness = await Harness.start();
    harness.scripted.offsetFor = () => refused("unknown_leader_epoch");
    const answer = await harness.connect().ask(ListOffsets, 4, {
      replicaId: -1,
      topics: [{ name: "a", partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
    });
    expect(answer.topics[0]!.partitions[0]).toMatchObject({
      errorCode: 75,
      timestamp: -1,
      offset: -1,
      leaderEpoch: -1,
    });
  });

  test("a leader that does not know its end yet is one that is not available to those before v5", async () => {
    const harness = await Harness.start();
    harness.scripted.offsetFor = () => refused("offset_not_available");
    for (const [version, errorCode] of [
      [4, 5],
      [5, 78],
      [11, 78],
    ] as const) {
      const answer = await harness.connect().ask(ListOffsets, version, {
        replicaId: -1,
        topics: [{ name: "a", partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
      });
      expect(answer.topics[0]!.partitions[0]!.errorCode).toBe(errorCode);
    }
  });

  test("timestamps beyond 2^53 are later than every record, or without meaning", async () => {
    const harness = await Harness.start();
    const answer = await harness.connect().ask(ListOffsets, 11, {
      replicaId: -1,
      topics: [
        {
          name: "a",
          partitions: [
            { partitionIndex: 0, timestamp: BEYOND },
            { partitionIndex: 1, timestamp: -BEYOND },
          ],
        },
      ],
    });
    expect(answer.topics[0]!.partitions.map((each) => [each.errorCode, each.offset])).toEqual([
      [0, -1],
      [35, -1],
    ]);
    expect(harness.scripted.calls.length).toBe(0);
  });

  test("followers are refused", async () => {
    const harness = await Harness.start();
    const answer = await harness.connect().ask(ListOffsets, 11, {
      replicaId: 2,
      topics: [{ name: "a", partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
    });
    expect(answer.topics[0]!.partitions[0]!.errorCode).toBe(42);
  });
});
