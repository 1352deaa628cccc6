// Members of a real broker, in process, whose callbacks, topics and commits are not as members hope.

import { afterEach, describe, expect, test } from "bun:test";
import { setImmediate } from "node:timers";
import { connect, Millrace, type MillraceConfig } from "../../../mod.ts";
import type { ConsumedRecord } from "../../../src/client/mod.ts";
import { until } from "../../support/waiting.ts";
import { failureOf as errorOf } from "../rig.ts";

let millrace: Millrace;
afterEach(() => millrace.stop());

async function begin(transports: MillraceConfig["transports"] = []): Promise<void> {
  millrace = await Millrace.start({
    storage: "memory",
    metadata: "memory",
    transports,
    settings: {
      "group.initial.rebalance.delay.ms": 0,
      "group.consumer.min.heartbeat.interval.ms": 50,
      "group.consumer.heartbeat.interval.ms": 50,
    },
  });
}

async function fill(topic: string, count: number, partitions = 1): Promise<void> {
  await millrace.admin().createTopic({ name: topic, partitions });
  await append(topic, count);
}

async function append(topic: string, count: number): Promise<void> {
  const records = Array.from({ length: count }, (_, at) => ({
    topic,
    partition: 0,
    value: `${topic} ${at}`,
  }));
  await millrace.producer().sendAll(records);
}

const failureOf = async (promise: Promise<unknown>) => (await errorOf(promise)).code;

const committed = async (group: string) =>
  (await millrace.admin().listGroupOffsets(group)).map(({ topic, offset }) => `${topic}=${offset}`);

