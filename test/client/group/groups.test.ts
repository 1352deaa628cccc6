// Groups of real members on a real broker, by both ways and both protocols: the arithmetic of sharing, and that
// nothing is lost, and nothing read twice that was done with, while members come and go.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Client, GroupConsumer, GroupConsumerOptions } from "../../../src/client/mod.ts";
import { Rig, ways } from "../ports.ts";
import { failureOf, text } from "../rig.ts";

const PARTITIONS = 6;
const SETTINGS = {
  "group.initial.rebalance.delay.ms": 0,
  "group.consumer.heartbeat.interval.ms": 50,
  "group.consumer.min.heartbeat.interval.ms": 50,
};
const TEST_MS = 40_000;

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.start(SETTINGS);
});
afterEach(() => rig.stop());

const later = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await later(5);
}

/** One member that notes what it reads. */
class Reader {
  readonly consumer: GroupConsumer;
  readonly ending = new AbortController();
  readonly ended: Promise<void>;
  count = 0;

  readonly #seen: Map<string, number>;
  readonly #inHand: Set<string>;

  constructor(
    client: Client,
    options: GroupConsumerOptions,
    seen: Map<string, number>,
    inHand: Set<string>,
  ) {
    this.#seen = seen;
    this.#inHand = inHand;
    this.consumer = client.consumer({
      heartbeatIntervalMs: 40,
      sessionTimeoutMs: 10_000,
      waitMsMax: 20,
      ...options,
      signal: this.ending.signal,
    });
    this.ended = this.#read();
  }

  get partitions(): number {
    return this.consumer.assignment().length;
  }

  /** Ends it as an application does that has had enough. */
  stop(): Promise<void> {
    this.ending.abort();
    return this.ended;
  }

  async #read(): Promise<void> {
    for await (const record of this.consumer) {
      const place = `${record.topic}-${record.partition}`;
      if (this.#inHand.has(place)) throw new Error(`Two members have ${place} in hand`);
      this.#inHand.add(place);
      const key = `${place}@${record.offset}`;
      this.#seen.set(key, (this.#seen.get(key) ?? 0) + 1);
      // Work that takes its time now and then.
      if (this.count++ % 50 === 0) await later(1);
      this.#inHand.delete(place);
    }
    await this.consumer.close();
  }
}

async function topicOf(client: Client): Promise<void> {
  await client.admin.createTopic({ name: "t", partitions: PARTITIONS });
}

async function produce(client: Client, from: number, count: number): Promise<void> {
  const producer = client.producer({ lingerMs: 0 });
  await producer.sendAll(
    Array.from({ length: count }, (_, at) => {
      return { topic: "t", partition: (from + at) % PARTITIONS, value: String(from + at) };
    }),
  );
  await producer.close();
}

