// How Apache Kafka 4.3.1 refuses what is wrong with group requests, case by case (group_refusals.ts and those beside it), and that we say the
// same. What it said was recorded from a broker with group.max.size and group.consumer.max.size of 2. Where we mean to
// say something else, the reason stands in DEVIATIONS; one that does not show any more fails, too.

import { expect, test } from "bun:test";
import { CreateTopics } from "../../src/protocol/messages/19_create_topics.ts";
import { loadGroupRefusals } from "../vectors/load.ts";
import { ConsumerRefusals } from "./consumer_refusals.ts";
import { GroupRefusals } from "./group_refusals.ts";
import { Live } from "./live.ts";
import { OffsetRefusals } from "./offset_refusals.ts";
import type { Codes } from "./refusal_rig.ts";

const ROW_ORDER =
  "Rows come in the order of the request; Kafka's have what it refuses itself in front.";
const DEVIATIONS: Readonly<Record<string, { readonly ours: Codes; readonly why: string }>> = {
  "OffsetCommit: metadata too long, long, no such partitions, long of two bytes, none, below zero":
    { ours: [12, 0, 3, 3, 0, 0, 0], why: ROW_ORDER },
  "OffsetCommit: some topics, unknown member": { ours: [3, 25, 3], why: ROW_ORDER },
  "OffsetCommit: v10, unknown topic id": { ours: [100, 0, 3], why: ROW_ORDER },
  "OffsetFetch: a consumer group, by nobody with an epoch": {
    ours: [25],
    why: "Kafka stumbles over the member id that is null.",
  },
  "ConsumerGroupHeartbeat: takes the place of one that is away, in a full group": {
    ours: [0],
    why: "The group has as many members as before: Kafka takes it likewise after 4.3.1.",
  },
  "JoinGroup to a consumer group: v3, garbled": {
    ours: [23],
    why: "Kafka means to say so, and stumbles where not even a version is there.",
  },
};

test("a broker refuses as Kafka does", async () => {
  const live = await Live.start({
    settings: {
      "group.initial.rebalance.delay.ms": 0,
      "group.max.size": 2,
      "group.consumer.max.size": 2,
    },
  });
  const client = await live.connect();
  try {
    const made = await client.ask(CreateTopics, 7, {
      topics: [{ name: "t", numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] }],
      timeoutMs: 5000,
      validateOnly: false,
    });
    const { topicId } = made.topics[0]!;
    const seen: Record<string, Codes> = {};
    // In this order: the cases of groups delete the one without a name, where offsets are.
    for (const Cases of [OffsetRefusals, GroupRefusals, ConsumerRefusals]) {
      await new Cases({ connect: () => live.connect(), client, topicId, seen }).run();
    }
    const kafkas = loadGroupRefusals();
    expect(Object.keys(seen).sort()).toEqual(Object.keys(kafkas).sort());
    for (const [what, codes] of Object.entries(kafkas)) {
      const deviation = DEVIATIONS[what];
      expect([what, ...seen[what]!]).toEqual([what, ...(deviation?.ours ?? codes)]);
      if (deviation !== undefined) expect([...deviation.ours]).not.toEqual([...codes]);
    }
    expect(Object.keys(DEVIATIONS).filter((what) => !(what in kafkas))).toEqual([]);
    // Nothing of it is a defect of ours.
    expect(live.logLines.filter((line) => line.includes("coordinator_defect"))).toEqual([]);
  } finally {
    client.close();
    await live.stop();
  }
}, 60_000);
