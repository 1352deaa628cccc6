// kill -9 of the whole program, on disk, in the middle of commits and rebalances: what was acknowledged is there after a
// restart, or something later that was sent; and the group goes on, with nobody owning what another one has.
// MILLRACE_TEST_FULL=1 makes twenty rounds of it.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OffsetCommit } from "../../src/protocol/messages/08_offset_commit.ts";
import { OffsetFetch } from "../../src/protocol/messages/09_offset_fetch.ts";
import { CreateTopics } from "../../src/protocol/messages/19_create_topics.ts";
import { type HostRuntime, hostRuntime } from "../../src/runtime/host_runtime.ts";
import { isFullTestRun } from "../support/test_scale.ts";
import { DataFlow, GroupRun, isLoss, protocols, type ReadTopic, until } from "./group_rig.ts";
import { WireClient } from "./live.ts";
import { Program } from "./program.ts";

const ROUNDS = isFullTestRun ? 20 : 2;
const GROUPS = 12;
const PARTITIONS = 6;
/** Commits under way on one connection. */
const PIPELINED = 8;

const folder = mkdtempSync(join(tmpdir(), "millrace-groups-killed-"));
const flags = ["-o", "offsets.topic.num.partitions=5"];
let host: HostRuntime;
let program: Program;
let topic: ReadTopic;

async function connect(): Promise<WireClient> {
  return new WireClient(
    await host.runtime.network.connect({
      host: "127.0.0.1",
      port: program.port,
      timeoutMs: 10_000,
    }),
  );
}

beforeAll(async () => {
  host = hostRuntime({ log: { level: "off", configure: false } });
  program = await Program.start(folder, ...flags);
  const client = await connect();
  const made = await client.ask(CreateTopics, 7, {
    topics: [
      {
        name: "orders",
        numPartitions: PARTITIONS,
        replicationFactor: 1,
        assignments: [],
        configs: [],
      },
    ],
    timeoutMs: 5000,
    validateOnly: false,
  });
  topic = { name: "orders", id: made.topics[0]!.topicId, partitionCount: PARTITIONS };
  client.close();
}, 30_000);

afterAll(async () => {
  await program.kill();
  await host.stop(1000);
  rmSync(folder, { recursive: true, force: true });
});

/** Commits ever higher offsets for one group, several commits at a time, until the broker is gone. */
class Committer {
  readonly groupId: string;
  /** Highest offset sent, and highest that was acknowledged, the same for all partitions. */
  sent = 0;
  acknowledged = 0;
  refusals: number[] = [];

  constructor(groupId: string) {
    this.groupId = groupId;
  }

  async run(): Promise<void> {
    try {
      const client = await connect();
      const answers: (() => Promise<void>)[] = [];
      for (;;) {
        while (answers.length < PIPELINED) answers.push(await this.#send(client));
        await answers.shift()!();
      }
    } catch (error) {
      if (!isLoss(error)) throw error;
    }
  }

  async #send(client: WireClient): Promise<() => Promise<void>> {
    const offset = ++this.sent;
    const answer = await client.begin(OffsetCommit, 9, {
      groupId: this.groupId,
      memberId: "",
      topics: [
        {
          name: topic.name,
          partitions: Array.from({ length: PARTITIONS }, (_, partitionIndex) => ({
            partitionIndex,
            committedOffset: offset,
            committedMetadata: "",
          })),
        },
      ],
    });
    return async () => {
      const { topics } = await answer();
      const codes = topics[0]!.partitions.map(({ errorCode }) => errorCode);
      if (codes.every((code) => code === 0)) this.acknowledged = offset;
      else this.refusals.push(...codes);
    };
  }

  /** What is committed now: the same everywhere, since a commit is one batch. */
  async committed(client: WireClient): Promise<number> {
    const { groups } = await client.ask(OffsetFetch, 9, {
      groups: [{ groupId: this.groupId, topics: null }],
      requireStable: true,
    });
    expect(groups[0]!.errorCode).toBe(0);
    const offsets = groups[0]!.topics.flatMap(({ partitions }) =>
      partitions.map(({ committedOffset }) => committedOffset),
    );
    expect(offsets).toEqual(new Array(PARTITIONS).fill(offsets[0] ?? 0));
    return offsets[0]!;
  }
}

test("what was acknowledged is committed after kill -9, or something later that was sent", async () => {
  const committers = Array.from({ length: GROUPS }, (_, i) => new Committer(`group-${i}`));
  for (let round = 0; round < ROUNDS; round++) {
    const before = committers.map(({ acknowledged }) => acknowledged);
    const runs = committers.map((each) => each.run());
    // At another moment of the commits each round.
    await until("commits are acknowledged", () =>
      committers.every((each, i) => each.acknowledged > before[i]! + 5 + 7 * round),
    );
    await program.kill();
    await Promise.all(runs);
    program = await Program.start(folder, ...flags);
    const client = await connect();
    for (const each of committers) {
      expect(each.refusals).toEqual([]);
      const committed = await each.committed(client);
      expect(committed).toBeGreaterThanOrEqual(each.acknowledged);
      expect(committed).toBeLessThanOrEqual(each.sent);
      each.acknowledged = committed;
      each.sent = committed;
    }
    client.close();
  }
}, 300_000);

test("an older copy of the data put back, as by a disk that lies about syncing, is found out", async () => {
  const committer = new Committer("sabotaged");
  const run = committer.run();
  await until("commits are acknowledged", () => committer.acknowledged > 5);
  cpSync(join(folder, "data"), join(folder, "older"), { recursive: true });
  const { sent } = committer;
  await until("more are", () => committer.acknowledged > sent + 5);
  await program.kill();
  await run;
  rmSync(join(folder, "data"), { recursive: true });
  renameSync(join(folder, "older"), join(folder, "data"));
  program = await Program.start(folder, ...flags);
  const client = await connect();
  expect(await committer.committed(client)).toBeLessThan(committer.acknowledged);
  client.close();
}, 60_000);

for (const protocol of protocols) {
  test(`${protocol}: a group whose broker was killed while it rebalanced goes on where it was`, async () => {
    const flow = new DataFlow(topic, connect);
    const group = new GroupRun(`${protocol}-killed`, topic, connect);
    const shares = (expected: string) =>
      until(`shares ${expected}`, () => group.shares().join() === expected, 60_000);
    for (let round = 0; round < ROUNDS; round++) {
      await group.resize(protocol, 2);
      await shares("3,3");
      const { takenCount } = group;
      await group.resize(protocol, 6);
      // At another moment of the rebalance each round: before the first partition moves, or behind some.
      await until("partitions move", () => group.takenCount >= takenCount + (round % 4));
      await program.kill();
      program = await Program.start(folder, ...flags);
      await shares("1,1,1,1,1,1");
    }
    const ends = await flow.stop();
    await until("all is read", () => {
      group.shares();
      return group.committed.join() === ends.join();
    });
    expect(group.readEnds).toEqual([...ends]);
    await group.end();
  }, 300_000);
}
