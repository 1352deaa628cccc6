// A member against a scripted coordinator: what it says, when, and what it does when it is refused.

import { afterEach, describe, expect, test } from "bun:test";
import {
  type ConsumedRecord,
  createClient,
  type GroupConsumer,
  type GroupConsumerOptions,
} from "../../../src/client/mod.ts";
import { OffsetCommit } from "../../../src/protocol/messages/08_offset_commit.ts";
import { OffsetFetch } from "../../../src/protocol/messages/09_offset_fetch.ts";
import { FindCoordinator } from "../../../src/protocol/messages/10_find_coordinator.ts";
import { JoinGroup } from "../../../src/protocol/messages/11_join_group.ts";
import { Heartbeat } from "../../../src/protocol/messages/12_heartbeat.ts";
import { ConsumerGroupHeartbeat } from "../../../src/protocol/messages/68_consumer_group_heartbeat.ts";
import { pause, until } from "../../support/waiting.ts";
import { clientRuntime, failureOf, type Rig, startRig, text } from "../rig.ts";
import { codes, type Script, scriptGroup } from "./script.ts";

let rig: Rig;
afterEach(() => rig.stop());

const PARTITIONS = 3;

async function begin(options: { brokers?: number } = {}): Promise<Script> {
  rig = await startRig({ brokers: options.brokers ?? 1 });
  const { topicId } = rig.cluster.addTopic("t", PARTITIONS);
  return scriptGroup(rig, topicId);
}

/** So many records in each partition, their offsets as values. */
async function fill(count: number): Promise<void> {
  const producer = rig.client.producer();
  for (let partition = 0; partition < PARTITIONS; partition++) {
    for (let at = 0; at < count; at++) {
      await producer.send({ topic: "t", partition, value: `${partition}:${at}` });
    }
  }
}

const quick = { heartbeatIntervalMs: 15, sessionTimeoutMs: 1_000, maxPollIntervalMs: 5_000 };

function member(options: Partial<GroupConsumerOptions>): GroupConsumer {
  return rig.client.consumer({ group: "g", topics: ["t"], ...quick, ...options });
}

async function read(
  consumer: GroupConsumer,
  countMax = Number.POSITIVE_INFINITY,
): Promise<string[]> {
  const values: string[] = [];
  for await (const { value } of consumer) {
    values.push(text(value)!);
    if (values.length === countMax) break;
  }
  return values;
}

const all = (count: number, partitions = [0, 1, 2]) =>
  partitions.flatMap((partition) => Array.from({ length: count }, (_, at) => `${partition}:${at}`));

