// Well-formed requests of every group API and version with anything in them, to a whole broker over sockets: whatever is asked
// in whatever order, each is answered, no connection is closed, nothing fails inside; and what was decided survives a load of
// the shards, which reads it back. MILLRACE_TEST_FULL=1 asks thirty times as much.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { handlers } from "../../plugins/transport-kafka/handlers/table.ts";
import { OffsetCommit } from "../../src/protocol/messages/08_offset_commit.ts";
import { OffsetFetch } from "../../src/protocol/messages/09_offset_fetch.ts";
import { ListGroups } from "../../src/protocol/messages/16_list_groups.ts";
import { CreateTopics } from "../../src/protocol/messages/19_create_topics.ts";
import { isFullTestRun } from "../support/test_scale.ts";
import { Anything, LONG, NUMBERS } from "./anything.ts";
import { Live, type WireClient } from "./live.ts";

const KEYS = [8, 9, 10, 11, 12, 13, 14, 15, 16, 42, 47, 68, 69];
const ROUNDS = isFullTestRun ? 30 : 1;
const REQUESTS = 1500;
/** JoinGroup and SyncGroup may wait for others: nobody waits for their answers here. */
const WAITING = [11, 14];

const STRINGS: Readonly<Record<string, readonly string[]>> = {
  name: ["t", "u", "range", "nope", "", "__consumer_offsets", LONG],
  subscribedTopicRegex: ["t|u", "(", ".*", "", "[a-z]{1,9}"],
  serverAssignor: ["uniform", "range", "nope", ""],
  protocolType: ["consumer", "connect", ""],
  protocolName: ["range", "nope", ""],
  default: ["g", "h", "i", "", "ü\u0000", LONG],
};

function simpleCommit(anything: Anything, committedOffset: number) {
  const partitionIndex = anything.one([0, 1, 2]);
  return {
    groupId: anything.one(["g", "h", "simple", LONG]),
    memberId: "",
    topics: [
      {
        name: anything.one(["t", "u"]),
        partitions: [{ partitionIndex, committedOffset, committedMetadata: "" }],
      },
    ],
  };
}

/** All groups, and what is committed, as lines. */
async function everything(client: WireClient): Promise<{ ids: string[]; offsets: string[] }> {
  const listed = await client.ask(ListGroups, 5, { statesFilter: [], typesFilter: [] });
  expect(listed.errorCode).toBe(0);
  const ids = listed.groups.map(({ groupId }) => groupId).sort();
  const { groups } = await client.ask(OffsetFetch, 9, {
    groups: ids.map((groupId) => ({ groupId, topics: null })),
    requireStable: true,
  });
  const offsets: string[] = [];
  for (const { groupId, topics, errorCode } of groups) {
    expect(errorCode).toBe(0);
    for (const { name, partitions } of topics) {
      for (const { partitionIndex, committedOffset, metadata } of partitions) {
        offsets.push(`${groupId} ${name} ${partitionIndex}: ${committedOffset} ${metadata}`);
      }
    }
  }
  return { ids, offsets: offsets.sort() };
}

for (let round = 0; round < ROUNDS; round++) {
  test(`anything is answered, seed ${round}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "millrace-group-random-"));
    const anything = new Anything(round, { strings: STRINGS });
    const settings = { "offsets.topic.num.partitions": 3, "group.initial.rebalance.delay.ms": 0 };
    let live = await Live.start({ folder, settings });
    try {
      const client = await live.connect();
      const made = await client.ask(CreateTopics, 7, {
        topics: ["t", "u"].map((name) => ({
          name,
          numPartitions: 3,
          replicationFactor: 1,
          assignments: [],
          configs: [],
        })),
        timeoutMs: 5000,
        validateOnly: false,
      });
      anything.topicIds = made.topics.map(({ topicId }) => topicId);
      const waiting: WireClient[] = [];
      const answered = new Set<number>();
      for (let i = 0; i < REQUESTS; i++) {
        // Amid all that, commits that mean something where nobody is a member.
        if (i % 10 === 0) await client.ask(OffsetCommit, 7, simpleCommit(anything, i));
        const { api } = handlers[anything.one(KEYS)]!;
        const version =
          api.lowest + anything.one(NUMBERS.slice(0, 3)) * 3 > api.highestStable
            ? api.highestStable
            : api.lowest + (i % (api.highestStable - api.lowest + 1));
        const request = anything.struct(api.request.fields, version) as never;
        if (WAITING.includes(api.apiKey)) {
          const other = await live.connect();
          other.clientId = "random";
          waiting.push(other);
          const answer = await other.begin(api, version, request);
          void answer().then(
            (body) => {
              const { memberId } = body as { memberId?: string };
              if (memberId) anything.memberIds.push(memberId);
              answered.add(api.apiKey);
            },
            () => {},
          );
          if (anything.memberIds.length > 20) anything.memberIds.splice(1, 10);
        } else {
          const body = await client.ask(api, version, request);
          const { memberId } = body as { memberId?: string | null };
          if (memberId) anything.memberIds.push(memberId);
          answered.add(api.apiKey);
        }
      }
      expect([...answered].sort((a, b) => a - b)).toEqual(KEYS);
      const before = await everything(client);
      expect(before.offsets.length).toBeGreaterThan(0);
      for (const each of waiting) each.close();
      client.close();
      await live.stop();
      expect(live.logLines.filter((line) => /failed|"level":"error"/.test(line))).toEqual([]);

      live = await Live.start({ folder, settings });
      const again = await live.connect();
      const after = await everything(again);
      // A group that nothing was ever written of is gone; none comes up.
      expect(after.ids.filter((id) => !before.ids.includes(id))).toEqual([]);
      expect(after.offsets).toEqual(before.offsets);
      again.close();
    } finally {
      await live.stop();
      expect(live.logLines.filter((line) => /failed|"level":"error"/.test(line))).toEqual([]);
      rmSync(folder, { recursive: true, force: true });
    }
  }, 60_000);
}
