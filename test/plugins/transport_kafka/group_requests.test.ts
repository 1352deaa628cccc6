// Requests of groups on one connection: a member that waits for its group holds back its own later requests, as in Kafka,
// and nobody else's; commits go on beside one another. And what the wire can say and no log can hold.

import { describe, expect, test } from "bun:test";
import type { OffsetCommitRequest } from "../../../src/protocol/messages/08_offset_commit.ts";
import { OffsetCommit } from "../../../src/protocol/messages/08_offset_commit.ts";
import { JoinGroup, type JoinGroupRequest } from "../../../src/protocol/messages/11_join_group.ts";
import { Heartbeat } from "../../../src/protocol/messages/12_heartbeat.ts";
import { SyncGroup } from "../../../src/protocol/messages/14_sync_group.ts";
import { settle } from "./fakes.ts";
import { Harness } from "./scripted.ts";

const join = {
  groupId: "g",
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 10_000,
  memberId: "m",
  protocolType: "consumer",
  protocols: [{ name: "range", metadata: new Uint8Array([1, 2, 3]) }],
};
const joined = {
  throttleTimeMs: 0,
  errorCode: 0,
  generationId: 1,
  protocolType: "consumer",
  protocolName: "range",
  leader: "m",
  skipAssignment: false,
  memberId: "m",
  members: [],
};
const sync = { groupId: "g", generationId: 1, memberId: "m", assignments: [] };
const synced = {
  throttleTimeMs: 0,
  errorCode: 0,
  protocolType: "consumer",
  protocolName: "range",
  assignment: new Uint8Array(0),
};
const beat = { groupId: "g", generationId: 1, memberId: "m" };
const commitOf = (committedOffset: number | bigint, retentionTimeMs: number | bigint = -1) => ({
  groupId: "g",
  retentionTimeMs: retentionTimeMs as number,
  topics: [
    {
      name: "t",
      partitions: [
        { partitionIndex: 3, committedOffset: 7, committedMetadata: "" },
        { partitionIndex: 5, committedOffset: committedOffset as number, committedMetadata: null },
      ],
    },
  ],
});
const committed = { throttleTimeMs: 0, topics: [] };

describe("a member that waits", () => {
  for (const [name, api, request, response] of [
    ["joinGroup", JoinGroup, join, joined],
    ["syncGroup", SyncGroup, sync, synced],
  ] as const) {
    test(`${api.name} holds back later requests of its connection, and of no other`, async () => {
      const harness = await Harness.start();
      let finish: () => void = () => {};
      harness.scripted.answers.set(
        name,
        () =>
          new Promise((resolve) => {
            finish = () => resolve(response);
          }),
      );
      harness.scripted.answers.set("heartbeat", () => ({ throttleTimeMs: 0, errorCode: 0 }));
      const client = harness.connect();
      const other = harness.connect();
      client.send(api as typeof JoinGroup, 5, request as typeof join);
      client.send(Heartbeat, 3, beat);
      await settle();
      expect(harness.scripted.calls.map((call) => call.name)).toEqual([name]);
      expect((await other.ask(Heartbeat, 3, beat)).errorCode).toBe(0);
      expect(client.peer.frames.length).toBe(0);
      finish();
      await settle();
      expect(harness.scripted.calls.map((call) => call.name)).toEqual([
        name,
        "heartbeat",
        "heartbeat",
      ]);
      expect(client.peer.frames.length).toBe(2);
    });
  }

  test("holds no memory of its request while it waits", async () => {
    const harness = await Harness.start();
    let finish: () => void = () => {};
    harness.scripted.answers.set(
      "joinGroup",
      () =>
        new Promise((resolve) => {
          finish = () => resolve(joined);
        }),
    );
    const client = harness.connect();
    const metadata = new Uint8Array(100_000).map((_, i) => i);
    client.send(JoinGroup, 5, { ...join, protocols: [{ name: "range", metadata }] });
    await settle();
    expect(harness.budget.heldBytes).toBe(0);
    const [request] = harness.scripted.of<JoinGroupRequest>("joinGroup");
    expect(request!.protocols[0]!.metadata).toEqual(metadata);
    finish();
    await settle();
    expect(client.peer.frames.length).toBe(1);
  });

  test("commits of one connection are decided in order, and none waits for another", async () => {
    const harness = await Harness.start();
    const finish: (() => void)[] = [];
    harness.scripted.answers.set(
      "offsetCommit",
      () => new Promise((resolve) => finish.push(() => resolve(committed))),
    );
    const client = harness.connect();
    for (const offset of [1, 2, 3]) client.send(OffsetCommit, 7, commitOf(offset));
    await settle();
    const asked = harness.scripted.of<OffsetCommitRequest>("offsetCommit");
    expect(asked.map((each) => each.topics[0]!.partitions[1]!.committedOffset)).toEqual([1, 2, 3]);
    for (const each of finish.reverse()) each();
    await settle();
    expect(client.peer.frames.length).toBe(3);
  });
});

describe("OffsetCommit beyond 2^53", () => {
  test("an offset that no log reaches is refused, with all of its commit", async () => {
    for (const offset of [2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n)]) {
      const harness = await Harness.start();
      const answer = await harness.connect().ask(OffsetCommit, 9, commitOf(offset));
      expect(answer.topics.map(({ name }) => name)).toEqual(["t"]);
      expect(answer.topics[0]!.partitions).toEqual([
        { partitionIndex: 3, errorCode: 28 },
        { partitionIndex: 5, errorCode: 28 },
      ]);
      expect(harness.scripted.calls).toEqual([]);
    }
  });

  test("a retention time beyond is taken to the nearest", async () => {
    const harness = await Harness.start();
    harness.scripted.answers.set("offsetCommit", () => committed);
    await harness.connect().ask(OffsetCommit, 4, commitOf(9, 2n ** 63n - 1n));
    const [request] = harness.scripted.of<OffsetCommitRequest>("offsetCommit");
    expect(request!.retentionTimeMs).toBe(2 ** 63);
    expect(request!.topics[0]!.partitions[1]!.committedOffset).toBe(9);
  });
});
