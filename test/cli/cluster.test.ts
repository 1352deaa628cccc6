// The commands that operate a cluster, as a shell runs them, on three brokers of one process.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { metadataMemory } from "../../plugins/metadata-memory/mod.ts";
import { storageMemory } from "../../plugins/storage-memory/mod.ts";
import { transportKafka } from "../../plugins/transport-kafka/mod.ts";
import { processHost } from "../../src/cli/host.ts";
import { runCli } from "../../src/cli/main.ts";
import { createClient } from "../../src/client/mod.ts";
import { createBroker, type RunningBroker } from "../../src/core/mod.ts";
import { hostRuntime } from "../../src/runtime/host_runtime.ts";

const ends: (() => Promise<void>)[] = [];
const brokers: RunningBroker[] = [];
let bootstrap = "";

beforeAll(async () => {
  const metadata = metadataMemory({ shared: true });
  for (const id of [1, 2, 3, 4]) {
    const host = hostRuntime({ log: { level: "off", format: "json", configure: false } });
    const broker = await createBroker({
      broker: { id },
      runtime: host.runtime,
      storage: storageMemory(),
      metadata,
      transports: [transportKafka({ listeners: [{ name: "a", host: "127.0.0.1", port: 0 }] })],
      settings: { "auto.leader.rebalance.enable": false },
    });
    brokers.push(broker);
    ends.push(async () => {
      await broker.stop(1000);
      await host.stop(1000);
    });
    await broker.start();
  }
  const [endpoint] = brokers[0]!.endpoints;
  bootstrap = `127.0.0.1:${endpoint!.advertisedPort}`;
});
afterAll(async () => {
  for (const end of ends) await end();
});

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly told: string;
}

/** @param answer what somebody at a terminal types; null: nobody is there */
async function millrace(command: string, answer: string | null = null): Promise<Ended> {
  let out = "";
  let told = "";
  const code = await runCli(command.split(" "), {
    ...processHost(),
    environment: { MILLRACE_BOOTSTRAP: bootstrap },
    isInputTerminal: answer !== null,
    isOutputTerminal: false,
    isErrorTerminal: false,
    interrupted: new AbortController().signal,
    async *input() {
      yield new TextEncoder().encode(answer ?? "");
    },
    print: async (text) => void (out += text),
    tell: (text) => void (told += text),
  });
  return { code, out, told };
}

async function json(command: string) {
  const { code, out, told } = await millrace(`${command} --json`);
  return { code, told, ...(out === "" ? {} : JSON.parse(out)) };
}