for (const protocol of ["classic", "consumer"] as const) {
  describe(`protocol ${protocol}`, () => {
    test("reads every partition, commits what is done with, leaves", async () => {
      const script = await begin();
      script.target = [0, 1, 2];
      await fill(4);
      const values = await read(member({ protocol, recordsMax: 12 }));
      expect(values.sort()).toEqual(all(4));
      expect(Object.fromEntries(script.committed)).toEqual({ "t-0": 4, "t-1": 4, "t-2": 4 });
      expect(script.left).toBe(1);
    });

    test("goes on where the group was; the record in hand at a break comes again", async () => {
      const script = await begin();
      script.target = [0];
      script.committed.set("t-0", 2).set("t-1", 9).set("t-2", 9);
      await fill(9);
      expect(await read(member({ protocol }), 3)).toEqual(["0:2", "0:3", "0:4"]);
      expect(script.committed.get("t-0")).toBe(4);
      expect(await read(member({ protocol }), 1)).toEqual(["0:4"]);
    });

    test("commit() counts the record in hand, and nothing goes back behind it", async () => {
      const script = await begin();
      script.target = [0];
      script.committed.set("t-1", 5).set("t-2", 5);
      await fill(5);
      const consumer = member({ protocol });
      for await (const { offset } of consumer) {
        if (offset !== 2) continue;
        await consumer.commit();
        break;
      }
      expect(script.committed.get("t-0")).toBe(3);
      expect(await read(member({ protocol }), 2)).toEqual(["0:3", "0:4"]);
    });

    test("without autoCommit nothing is committed but what is told to be", async () => {
      const script = await begin();
      script.target = [0, 1, 2];
      await fill(3);
      const consumer = member({ protocol, autoCommit: false, recordsMax: 9 });
      let count = 0;
      for await (const { topic, partition } of consumer) {
        if (++count === 5) await consumer.commit([{ topic, partition, offset: 1 }]);
      }
      expect(script.commits.length).toBe(1);
      expect(script.commits[0]).toMatch(/^t-\d=1$/);
    });

    test("seek, pause, resume, position, committed", async () => {
      const script = await begin();
      script.target = [0, 1, 2];
      script.committed.set("t-1", 6).set("t-2", 6);
      await fill(6);
      const consumer = member({ protocol });
      const values: string[] = [];
      for await (const record of consumer) {
        values.push(text(record.value)!);
        if (values.length === 1) {
          expect(consumer.assignment().length).toBe(3);
          expect(consumer.position("t", 0)).toBe(1);
          expect(await consumer.committed([{ topic: "t", partition: 1 }])).toEqual([
            { topic: "t", partition: 1, offset: 6, metadata: "" },
          ]);
          consumer.pause("t", 0);
          consumer.seek("t", 0, 4);
          consumer.seek("t", 1, 5);
        }
        if (values.length === 2) consumer.resume("t", 0);
        if (values.length === 4) break;
      }
      expect(values).toEqual(["0:0", "1:5", "0:4", "0:5"]);
      expect(await failureOf((async () => consumer.seek("t", 7, 0))())).toMatchObject({
        code: "invalid_request",
      });
    });

    test("onRevoked is awaited, and its commit counts, before the group goes on", async () => {
      const script = await begin();
      script.target = [0];
      script.committed.set("t-1", 9).set("t-2", 9);
      await fill(9);
      const events: string[] = [];
      const consumer: GroupConsumer = member({
        protocol,
        autoCommit: false,
        onAssigned: (partitions) =>
          void events.push(`+${partitions.map((each) => each.partition)}`),
        async onRevoked(partitions) {
          const generation = script.generation;
          await pause(60);
          await consumer.commit();
          // Heartbeats went on, and the group did not.
          expect(script.generation).toBe(generation);
          if (protocol === "consumer") expect(script.reported).toEqual([partitions[0]!.partition]);
          events.push(`-${partitions.map((each) => each.partition)}`);
        },
      });
      const reading = (async () => {
        for await (const { offset } of consumer) {
          if (offset === 3) {
            if (protocol === "classic") script.beats.push(codes.rebalance);
            else script.target = [1];
            await pause(80);
          }
          if (offset === 4) throw new Error("a record came of what is to be revoked");
          if (events.length >= 3) break;
        }
      })();
      if (protocol === "classic") {
        // It gets the same again, and goes on behind what was committed in the callback.
        await expect(reading).rejects.toThrow("a record came");
        expect(events.slice(0, 3)).toEqual(["+0,1,2", "-0,1,2", "+0,1,2"]);
      } else {
        await until(() => script.reported?.join() === "1");
        await consumer.close();
        await reading;
        expect(events).toEqual(["+0", "-0", "+1", "-1"]);
      }
      expect(script.committed.get("t-0")).toBe(4);
    });

    test("a member that the group no longer knows loses what it has, and joins again", async () => {
      const script = await begin();
      script.target = [0];
      script.committed.set("t-1", 9).set("t-2", 9);
      await fill(4);
      const lost: number[] = [];
      const consumer = member({
        protocol,
        onLost: (partitions) => void lost.push(partitions.length),
      });
      const values: string[] = [];
      for await (const { value } of consumer) {
        values.push(text(value)!);
        if (values.length === 2) {
          if (protocol === "classic") script.memberId = "";
          script.beats.push(protocol === "classic" ? codes.unknownMember : codes.fencedEpoch);
          await until(() => script.beats.length === 0);
          await pause(10);
        }
        if (values.length === 5) break;
      }
      // Nothing had been committed: it begins again.
      expect(values).toEqual(["0:0", "0:1", "0:0", "0:1", "0:2"]);
      expect(lost).toEqual([protocol === "classic" ? 3 : 1]);
    });

    test("a coordinator that moved or loads is asked again; a broken connection is no end", async () => {
      const script = await begin({ brokers: 2 });
      script.target = [0, 1, 2];
      await fill(3);
      const broker = rig.brokers[1]!;
      broker.once(OffsetFetch, ({ request }) => ({
        groups: [{ groupId: request.groups[0]!.groupId, errorCode: codes.loading, topics: [] }],
      }));
      script.beats.push(0, codes.notCoordinator, 0, codes.loading);
      const consumer = member({ protocol });
      const values: string[] = [];
      for await (const { value } of consumer) {
        values.push(text(value)!);
        if (values.length === 4) {
          await until(() => script.beats.length === 0);
          broker.breakConnections();
          const before = broker.count(protocol === "classic" ? Heartbeat : ConsumerGroupHeartbeat);
          await until(() => {
            return (
              broker.count(protocol === "classic" ? Heartbeat : ConsumerGroupHeartbeat) > before
            );
          });
        }
        if (values.length === 9) break;
      }
      expect(values.sort()).toEqual(all(3));
      expect(
        rig.brokers[0]!.count(FindCoordinator) + broker.count(FindCoordinator),
      ).toBeGreaterThan(1);
    });

    test("refusals for good end the iteration under their name", async () => {
      const script = await begin();
      const joining = protocol === "classic" ? JoinGroup : ConsumerGroupHeartbeat;
      script.beats.push(codes.fencedInstance);
      if (protocol === "classic") {
        rig.brokers[0]!.always(JoinGroup, ({ request }) => ({
          errorCode: codes.fencedInstance,
          generationId: -1,
          protocolName: null,
          leader: "",
          skipAssignment: false,
          memberId: request.memberId,
          members: [],
        }));
      }
      const failure = await failureOf(read(member({ protocol, instanceId: "one" })));
      expect(failure).toMatchObject({ name: "ClientError", code: "fenced_instance_id" });
      expect(rig.brokers[0]!.count(joining)).toBe(1);
    });

    test("whoever has a record in hand for too long is out, and comes back", async () => {
      const script = await begin();
      script.target = [0];
      script.committed.set("t-1", 9).set("t-2", 9);
      await fill(3);
      const lost: number[] = [];
      const options = { maxPollIntervalMs: 60, onLost: () => void lost.push(1) };
      const values: string[] = [];
      for await (const { value } of member({ protocol, ...options })) {
        values.push(text(value)!);
        if (values.length === 1) {
          await until(() => script.left === 1);
          expect(lost).toEqual([]);
        }
        if (values.length === 2) break;
      }
      expect(values).toEqual(["0:0", "0:0"]);
      expect(lost).toEqual([1]);
    });

    test("a signal ends the loop, commits and leaves", async () => {
      const script = await begin();
      script.target = [0, 1, 2];
      await fill(2);
      const ending = new AbortController();
      const records: ConsumedRecord[] = [];
      for await (const record of member({ protocol, signal: ending.signal })) {
        records.push(record);
        if (records.length === 6) setTimeout(() => ending.abort(), 20);
      }
      await until(() => script.left === 1);
      expect(Object.fromEntries(script.committed)).toEqual({ "t-0": 2, "t-1": 2, "t-2": 2 });
    });

    test("what begins while a batch is on its way to the application comes before it", async () => {
      for (let turns = 0; turns < 12; turns++) {
        const script = await begin();
        script.target = [0];
        await rig.client
          .producer({ compression: "gzip" })
          .send({ topic: "t", value: "x", partition: 0 });
        const ending = new AbortController();
        // Decompressed as it is taken: so many turns later the signal fires, somewhere before the loop has the record.
        const host = clientRuntime(rig.network);
        const { compression } = host;
        const late = createClient(
          {
            ...host,
            compression: {
              ...compression,
              compress: (...args: Parameters<typeof compression.compress>) =>
                compression.compress(...args),
              decompress: (...args: Parameters<typeof compression.decompress>) => {
                let left = turns;
                const turn = () => (left-- > 0 ? queueMicrotask(turn) : ending.abort());
                turn();
                return compression.decompress(...args);
              },
            },
          },
          { bootstrap: [rig.brokers[0]!.address] },
        );
        let inHand = 0;
        const revokedInHand: number[] = [];
        const consumer = late.consumer({
          group: "g",
          topics: ["t"],
          ...quick,
          protocol,
          signal: ending.signal,
          onRevoked: () => void revokedInHand.push(inHand),
        });
        for await (const _ of consumer) {
          inHand++;
          await pause(20);
          inHand--;
        }
        await late.close();
        await rig.stop();
        expect([turns, revokedInHand]).toEqual([turns, [0]]);
      }
    });

    test("what a callback throws ends the iteration", async () => {
      const script = await begin();
      script.target = [0];
      const onAssigned = () => Promise.reject(new Error("no room"));
      await expect(read(member({ protocol, onAssigned }))).rejects.toThrow("no room");
      // Others need not wait for the session's end.
      expect(script.left).toBe(1);
    });

    test("commits are one after another, and are tried again where they may be", async () => {
      const script = await begin();
      script.target = [0];
      await fill(3);
      const consumer = member({ protocol, autoCommit: false });
      const refusing = ({
        request,
      }: {
        request: { topics: readonly { partitions: readonly { partitionIndex: number }[] }[] };
      }) => ({
        topics: request.topics.map((topic) => ({
          ...topic,
          partitions: topic.partitions.map(({ partitionIndex }) => {
            return { partitionIndex, errorCode: codes.loading };
          }),
        })),
      });
      rig.brokers[0]!.once(OffsetCommit, refusing as never);
      for await (const record of consumer) {
        if (record.partition !== 0 || record.offset !== 0) continue;
        const place = { topic: "t", partition: 0 };
        await Promise.all([1, 2, 3].map((offset) => consumer.commit([{ ...place, offset }])));
        break;
      }
      expect(script.commits).toEqual(["t-0=1", "t-0=2", "t-0=3"]);
    });
  });
}

