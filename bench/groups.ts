// Consumer groups beside Apache Kafka in one run: joining, a rebalance, commits, memory of idle members.
//   bun bench/groups.ts [--rounds 3] [--sides kafka,kafka-fsync,millrace-bun,millrace-deno] [--sizes 1,10,100]
//                       [--secs 3] [--idle 2000] [--json FILE] [--write]
// --write puts the table into bench/RESULTS.md. The method is in METHOD.md; members are those of scripts/group_storm.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { connect } from "../mod.ts";
import { ClassicMember } from "../scripts/group_storm/classic_member.ts";
import { ConsumerMember } from "../scripts/group_storm/consumer_member.ts";
import { Ledger } from "../scripts/group_storm/ledger.ts";
import type { GroupPlace, StormMember } from "../scripts/group_storm/member.ts";
import { answerHelp } from "../scripts/usage.ts";
import type { KafkaConnection } from "../src/client/connection.ts";
import { Fetch } from "../src/protocol/messages/01_fetch.ts";
import { committedOffsets, openConnection } from "../test/compat/groups/committed.ts";
import { commitsPerSecond } from "./group_commits.ts";
import { type Row, tableOf } from "./ratio_table.ts";
import { writeResults } from "./results_page.ts";
import { inRounds, medianOf, type Round, runFolder } from "./rounds.ts";
import { median, type Running, removeFolder, SIDES, type Side, startSide } from "./sides.ts";

answerHelp(import.meta.url);

const { values: flags } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    sides: { type: "string", default: SIDES.join(",") },
    sizes: { type: "string", default: "1,10,100" },
    secs: { type: "string", default: "3" },
    idle: { type: "string", default: "2000" },
    json: { type: "string" },
    write: { type: "boolean", default: false },
  },
});
const sizes = flags.sizes.split(",").map(Number);
const largest = Math.max(...sizes);
const idleMembers = Number(flags.idle);
const PROTOCOLS = ["classic", "consumer"] as const;
type Protocol = (typeof PROTOCOLS)[number];

const HEARTBEAT_MS = 100;
/** Of idle members; brokers of the newer protocol ask for it as they come. */
const IDLE_HEARTBEAT_MS = 5000;
/** Rebalances that a round's figure is the median of. */
const LEAVES = 9;
const idlers: StormMember[] = [];
const connections: KafkaConnection[] = [];
/** A connection alone shows what of a member is the member's. */
const IDLE = ["connection", "classic", "consumer"] as const;
type Idle = (typeof IDLE)[number];
/** The same for every side: no pause ahead of a group's first rebalance, and heartbeats that are not waited for long. */
const OPTIONS = [
  "offsets.topic.num.partitions=8",
  "group.initial.rebalance.delay.ms=0",
  "group.consumer.assignment.interval.ms=0",
  "group.consumer.min.heartbeat.interval.ms=100",
  `group.consumer.heartbeat.interval.ms=${HEARTBEAT_MS}`,
  "group.consumer.session.timeout.ms=45000",
];

const folder = runFolder("groups-");

async function topicOf(bootstrap: string, name: string, partitions: number): Promise<string> {
  const client = await connect(`kafka://${bootstrap}`);
  const made = await client.admin.createTopic({ name, partitions, replicationFactor: 1 });
  const producer = client.producer();
  for (let partition = 0; partition < partitions; partition++) {
    await producer.enqueue({ topic: name, partition, value: "first" });
  }
  await producer.flush();
  await client.close();
  return made.topicId!;
}

interface GroupTopic {
  readonly name: string;
  readonly id: string;
  readonly partitions: number;
}

function placeOf(
  bootstrap: string,
  group: string,
  topic: GroupTopic,
  heartbeatMs: number,
): GroupPlace {
  return {
    bootstrap,
    group,
    topic: topic.name,
    topicId: topic.id,
    partitions: topic.partitions,
    ledger: new Ledger(topic.partitions, 45_000),
    sessionMs: 45_000,
    heartbeatMs,
  };
}