for (const way of ways) {
  for (const protocol of ["classic", "consumer"] as const) {
    const assignors = [["range", "cooperative-sticky"], ["cooperative-sticky"]] as const;
    for (const own of protocol === "classic" ? assignors : [assignors[0]]) {
      describe(`${protocol} (${own.join()}) over ${way}`, () => {
        const options = (group: string): GroupConsumerOptions => {
          return { group, topics: ["t"], protocol, assignors: own };
        };

        test(
          "six partitions: one reads all, three two each, six one each, of twelve six are idle",
          async () => {
            const client = rig.client(way);
            await topicOf(client);
            const shares: Record<number, number[]> = {
              1: [6],
              3: [2, 2, 2],
              6: [1, 1, 1, 1, 1, 1],
              12: [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1],
            };
            const seen = new Map<string, number>();
            const inHand = new Set<string>();
            const readers: Reader[] = [];
            let made = 0;
            for (const [count, share] of Object.entries(shares)) {
              while (readers.length < Number(count)) {
                readers.push(new Reader(client, options("g"), seen, inHand));
              }
              const shared = () =>
                readers.map(({ partitions }) => partitions).sort((a, b) => a - b);
              await until(() => shared().join() === share.join());
              await produce(client, made, 60);
              made += 60;
              await until(() => seen.size === made);
            }
            // Nothing that was done with came again.
            expect([...seen.values()].every((times) => times === 1)).toBe(true);
            let { members, state } = await client.admin.describeGroup("g");
            while (state !== "Stable") {
              await later(5);
              ({ members, state } = await client.admin.describeGroup("g"));
            }
            expect(members.length).toBe(12);
            const assigned = members.flatMap(({ assignment }) => assignment);
            expect(assigned.map(({ partition }) => partition).sort()).toEqual([0, 1, 2, 3, 4, 5]);
            await Promise.all(readers.map((reader) => reader.stop()));
            const offsets = await client.admin.listGroupOffsets("g");
            expect(offsets.map(({ offset }) => offset)).toEqual(Array(PARTITIONS).fill(40));
            expect((await client.admin.describeGroup("g")).members).toEqual([]);
          },
          TEST_MS,
        );

        test(
          "members come and go while records flow: each is read once",
          async () => {
            const client = rig.client(way);
            await topicOf(client);
            const seen = new Map<string, number>();
            const other = new Map<string, number>();
            const inHand = new Set<string>();
            const readers: Reader[] = [];
            let made = 0;
            let isOver = false;
            const flowing = async () => {
              while (!isOver) {
                await produce(client, made, 60);
                made += 60;
                await later(5);
              }
            };
            const flow = flowing();
            // A test that has failed stops its broker under it.
            flow.catch(() => {});
            const alone = new Reader(client, options("other"), other, new Set());
            for (const count of [1, 3, 6, 12, 5, 2, 4, 1]) {
              while (readers.length < count) {
                readers.push(new Reader(client, options("g"), seen, inHand));
              }
              const going = readers.splice(0, readers.length - count);
              await Promise.all(going.map((reader) => reader.stop()));
              await later(150);
            }
            isOver = true;
            await flow;
            await until(() => seen.size === made && other.size === made);
            await Promise.all([...readers, alone].map((reader) => reader.stop()));
            expect([...seen.values()].every((times) => times === 1)).toBe(true);
            expect([...other.values()].every((times) => times === 1)).toBe(true);
            const offsets = await client.admin.listGroupOffsets("g");
            const sum = offsets.reduce((total, { offset }) => total + offset!, 0);
            expect(sum).toBe(made);
          },
          TEST_MS,
        );
      });
    }
  }

  describe(`operators over ${way}`, () => {
    test("list, describe, move, forget and delete; refusals under their names", async () => {
      const client = rig.client(way);
      const { admin } = client;
      await topicOf(client);
      await produce(client, 0, 60);
      const consumer = client.consumer({ group: "g", topics: ["t"], untilEnd: true });
      const values: string[] = [];
      for await (const { value } of consumer) values.push(text(value)!);
      expect(values.length).toBe(60);
      expect((await admin.listGroups()).map(({ groupId, state }) => [groupId, state])).toEqual([
        ["g", "Empty"],
      ]);
      expect(await admin.listGroups({ states: ["Stable"] })).toEqual([]);
      const [there, missing] = await admin.describeGroups(["g", "none"]);
      expect(there).toMatchObject({ ok: true, value: { type: "consumer", state: "Empty" } });
      expect(missing).toMatchObject({ ok: false, error: { code: "group_id_not_found" } });
      const place = { topic: "t", partition: 0 };
      expect(await admin.alterGroupOffsets("g", [{ ...place, offset: 3, metadata: "m" }])).toEqual([
        { ok: true, value: null },
      ]);
      expect(await admin.listGroupOffsets("g", [place])).toEqual([
        { ...place, offset: 3, metadata: "m" },
      ]);
      expect(await admin.deleteGroupOffsets("g", [place])).toEqual([{ ok: true, value: null }]);
      expect(await admin.listGroupOffsets("g", [place])).toEqual([
        { ...place, offset: null, metadata: null },
      ]);
      // One that only commits is a group as well.
      await admin.alterGroupOffsets("simple", [{ ...place, offset: 1 }]);
      expect((await admin.listGroups()).map(({ groupId }) => groupId)).toEqual(["g", "simple"]);
      const inside = new Reader(client, { group: "in", topics: ["t"] }, new Map(), new Set());
      await until(() => inside.partitions === PARTITIONS);
      expect(await admin.deleteGroups(["g", "in", "none"])).toMatchObject([
        { ok: true },
        { ok: false, error: { code: "non_empty_group" } },
        { ok: false, error: { code: "group_id_not_found" } },
      ]);
      const [refused] = await admin.alterGroupOffsets("in", [{ ...place, offset: 1 }]);
      expect(refused).toMatchObject({ ok: false, error: { code: "unknown_member_id" } });
      await inside.stop();
    });

    test(
      "members of both protocols share one group, and it moves from one to the other and back",
      async () => {
        const client = rig.client(way);
        await topicOf(client);
        const seen = new Map<string, number>();
        const inHand = new Set<string>();
        const reader = (protocol: "classic" | "consumer") =>
          new Reader(client, { group: "g", topics: ["t"], protocol }, seen, inHand);
        const shares = (readers: Reader[]) => readers.map(({ partitions }) => partitions).join();
        let made = 0;
        const check = async () => {
          await produce(client, made, 120);
          made += 120;
          await until(() => seen.size === made);
        };
        const old = [reader("classic"), reader("classic")];
        await until(() => shares(old) === "3,3");
        await check();
        const mixed = [...old, reader("consumer")];
        await until(() => shares(mixed) === "2,2,2");
        expect((await client.admin.describeGroup("g")).type).toBe("consumer");
        await check();
        await Promise.all(old.map((each) => each.stop()));
        const young = [mixed[2]!, reader("consumer")];
        await until(() => shares(young) === "3,3");
        await check();
        const back = [...young, reader("classic")];
        await until(() => shares(back) === "2,2,2");
        await Promise.all(young.map((each) => each.stop()));
        await until(() => shares([back[2]!]) === "6");
        await check();
        expect((await client.admin.describeGroup("g")).type).toBe("classic");
        expect([...seen.values()].every((times) => times === 1)).toBe(true);
        await back[2]!.stop();
      },
      TEST_MS,
    );

    test("a member that was put out joins again", async () => {
      const client = rig.client(way);
      await topicOf(client);
      let lost = 0;
      const options: GroupConsumerOptions = {
        group: "g",
        topics: ["t"],
        protocol: "classic",
        onLost: () => void lost++,
      };
      const seen = new Map<string, number>();
      const reader = new Reader(client, options, seen, new Set());
      await until(() => reader.partitions === PARTITIONS);
      const { members } = await client.admin.describeGroup("g");
      const removed = await client.admin.removeMembers("g", [{ memberId: members[0]!.memberId }]);
      expect(removed).toEqual([{ ok: true, value: null }]);
      await until(() => lost === 1 && reader.partitions === PARTITIONS);
      await produce(client, 0, 12);
      await until(() => seen.size === 12);
      await reader.stop();
    });

    test("a static member that comes again keeps its place; two of one name are refused", async () => {
      const client = rig.client(way);
      await topicOf(client);
      const options: GroupConsumerOptions = { group: "g", topics: ["t"], instanceId: "one" };
      const first = new Reader(client, options, new Map(), new Set());
      await until(() => first.partitions === PARTITIONS);
      const twin = new Reader(client, options, new Map(), new Set());
      expect(await failureOf(twin.ended)).toMatchObject({ code: "unreleased_instance_id" });
      await first.stop();
      expect((await client.admin.describeGroup("g")).members.length).toBe(1);
      const again = new Reader(client, options, new Map(), new Set());
      await until(() => again.partitions === PARTITIONS);
      await again.stop();
    });
  });
}