test("auto falls back to the classic protocol where the broker has no other", async () => {
  const script = await begin();
  await fill(1);
  rig.brokers[0]!.offered.set(ConsumerGroupHeartbeat.apiKey, [0, -1]);
  expect((await read(member({ recordsMax: 3 }))).sort()).toEqual(all(1));
  expect(script.generation).toBe(1);
  script.beats.push(codes.unsupportedVersion);
  rig.brokers[0]!.offered.delete(ConsumerGroupHeartbeat.apiKey);
});

test("auto falls back also where the protocol is switched off, and consumer does not", async () => {
  const script = await begin();
  await fill(1);
  script.beats.push(codes.unsupportedVersion);
  expect((await read(member({ recordsMax: 3 }))).sort()).toEqual(all(1));
  script.beats.push(codes.unsupportedVersion);
  const failure = await failureOf(read(member({ protocol: "consumer" })));
  expect(failure).toMatchObject({ code: "unsupported_version" });
});

test("an epoch that moves on under a commit is no refusal", async () => {
  const script = await begin();
  script.target = [0];
  await fill(2);
  const consumer = member({ protocol: "consumer", autoCommit: false });
  const epochs = new Set<number>();
  rig.brokers[0]!.always(OffsetCommit, ({ request, version }) => {
    epochs.add(request.generationIdOrMemberEpoch);
    script.target = [0, 1];
    const errorCode = request.generationIdOrMemberEpoch < 2 ? codes.staleEpoch : 0;
    return {
      topics: request.topics.map(({ name, topicId, partitions }) => ({
        ...(version >= 10 ? { topicId } : { name }),
        partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
      })),
    };
  });
  for await (const _ of consumer) {
    await consumer.commit();
    break;
  }
  expect([...epochs]).toEqual([1, 2]);
});