function memberOf(protocol: Protocol, place: GroupPlace, name: string): StormMember {
  const Kind = protocol === "classic" ? ClassicMember : ConsumerMember;
  return new Kind(place, name, null);
}

async function readOne(connection: KafkaConnection, topic: string, partition: number) {
  const answer = await connection.request(Fetch, connection.versionOf(Fetch, 4, 12), {
    maxWaitMs: 100,
    minBytes: 1,
    maxBytes: 1 << 20,
    topics: [{ topic, partitions: [{ partition, fetchOffset: 0n, partitionMaxBytes: 1 << 20 }] }],
    forgottenTopicsData: [],
  });
  const found = answer.responses[0]!.partitions[0]!;
  if (found.errorCode !== 0 || found.records === null) throw new Error(`Fetch ${found.errorCode}`);
}

const isShared = (members: readonly StormMember[], partitions: number): boolean =>
  members.every((each) => each.isStable) &&
  new Set(members.map((each) => each.epoch)).size === 1 &&
  members.reduce((sum, each) => sum + each.owned.size, 0) === partitions;

async function until(holds: () => boolean, what: string): Promise<number> {
  const began = performance.now();
  while (!holds()) {
    if (performance.now() - began > 60_000) throw new Error(`waited a minute for ${what}`);
    await pause(1);
  }
  return performance.now() - began;
}

/** From the first join to a record in the hands of every member; then one of them leaves. */
async function joining(
  broker: Running,
  protocol: Protocol,
  count: number,
  n: number,
  round: Round,
) {
  const { address } = broker;
  const name = `${protocol}-${count}-${n}`;
  const topic = { name, id: await topicOf(address, name, largest), partitions: largest };
  const place = placeOf(address, `group-${name}`, topic, HEARTBEAT_MS);
  await committedOffsets(address, place.group, name, 1); // its coordinator is there
  const connection = await openConnection(address);
  const members = Array.from({ length: count }, (_, m) => memberOf(protocol, place, `m${m}`));
  const began = performance.now();
  for (const member of members) member.start();
  const reads = members.map(async (member) => {
    await until(() => member.isStable && member.owned.size > 0, "a partition");
    await readOne(connection, name, member.owned.values().next().value!);
  });
  await Promise.all(reads);
  round[`${protocol}_join_${count}`] = performance.now() - began;
  await until(() => isShared(members, topic.partitions), "a settled group");
  if (count === largest && count > 1) {
    const took: number[] = [];
    for (let leaves = Math.min(LEAVES, count - 1); leaves > 0; leaves--) {
      await pause(3 * HEARTBEAT_MS);
      const leaver = members.pop()!;
      const left = leaver.leave(false);
      const holds = () => isShared(members, topic.partitions);
      took.push(await until(holds, "the others to share what one left"));
      await left;
    }
    round[`${protocol}_rebalance`] = median(took)!;
  }
  await Promise.all(members.map((member) => member.leave(false)));
  connection.close("done");
  if (place.ledger.violations.length > 0) throw new Error(place.ledger.violations[0]);
}

function residentKb(pid: number): number {
  const line = readFileSync(`/proc/${pid}/status`, "utf8").match(/VmRSS:\s+(\d+)/);
  return Number(line?.[1]);
}

