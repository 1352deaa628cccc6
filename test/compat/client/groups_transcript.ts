// Members of groups and every admin call of groups, of our client, against BOOTSTRAP: what each came to, a JSON line each.
// Ids, epochs and who got which half differ from run to run and are left out.
import process from "node:process";
import {
  type Client,
  connect,
  type GroupConsumer,
  type GroupConsumerOptions,
} from "../../../mod.ts";
import { plain, teller, until } from "./outcomes.ts";

const client: Client = await connect(`kafka://${process.env["BOOTSTRAP"]}`);
const { admin } = client;
const run = `groups-${process.argv[2]}`;
const topic = `${run}-t`;
const PARTITIONS = 6;
const place = { topic, partition: 0 };

const step = teller(run);

/** A member that counts what it reads. */
interface Member {
  readonly consumer: GroupConsumer;
  readonly events: string[];
  stop(): Promise<void>;
}
const seen = new Map<string, number>();
function member(options: Partial<GroupConsumerOptions> & { readonly group: string }): Member {
  const ending = new AbortController();
  const events: string[] = [];
  const consumer = client.consumer({
    ...(options.pattern === undefined ? { topics: [topic] } : {}),
    heartbeatIntervalMs: 300,
    onAssigned: () => void events.push("assigned"),
    onRevoked: () => void events.push("revoked"),
    onLost: () => void events.push("lost"),
    ...options,
    signal: ending.signal,
  });
  const ended = (async () => {
    for await (const { partition, offset } of consumer) {
      const key = `${options.group} ${partition}@${offset}`;
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
  })();
  ended.catch(() => {});
  const stop = () => {
    ending.abort();
    return ended;
  };
  return { consumer, events, stop };
}
const shares = (members: readonly Member[]) =>
  members.map(({ consumer }) => consumer.assignment().length).sort((a, b) => a - b);

let made = 0;
async function produce(count: number): Promise<void> {
  const records = Array.from({ length: count }, (_, at) => {
    return { topic, partition: (made + at) % PARTITIONS, value: String(made + at) };
  });
  await client.producer().sendAll(records);
  made += count;
}
const readIn = (group: string) => [...seen.keys()].filter((key) => key.startsWith(`${group} `));
const timesIn = (group: string) => Math.max(...readIn(group).map((key) => seen.get(key)!));

await admin.createTopic({ name: topic, partitions: PARTITIONS });
await until(
  () =>
    admin.topic(topic).then(
      () => true,
      () => false,
    ),
  "a topic",
);

const kinds = [
  ["classic", ["range", "cooperative-sticky"]],
  ["classic", ["cooperative-sticky"]],
  ["classic", ["roundrobin"]],
  ["consumer", ["range"]],
] as const;
for (const [protocol, assignors] of kinds) {
  const group = `${run}-${protocol}-${assignors.join("-")}`;
  const name = group.slice(run.length + 1);
  const members: Member[] = [];
  let before = 0;
  await step(`${name}_arithmetic`, async () => {
    const found: unknown[] = [];
    for (const [count, share] of [
      [1, "6"],
      [3, "2,2,2"],
      [6, "1,1,1,1,1,1"],
      [7, "0,1,1,1,1,1,1"],
    ] as const) {
      while (members.length < count) members.push(member({ group, protocol, assignors }));
      await until(() => shares(members).join() === share, share);
      await produce(60);
      await until(() => readIn(group).length === made, `${made} records`);
      found.push([count, shares(members), timesIn(group)]);
      before = made;
    }
    return found.length;
  });
  await step(`${name}_described`, async () => {
    let described = await admin.describeGroup(group);
    await until(async () => {
      described = await admin.describeGroup(group);
      return described.state === "Stable";
    }, "a stable group");
    const { type, protocolType, state } = described;
    const assigned = described.members.flatMap(({ assignment }) => assignment);
    const clients = new Set(described.members.map(({ clientId }) => clientId));
    return {
      ...{ type, protocolType, state, members: described.members.length },
      assigned: assigned.map(({ partition }) => partition).sort(),
      topics: [...new Set(described.members.flatMap(({ topics }) => topics))],
      clients: [...clients],
    };
  });
  await step(`${name}_busy`, async () => ({
    deleted: plain(await admin.deleteGroups([group])),
    altered: plain(await admin.alterGroupOffsets(group, [{ ...place, offset: 1 }])),
    forgotten: plain(await admin.deleteGroupOffsets(group, [place])),
  }));
  await step(`${name}_leaving`, async () => {
    await Promise.all(members.splice(0, 5).map((each) => each.stop()));
    await until(() => shares(members).join() === "3,3", "3,3");
    await produce(60);
    await until(() => readIn(group).length === made, `${made} records`);
    await Promise.all(members.splice(0).map((each) => each.stop()));
    const offsets = await admin.listGroupOffsets(group);
    const sum = offsets.reduce((total, { offset }) => total + offset!, 0);
    return [timesIn(group), made - sum, made - before];
  });
  await step(`${name}_empty`, async () => {
    const { state, members: left, type } = await admin.describeGroup(group);
    return { state, type, members: left.length };
  });
  await step(`${name}_moved`, async () => {
    const to = { ...place, offset: 3, metadata: "by hand" };
    const altered = plain(
      await admin.alterGroupOffsets(group, [
        to,
        { topic: `${run}-none`, partition: 0, offset: 1 },
        { topic, partition: 99, offset: 1 },
        { topic, partition: 1, offset: 2, metadata: "m".repeat(5_000) },
      ]),
    );
    const [found] = await admin.listGroupOffsets(group, [place]);
    const forgotten = plain(
      await admin.deleteGroupOffsets(group, [place, { topic: `${run}-none`, partition: 0 }]),
    );
    return { altered, found, forgotten, after: await admin.listGroupOffsets(group, [place]) };
  });
  await step(`${name}_deleted`, async () => [
    plain(await admin.deleteGroups([group, `${run}-none`])),
    await admin.listGroupOffsets(group),
  ]);
  await step(`${name}_gone`, () => admin.describeGroup(group));
}

await step("put_out", async () => {
  const one = member({ group: `${run}-out`, protocol: "classic" });
  await until(() => shares([one]).join() === "6", "6");
  const { members } = await admin.describeGroup(`${run}-out`);
  const removed = await admin.removeMembers(`${run}-out`, [
    { memberId: members[0]!.memberId },
    { memberId: "nobody" },
  ]);
  await until(() => one.events.join() === "assigned,lost,assigned", "an assignment anew");
  await one.stop();
  return [plain(removed), one.events];
});
for (const protocol of ["classic", "consumer"] as const) {
  await step(`static_${protocol}`, async () => {
    const options = { group: `${run}-static-${protocol}`, protocol, instanceId: "one" };
    const one = member(options);
    await until(() => shares([one]).join() === "6", "6");
    await one.stop();
    const { members } = await admin.describeGroup(options.group);
    const again = member(options);
    await until(() => shares([again]).join() === "6", "6");
    await again.stop();
    const removed = await admin.removeMembers(options.group, [{ instanceId: "one" }]);
    return [members.map(({ instanceId }) => instanceId), plain(removed)];
  });
}
await step("twins", async () => {
  const options: GroupConsumerOptions = {
    group: `${run}-twins`,
    topics: [topic],
    protocol: "consumer",
    instanceId: "one",
  };
  const one = member(options);
  await until(() => shares([one]).join() === "6", "6");
  try {
    for await (const _ of client.consumer(options)) return "read";
    return "ended";
  } finally {
    await one.stop();
  }
});
await step("pattern_here", async () => {
  const group = `${run}-here`;
  const one = member({ group, pattern: new RegExp(`${run}-.`), protocol: "consumer" });
  await until(() => shares([one]).join() === "6", "6");
  await one.stop();
  return one.events;
});
await step("pattern_there", async () => {
  const group = `${run}-there`;
  const one = member({ group, pattern: `${run}-[a-z]`, protocol: "consumer" });
  await until(() => shares([one]).join() === "6", "6");
  const { members } = await admin.describeGroup(group);
  await one.stop();
  return members.map(({ pattern, topics }) => [pattern, topics]);
});
await step("pattern_wrong", async () => {
  const one = client.consumer({ group: `${run}-w`, pattern: "a(", protocol: "consumer" });
  for await (const _ of one) return "read";
  return "ended";
});
await step("assignor_wrong", async () => {
  const options = { protocol: "consumer", serverAssignor: "nearest" } as const;
  const one = client.consumer({ group: `${run}-w`, topics: [topic], ...options });
  for await (const _ of one) return "read";
  return "ended";
});
await step("session_wrong", async () => {
  const options = { protocol: "classic", sessionTimeoutMs: 10, heartbeatIntervalMs: 5 } as const;
  const one = client.consumer({ group: `${run}-w`, topics: [topic], ...options });
  for await (const _ of one) return "read";
  return "ended";
});
await step("simple", async () => {
  const group = `${run}-simple`;
  const altered = plain(await admin.alterGroupOffsets(group, [{ ...place, offset: 2 }]));
  const [found] = (await admin.listGroups()).filter(({ groupId }) => groupId === group);
  const { state, type, protocolType } = await admin.describeGroup(group);
  return { altered, found, described: { state, type, protocolType } };
});
await step("listed", async () => {
  const own = async (filter: Parameters<typeof admin.listGroups>[0]) =>
    (await admin.listGroups(filter)).filter(({ groupId }) => groupId.startsWith(run));
  return [
    (await own({})).map(({ groupId, type, state }) => [groupId, type, state]),
    (await own({ types: ["consumer"] })).length,
    (await own({ states: ["Empty"], types: ["classic"] })).length,
  ];
});
await client.close();
process.exit(0);