test("patterns are matched here, over the whole name", async () => {
  const script = await begin();
  rig.cluster.addTopic("tt", 1);
  rig.cluster.addTopic("other", 1);
  const seen: string[] = [];
  const consumer = rig.client.consumer({
    group: "g",
    pattern: /t|oth/,
    protocol: "classic",
    ...quick,
    onAssigned: (partitions) => {
      seen.push(...partitions.map(({ topic, partition }) => `${topic}-${partition}`));
      void consumer.close();
    },
  });
  await read(consumer);
  expect(seen.sort()).toEqual(["t-0", "t-1", "t-2"]);
  expect(script.left).toBe(1);
});

test("without a committed offset it begins where it is told, or says that there is none", async () => {
  const script = await begin();
  await fill(2);
  const failure = await failureOf(read(member({ protocol: "classic", autoOffsetReset: "error" })));
  expect(failure).toMatchObject({ code: "offset_out_of_range" });
  const latest = member({ protocol: "classic", autoOffsetReset: "latest", untilEnd: true });
  expect(await read(latest)).toEqual([]);
  // The end was committed, so that what comes now is not missed.
  expect(Object.fromEntries(script.committed)).toEqual({ "t-0": 2, "t-1": 2, "t-2": 2 });
  await fill(1);
  expect((await read(member({ protocol: "classic", recordsMax: 3 }))).length).toBe(3);
});