for (const protocol of ["classic", "consumer"] as const) {
  describe(`protocol ${protocol}`, () => {
    const own = { protocol, heartbeatIntervalMs: 50, refreshMs: 50 } as const;

    test("a callback may close its consumer, and wait for it", async () => {
      await begin();
      await fill("t", 3);
      for (const callback of ["onAssigned", "onRevoked"] as const) {
        const consumer = millrace.consumer({
          ...own,
          group: callback,
          topics: ["t"],
          [callback]: () => consumer.close(),
        });
        for await (const _ of consumer) break;
        expect(consumer.isClosed).toBe(true);
        expect((await millrace.admin().describeGroup(callback)).members).toEqual([]);
      }
    });

    test("a commit to what is not there is refused at once, by its name", async () => {
      await begin();
      await fill("t", 3);
      const consumer = millrace.consumer({ ...own, group: "g", topics: ["t"] });
      for await (const { offset } of consumer) {
        const startMs = performance.now();
        for (const place of [
          { topic: "t", partition: 7 },
          { topic: "none", partition: 0 },
        ]) {
          expect(await failureOf(consumer.commit([{ ...place, offset }]))).toBe(
            "unknown_topic_or_partition",
          );
        }
        expect(performance.now() - startMs).toBeLessThan(5_000);
        for (const place of [
          { topic: "", partition: 0 },
          { topic: "t", partition: -1 },
          { topic: "t", partition: 0.5 },
        ]) {
          expect(await failureOf(consumer.commit([{ ...place, offset }]))).toBe("invalid_request");
        }
        break;
      }
    });

    test("a topic that goes does not hold up the others, whatever was to be committed of it", async () => {
      await begin();
      await fill("gone", 5);
      await fill("stays", 5);
      const seen: string[] = [];
      const consumer = millrace.consumer({
        ...own,
        group: "g",
        topics: ["gone", "stays"],
        autoCommitMs: Number.POSITIVE_INFINITY,
      });
      const reading = (async () => {
        for await (const { topic } of consumer) seen.push(topic);
      })();
      await until(() => seen.length === 10);
      await millrace.admin().deleteTopic("gone");
      await until(() => consumer.assignment().length === 1);
      await append("stays", 1);
      await until(() => seen.length === 11);
      await consumer.close();
      await reading;
      expect(await committed("g")).toEqual(["stays=6"]);
    }, 10_000);

    test("a topic made anew is read from its beginning, and no offset of the old one is committed in it", async () => {
      await begin();
      await fill("t", 50);
      const seen: number[] = [];
      const consumer = millrace.consumer({
        ...own,
        group: "g",
        topics: ["t"],
        autoCommitMs: Number.POSITIVE_INFINITY,
      });
      const reading = (async () => {
        for await (const { offset } of consumer) seen.push(offset);
      })();
      await until(() => seen.length === 50);
      await millrace.admin().deleteTopic("t");
      await fill("t", 0);
      // The old partition is given up, or found to be another's, before anything is there to read:
      // until then a commit is refused.
      const isTaken = () =>
        consumer.commit().then(
          () => true,
          () => false,
        );
      await until(isTaken, "a commit that is taken");
      expect(["", "t=0"]).toContain((await committed("g")).join());
      await append("t", 20);
      await until(() => seen.length === 70);
      await consumer.close();
      await reading;
      expect(seen.slice(50)).toEqual(Array.from({ length: 20 }, (_, at) => at));
      expect(await committed("g")).toEqual(["t=20"]);
    }, 10_000);

    test("a group that its coordinator has forgotten is joined again", async () => {
      await begin();
      await fill("t", 5);
      const seen: number[] = [];
      const consumer = millrace.consumer({
        ...own,
        group: "g",
        topics: ["t"],
        autoCommitMs: 20,
      });
      const reading = (async () => {
        for await (const { offset } of consumer) seen.push(offset);
      })();
      await until(() => seen.length === 5);
      await millrace.admin().deleteTopic("__consumer_offsets");
      await append("t", 1);
      // Without its offsets it begins again where autoOffsetReset says.
      await Promise.race([until(() => seen.slice(5).includes(0) && seen.at(-1) === 5), reading]);
      await consumer.close();
      await reading;
      expect(await committed("g")).toEqual(["t=6"]);
    }, 10_000);

    test("who ends while joining leaves no member behind", async () => {
      await begin([{ use: "kafka", options: { listen: "127.0.0.1:0" } }]);
      await fill("t", 1);
      const { host, port } = millrace.endpoints[0]!;
      const wire = await connect(`kafka://${host}:${port}`);
      const ways = [wire, millrace.client()];
      const left: string[] = [];
      for (let turns = 0; turns < 40; turns++) {
        for (const [way, client] of ways.entries()) {
          const group = `${way} ${turns}`;
          const ending = new AbortController();
          let waited = 0;
          const turn = () => void (waited++ < turns ? setImmediate(turn) : ending.abort());
          setImmediate(turn);
          const consumer = client.consumer({
            ...own,
            group,
            topics: ["t"],
            signal: ending.signal,
          });
          for await (const _ of consumer);
          const [found] = await wire.admin.describeGroups([group]);
          // A classic join without an id of its own is not let in before it has come back with one.
          if (found!.ok && found!.value.members.length > 0) left.push(group);
        }
      }
      await wire.close();
      expect(left).toEqual([]);
    }, 20_000);

    test("commit() of what is in hand says so when the member is out", async () => {
      await begin();
      await fill("t", 3);
      const consumer = millrace.consumer({
        ...own,
        group: "g",
        topics: ["t"],
        maxPollIntervalMs: 100,
      });
      const seen: ConsumedRecord["offset"][] = [];
      for await (const { offset } of consumer) {
        seen.push(offset);
        if (seen.length > 1) break;
        await until(() => consumer.assignment().length === 0);
        expect(await failureOf(consumer.commit())).toBe("unknown_member_id");
      }
      expect(seen).toEqual([0, 0]);
      expect(await failureOf(consumer.commit())).toBe("closed");
      expect(await failureOf(consumer.commit([{ topic: "t", partition: 0, offset: 1 }]))).toBe(
        "closed",
      );
    });
  });
}

test("text in RE2 syntax that a RegExp does not know is for the broker", async () => {
  await begin();
  await fill("Orders-1", 3);
  const read = async (protocol: "auto" | "classic", pattern: string) => {
    let count = 0;
    const options = { group: `${protocol} ${pattern}`, pattern, protocol, untilEnd: true };
    for await (const _ of millrace.consumer(options)) count++;
    return count;
  };
  expect(await read("auto", "(?i)orders.*")).toBe(3);
  expect(await read("auto", "\\pL+-\\d")).toBe(3);
  expect(await failureOf(read("auto", "Orders["))).toBe("invalid_regular_expression");
  // By the classic protocol it is matched here.
  expect(await failureOf(read("classic", "(?i)orders.*"))).toBe("invalid_regular_expression");
  expect(await read("classic", "Orders.*")).toBe(3);
});