/** Every status until one is as wanted: brokers learn of a commit one after the other. */
async function status(isIt: (status: Awaited<ReturnType<typeof json>>) => boolean) {
  for (;;) {
    const found = await json("cluster status");
    if (isIt(found)) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("a cluster is filled, looked at, moved, evened out, drained, and a broker is forgotten", async () => {
  const { runtime } = hostRuntime({ log: { level: "off", format: "json", configure: false } });
  const client = createClient(runtime, { bootstrap });
  ends.unshift(() => client.close());
  await client.admin.createTopic({ name: "t", partitions: 6, replicationFactor: 2 });
  const producer = client.producer();
  const sent = 300;
  await Promise.all(
    Array.from({ length: sent }, (_, i) =>
      producer.send({ topic: "t", partition: i % 6, value: `record ${i}` }),
    ),
  );
  await producer.close();

  const first = await status(({ isWell, brokers: rows }) => isWell && rows.length === 4);
  expect(first).toMatchObject({ code: 0, partitions: 6, leaderless: 0, moving: [] });
  const shown = await millrace("cluster status --check");
  expect(shown.out).toContain("6 partitions, all led, all in sync");

  // Everything on 1 and 2, led by turns; nothing without somebody who says so.
  const dry = await millrace("cluster move t --to 1,2 --dry-run");
  expect([dry.code, dry.out.includes("nothing was changed")]).toEqual([0, true]);
  const nobody = await millrace("cluster move t --to 1,2");
  expect([nobody.code, nobody.told.includes("--yes")]).toEqual([2, true]);
  const no = await millrace("cluster move t --to 1,2", "n\n");
  expect([no.code, no.told.includes("Nothing was changed")]).toEqual([0, true]);
  const yes = await millrace("cluster move t --to 1,2", "y\n");
  expect([yes.code, yes.told.includes("Go on?")]).toEqual([0, true]);
  expect(yes.out).toMatch(/Moved \d partition/);
  const placed = await status(({ brokers: rows, isWell }) => isWell && rows[0].replicas === 6);
  expect(placed.brokers.map(({ replicas }: { replicas: number }) => replicas)).toEqual([
    6, 6, 0, 0,
  ]);
  expect(placed.brokers.map(({ leads }: { leads: number }) => leads)).toEqual([3, 3, 0, 0]);
  expect((await millrace("cluster move t --to 1,2 --yes")).out).toContain("Nothing to move");

  const even = await json("cluster rebalance --yes");
  expect([even.code, even.isBegun, even.left]).toEqual([0, true, 0]);
  const evened = await status(({ brokers: rows, isWell }) => isWell && rows[3].replicas === 3);
  for (const { replicas, leads } of evened.brokers) {
    expect(replicas).toBe(3);
    expect([1, 2]).toContain(leads);
  }
  expect((await json("cluster rebalance --yes")).moves).toEqual([]);

  expect((await json("cluster drain 4 --yes")).left).toBe(0);
  const drained = await status(({ brokers: rows, isWell }) => isWell && rows[3].replicas === 0);
  expect(drained.brokers[3]).toMatchObject({ leads: 0, replicas: 0, isLive: true });
  const running = await millrace("cluster unregister 4 --yes");
  expect([running.code, running.told.includes("running")]).toEqual([1, true]);
  await brokers[3]!.stop(1000);
  await status(({ brokers: rows }) => rows.length === 3);
  expect((await millrace("cluster unregister 4 --yes")).out).toContain("Unregistered broker 4");
  expect((await millrace("cluster unregister 4 --yes")).code).toBe(1);

  // All that was written is there still.
  const ended = await client.admin.offsets(
    Array.from({ length: 6 }, (_, partition) => ({ topic: "t", partition, at: "latest" as const })),
  );
  expect(ended.map((each) => each.ok && each.value.offset)).toEqual(Array(6).fill(sent / 6));
});

test("leadership goes back to preferred replicas when asked for", async () => {
  const { runtime } = hostRuntime({ log: { level: "off", format: "json", configure: false } });
  const client = createClient(runtime, { bootstrap });
  ends.unshift(() => client.close());
  await client.admin.createTopic({ name: "u", partitions: 1, replicationFactor: 3 });
  await client.admin.moveReplicas([{ topic: "u", partition: 0, replicas: [1, 2, 3] }]);
  await client.admin.electLeaders("preferred", null);
  await client.admin.moveReplicas([{ topic: "u", partition: 0, replicas: [2, 3, 1] }]);
  await status(({ notPreferred }) => notPreferred === 1);
  const dry = await json("cluster elect --dry-run");
  expect(dry.wanted).toEqual([{ topic: "u", partition: 0, leader: 1 }]);
  const done = await json("cluster elect u:0 --yes");
  expect(done.results).toEqual([{ topic: "u", partition: 0, error: null }]);
  await status(({ notPreferred }) => notPreferred === 0);
  expect((await millrace("cluster elect --yes")).out).toContain("No election is needed");
  expect((await millrace("cluster elect u:7 --yes")).told).toContain("has no partition 7");
});

test("a plan that cannot be is refused by its name", async () => {
  const few = await millrace("cluster drain 1 --yes");
  expect([
    few.code,
    few.told.includes("u-0 has 3 replicas, and there are 2 other brokers"),
  ]).toEqual([1, true]);
  expect((await millrace("cluster move u --to 1,9 --yes")).told).toContain("9");
  expect((await millrace("cluster move u --to 1,1 --yes")).code).toBe(2);
  expect((await millrace("cluster move u --yes")).code).toBe(2);
  expect((await millrace("cluster move --cancel --yes")).out).toContain("Nothing is on its way");
});

test("a move to a broker that is away waits, is shown, stands in the way of plans, and is cancelled", async () => {
  const { runtime } = hostRuntime({ log: { level: "off", format: "json", configure: false } });
  const client = createClient(runtime, { bootstrap });
  ends.unshift(() => client.close());
  await client.admin.createTopic({ name: "v", partitions: 1, replicationFactor: 1 });
  await client.admin.moveReplicas([{ topic: "v", partition: 0, replicas: [1] }]);
  await status(({ isWell }) => isWell);
  await brokers[2]!.stop(1000);
  await status(({ brokers: rows }) => rows[2].isLive === false);

  const begun = await json("cluster move v --to 1,3 --yes --wait 0");
  expect([begun.code, begun.left]).toEqual([0, 1]);
  const waiting = await status(({ moving }) => moving.length === 1);
  expect(waiting.moving[0]).toMatchObject({ topic: "v", adding: [3], removing: [] });
  const check = await millrace("cluster status --check");
  expect([check.code, check.out.includes("1 on their way")]).toEqual([1, true]);
  const watched = await millrace("cluster move v --to 3,1 --yes --wait 1");
  expect([watched.code, watched.out.includes("1 partition not there yet")]).toEqual([1, true]);
  const drain = await millrace("cluster drain 2 --yes");
  expect([drain.code, drain.told.includes("on the way already")]).toEqual([1, true]);

  expect((await millrace("cluster move v:0 --cancel --dry-run")).out).toContain("1 move to cancel");
  expect((await millrace("cluster move v:0 --cancel --yes")).out).toContain("Cancelled 1 move");
  const back = await status(({ moving }) => moving.length === 0);
  expect(back.outOfSync.map(({ topic }: { topic: string }) => topic)).not.toContain("v");
});