test("untilEnd ends at what was the end", async () => {
  const script = await begin();
  script.target = [0, 1, 2];
  await fill(3);
  for (const protocol of ["classic", "consumer"] as const) {
    script.committed.clear();
    expect((await read(member({ protocol, untilEnd: true }))).sort()).toEqual(all(3));
  }
});

test("options that cannot be are refused at once", async () => {
  await begin();
  const make = (options: object) => () => rig.client.consumer(options as GroupConsumerOptions);
  expect(make({ group: "" })).toThrow(TypeError);
  expect(make({ group: "g" })).toThrow("topics or a pattern");
  expect(make({ group: "g", topics: ["t"], pattern: /t/ })).toThrow("topics or a pattern");
  expect(make({ group: "g", topics: [] })).toThrow("a topic at least");
  expect(make({ group: "g", topics: ["t", ""] })).toThrow("topics must be names");
  // An empty one would stay in the group as a static member, and hold up the next ones for a session.
  expect(make({ group: "g", topics: ["t"], instanceId: "" })).toThrow("instanceId");
  expect(make({ group: "g", topics: ["t"], rack: 5 })).toThrow("rack");
  expect(make({ group: "g", topics: ["t"], protocol: "both" })).toThrow("protocol");
  expect(make({ group: "g", topics: ["t"], assignors: ["nearest"] })).toThrow("assignors");
  expect(make({ group: "g", topics: ["t"], heartbeatIntervalMs: 50_000 })).toThrow("heartbeat");
  // Of consumers without a group: to be read from the beginning because "end" was passed over would be a surprise.
  expect(make({ group: "g", topics: ["t"], from: "end" })).toThrow("autoOffsetReset");
  expect(make({ group: "g", topics: ["t"], partitions: [] })).toThrow("partitions");
  expect(make({ group: "g", topics: ["t"], outOfRange: "error" })).toThrow("autoOffsetReset");
  expect(make({ group: "g", topics: ["t"], onAssigned: 3 })).toThrow("onAssigned");
  const consumer = member({});
  expect(await failureOf(consumer.commit())).toMatchObject({ code: "invalid_request" });
  await consumer.close();
  expect(consumer.isClosed).toBe(true);
});
