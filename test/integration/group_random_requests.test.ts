// Well-formed requests of every group API and version with anything in them, to a whole broker over sockets: whatever is asked
// in whatever order, each is answered, no connection is closed, nothing fails inside; and what was decided survives a load of
// the shards, which reads it back. MILLRACE_TEST_FULL=1 asks thirty times as much.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { handlers } from "../../plugins/transport-kafka/handlers/table.ts";
import { SeededRandom } from "../../src/base/prng.ts";
import { OffsetCommit } from "../../src/protocol/messages/08_offset_commit.ts";
import { OffsetFetch } from "../../src/protocol/messages/09_offset_fetch.ts";
import { ListGroups } from "../../src/protocol/messages/16_list_groups.ts";
import { CreateTopics } from "../../src/protocol/messages/19_create_topics.ts";
import { type AnyField, type AnyFields, versionRange } from "../../src/protocol/schema.ts";
import { isFullTestRun } from "../support/test_scale.ts";
import { Live, type WireClient } from "./live.ts";

const KEYS = [8, 9, 10, 11, 12, 13, 14, 15, 16, 42, 47, 68, 69];
const ROUNDS = isFullTestRun ? 30 : 1;
const REQUESTS = 1500;
/** JoinGroup and SyncGroup may wait for others: nobody waits for their answers here. */
const WAITING = [11, 14];

const LONG = "x".repeat(32_767);
const STRINGS: Readonly<Record<string, readonly string[]>> = {
  name: ["t", "u", "range", "nope", "", "__consumer_offsets", LONG],
  subscribedTopicRegex: ["t|u", "(", ".*", "", "[a-z]{1,9}"],
  serverAssignor: ["uniform", "range", "nope", ""],
  protocolType: ["consumer", "connect", ""],
  protocolName: ["range", "nope", ""],
  default: ["g", "h", "i", "", "ü\u0000", LONG],
};
const NUMBERS = [0, 1, 2, -1, -2, 3, 10_000, 2_147_483_647, -2_147_483_648];

class Anything {
  readonly #random: SeededRandom;
  /** Ids that the broker gave: otherwise nobody would ever be a member. */
  readonly memberIds: string[] = ["m"];
  topicIds: readonly string[] = [];

  constructor(seed: number) {
    this.#random = SeededRandom.of(seed);
  }

  one<T>(items: readonly T[]): T {
    return items[this.#random.below(items.length)]!;
  }

  struct(fields: AnyFields, version: number): Record<string, unknown> {
    const struct: Record<string, unknown> = {};
    for (const [name, field] of Object.entries(fields)) {
      const [from, to] = versionRange(field.versions, 0, Number.POSITIVE_INFINITY);
      if (version >= from && version <= to) struct[name] = this.#value(name, field, version);
    }
    return struct;
  }

  #value(name: string, field: AnyField, version: number): unknown {
    if (this.#isNullable(field, version) && this.#random.below(3) === 0) return null;
    switch (field.type) {
      case "bool":
        return this.#random.below(2) === 0;
      case "int8":
        return this.one([0, 1, 2, -1, 127]);
      case "int16":
        return this.one([0, 1, -1, 32_767]);
      case "int32":
        // Mostly such as let a member in.
        if (/TimeoutMs$/.test(name)) return this.one([10_000, 10_000, 60_000, ...NUMBERS]);
        return this.one(NUMBERS);
      case "int64":
        return this.one([0, 1, -1, 5, 2 ** 53 - 1, 2n ** 63n - 1n]);
      case "string":
        if (name === "memberId" && this.#random.below(2) === 0) return this.one(this.memberIds);
        return this.one(STRINGS[name] ?? STRINGS["default"]!);
      case "uuid":
        return this.one([...this.topicIds, "EREREREiIjMzREREVVVVVQ", "AAAAAAAAAAAAAAAAAAAAAA"]);
      case "bytes":
        return this.one([
          new Uint8Array(0),
          new Uint8Array([0, 1, 0, 0, 0, 1, 0, 1, 116, 255, 255, 255, 255, 0, 0, 0, 0]),
          new Uint8Array([0, 3, 255, 255]),
          new Uint8Array(this.#random.below(300)).fill(7),
        ]);
      case "array":
        return Array.from({ length: this.#random.below(4) }, () =>
          this.#value(name, field.element!, version),
        );
      case "struct":
        return this.struct(field.fields!, version);
      default:
        throw new Error(`no ${field.type} in a group's request: ${name}`);
    }
  }

  #isNullable(field: AnyField, version: number): boolean {
    if (field.nullable === undefined) return false;
    if (field.nullable === true) return true;
    const [from, to] = versionRange(field.nullable, 0, Number.POSITIVE_INFINITY);
    return version >= from && version <= to;
  }
}

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
    const anything = new Anything(round);
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