/** Members in groups of a hundred, each with a connection of its own, that only heartbeat: on a broker of their own. */
async function idle(side: Side, what: Idle, n: number, round: Round): Promise<void> {
  const home = join(folder, `${side}-idle-${what}-${n}`);
  const broker = await startSide(side, home, {
    settleS: 0,
    idleS: 0,
    options: ["offsets.topic.num.partitions=8", "group.initial.rebalance.delay.ms=0"],
  });
  try {
    const { address, pid } = broker;
    const topic = { name: "idle", id: await topicOf(address, "idle", 1), partitions: 1 };
    const start = async (group: string, size: number): Promise<void> => {
      if (what === "connection") {
        for (let c = 0; c < size; c++) connections.push(await openConnection(address));
        return;
      }
      const place = placeOf(address, group, topic, IDLE_HEARTBEAT_MS);
      await committedOffsets(address, group, topic.name, 1); // its coordinator is there
      const members = Array.from({ length: size }, (_, m) => memberOf(what, place, `m${m}`));
      for (const member of members) member.start();
      await until(() => members.every((each) => each.isStable), "idle members");
      idlers.push(...members);
    };
    await start("first", 1); // what loads with the first member is no member's
    await pause(3000);
    const before = residentKb(pid);
    for (let started = 0; started < idleMembers; started += 100) {
      await start(`idle-${started}`, Math.min(100, idleMembers - started));
    }
    await pause(2 * IDLE_HEARTBEAT_MS);
    round[`${what}_idle_kb`] = (residentKb(pid) - before) / idleMembers;
  } finally {
    for (const connection of connections.splice(0)) connection.close("done");
    for (const member of idlers.splice(0)) member.dieWithoutAWord(false);
    await broker.stop();
    removeFolder(home);
  }
}

async function measure(side: Side, n: number): Promise<Round> {
  const home = join(folder, `${side}-${n}`);
  const broker = await startSide(side, home, { settleS: 0, idleS: 0, options: OPTIONS });
  const round: Round = {};
  try {
    await topicOf(broker.address, "commits", 12);
    // the first run warms the broker up, and counts for nothing
    for (const seconds of [Number(flags.secs), Number(flags.secs)]) {
      round["commits_s"] = await commitsPerSecond(broker.address, "commits", 12, 8, seconds);
    }
    if (side !== "kafka-fsync") {
      for (const protocol of PROTOCOLS) {
        await joining(broker, protocol, largest, -1, {});
        for (const size of sizes) await joining(broker, protocol, size, n, round);
      }
    }
  } finally {
    await broker.stop();
    removeFolder(home);
  }
  if (side !== "kafka-fsync" && idleMembers > 0) {
    for (const what of IDLE) await idle(side, what, n, round);
    for (const protocol of PROTOCOLS) {
      round[`${protocol}_member_kb`] = round[`${protocol}_idle_kb`]! - round["connection_idle_kb"]!;
    }
  }
  return round;
}

// --- the table -------------------------------------------------------------------------------------------------------

/** Of a member besides its connection. */
const IDLE_KB_MAX = 20;
const ROWS: readonly Row[] = [
  ...PROTOCOLS.flatMap((protocol): Row[] => [
    ...sizes.map(
      (size): Row => ({
        key: `${protocol}_join_${size}`,
        label: `${protocol}: first join to a record in the hands of ${size === 1 ? "the member" : `all ${size} members`}: ms`,
        better: -1,
        bar: 1,
      }),
    ),
    {
      key: `${protocol}_rebalance`,
      label: `${protocol}: one of ${largest} leaves, until the others share: ms`,
      better: -1,
      bar: 1,
    },
  ]),
  {
    key: "commits_s",
    label: "commits a second, 8 connections, 64 under way on each",
    better: 1,
    bar: 1,
  },
  { key: "connection_idle_kb", label: "memory of an idle connection alone: KB", better: -1 },
  ...PROTOCOLS.map(
    (protocol): Row => ({
      key: `${protocol}_idle_kb`,
      label: `${protocol}: memory of an idle member with its connection: KB`,
      better: -1,
    }),
  ),
  ...PROTOCOLS.map(
    (protocol): Row => ({
      key: `${protocol}_member_kb`,
      label: `${protocol}: of that the member's own: KB`,
      better: -1,
      below: IDLE_KB_MAX,
    }),
  ),
];
const rounds = await inRounds(flags, folder, measure);
const text = [
  `Rounds: ${flags.rounds}; ${idleMembers} idle members.`,
  "",
  tableOf(ROWS, medianOf(rounds)),
].join("\n");
console.log(text);
if (flags.write) writeResults("groups", text);
process.exit(0);
