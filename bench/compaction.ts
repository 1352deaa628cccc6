// Compaction beside Apache Kafka in one run: how fast a log is cleaned, and what cleaning costs those who append and read.
//   bun bench/compaction.ts [--rounds 3] [--sides kafka,millrace-bun,millrace-deno] [--mb 160] [--busy-mb 480]
//                           [--secs 4] [--rate 2000] [--json FILE] [--write]
// --write puts the table into bench/RESULTS.md. The method is in METHOD.md; three rounds take about six minutes.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { connect } from "../mod.ts";
import { answerHelp } from "../scripts/usage.ts";
import { SeededRandom } from "../src/base/prng.ts";
import { type Row, tableOf } from "./ratio_table.ts";
import { writeResults } from "./results_page.ts";
import { inRounds, medianOf, type Round, runFolder } from "./rounds.ts";
import { ask, processBusyS, type Running, removeFolder, type Side, startSide } from "./sides.ts";

answerHelp(import.meta.url);

const { values: flags } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    sides: { type: "string", default: "kafka,millrace-bun,millrace-deno" },
    mb: { type: "string", default: "160" },
    "busy-mb": { type: "string", default: "480" },
    secs: { type: "string", default: "4" },
    rate: { type: "string", default: "2000" },
    json: { type: "string" },
    write: { type: "boolean", default: false },
  },
});

const KEYS = 50_000;
const VALUE_BYTES = 480;
const WARM_MB = 48;
/** What is loaded to be cleaned under load lies in so many partitions. */
const BUSY_PARTITIONS = 4;
/** The same for every side. */
const OPTIONS = ["log.cleaner.backoff.ms=200"];
const TOPIC_CONFIGS = { "segment.bytes": String(16 * 1024 * 1024) };

const folder = runFolder("compaction-");

/** A cleaning by the broker's own word: bytes gone through, and the wall clock at both ends. */
interface Cleaning {
  readonly bytes: number;
  readonly tookMs: number;
  readonly endedMs: number;
}

const random = SeededRandom.of(1);

/** Values as different as text is: cleaning copies them, nothing compresses them. */
const VALUES = Array.from({ length: 64 }, () => {
  const words = Array.from({ length: VALUE_BYTES / 8 }, () =>
    random.uint32().toString(36).padEnd(8, "x"),
  );
  return new TextEncoder().encode(words.join("").slice(0, VALUE_BYTES));
});

/** Records of random keys, on a topic that is not compacted yet. */
async function load(address: string, topic: string, megabytes: number, partitions = 1) {
  const client = await connect(`kafka://${address}`);
  await client.admin.createTopic({
    name: topic,
    partitions,
    replicationFactor: 1,
    configs: TOPIC_CONFIGS,
  });
  const producer = client.producer({ batchBytesMax: 64 * 1024, lingerMs: 5 });
  const encoder = new TextEncoder();
  for (let count = (megabytes * 1e6) / VALUE_BYTES; count > 0; count--) {
    const key = encoder.encode(`key-${String(random.below(KEYS)).padStart(8, "0")}`);
    const value = VALUES[random.below(VALUES.length)]!;
    const partition = random.below(partitions);
    const room = producer.enqueue({ topic, partition, key, value });
    if (room !== null) await room;
  }
  await producer.flush();
  await client.close();
}

/** From now on the topic is compacted, and all of it is dirty. */
async function compact(address: string, topic: string): Promise<void> {
  const client = await connect(`kafka://${address}`);
  const changes = Object.entries({
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.01",
  });
  await client.admin.alterConfigs(
    { type: "topic", name: topic },
    changes.map(([name, value]) => ({ operation: "set", name, value }) as const),
  );
  await client.close();
}

/** Kafka says it in its log, in MB of 2^20 bytes. */
function kafkaCleanings(log: string, topic: string): (Cleaning | undefined)[] {
  const found: (Cleaning | undefined)[] = [];
  const lines = readFileSync(log, "utf8").split("\n");
  for (let at = 0; at < lines.length; at++) {
    const which = /cleaned log (\S+)-(\d+) \(dirty/.exec(lines[at]!);
    if (which?.[1] !== topic) continue;
    const said = /([\d,.]+) MB of log processed in ([\d,.]+) seconds/.exec(lines[at + 1]!)!;
    const [bytes, seconds] = said.slice(1).map((text) => Number(text.replaceAll(",", "")));
    // The line before has the time.
    const time = /^\[([\d-]+) ([\d:]+),(\d+)\]/.exec(lines[at - 1]!)!;
    const endedMs = new Date(`${time[1]}T${time[2]}.${time[3]}`).getTime();
    // What a segment leaves behind is cleaned again at once; the first time counts.
    found[Number(which[2])] ??= { bytes: bytes! * 2 ** 20, tookMs: seconds! * 1000, endedMs };
  }
  return found;
}

interface Figures {
  readonly partition: number;
  readonly last: { bytesBefore: number; tookMs: number; endedMs: number } | null;
}

async function millraceCleanings(address: string, topic: string) {
  const client = await connect(`kafka://${address}`);
  const [row] = await client.admin.describeConfigs({ type: "topic", name: topic }, [
    "millrace.cleaning",
  ]);
  await client.close();
  const found: (Cleaning | undefined)[] = [];
  for (const { partition, last } of JSON.parse(row?.value ?? "[]") as readonly Figures[]) {
    if (last === null) continue;
    found[partition] = { bytes: last.bytesBefore, tookMs: last.tookMs, endedMs: last.endedMs };
  }
  return found;
}

/** Waits until every partition was cleaned once. */
async function cleaned(side: Side, broker: Running, home: string, topic: string, partitions = 1) {
  for (const until = Date.now() + 120_000; ; ) {
    const found =
      side === "kafka"
        ? kafkaCleanings(join(home, "broker.log"), topic)
        : await millraceCleanings(broker.address, topic);
    const all = found.filter((each) => each !== undefined);
    if (all.length === partitions) return all;
    if (Date.now() > until) throw new Error(`${side}: "${topic}" was not cleaned in two minutes`);
    await pause(250);
  }
}

const bytesOf = (all: readonly Cleaning[]): number =>
  all.reduce((sum, { bytes }) => sum + bytes, 0);
const msOf = (all: readonly Cleaning[]): number => all.reduce((sum, { tookMs }) => sum + tookMs, 0);

async function measure(side: Side, n: number): Promise<Round> {
  const home = join(folder, `${side}-${n}`);
  const broker = await startSide(side, home, { settleS: 0, idleS: 0, options: OPTIONS });
  const { address, pid } = broker;
  const round: Round = {};
  try {
    await load(address, "warm", WARM_MB);
    await compact(address, "warm");
    await cleaned(side, broker, home, "warm");

    await load(address, "rate", Number(flags.mb));
    await pause(500);
    const busyS = processBusyS(pid);
    await compact(address, "rate");
    const alone = await cleaned(side, broker, home, "rate");
    round["clean_mb_s"] = bytesOf(alone) / 1e3 / msOf(alone);
    round["clean_cpu_s_per_gb"] = (processBusyS(pid) - busyS) / (bytesOf(alone) / 1e9);

    await load(address, "busy", Number(flags["busy-mb"]), BUSY_PARTITIONS);
    const e2e = (warmup: string) =>
      ask("e2e", address, [
        ...["-topic", "hot", "-partitions", 4, "-rate", flags.rate],
        ...["-duration", `${flags.secs}s`, "-warmup", warmup],
      ]);
    const quiet = e2e("3s");
    await compact(address, "busy");
    // Within a second it is under way.
    await pause(1000);
    const began = Date.now();
    const meanwhile = e2e("200ms");
    const ended = Date.now();
    for (const [name, got] of Object.entries({ quiet, meanwhile })) {
      round[`${name}_p50_ms`] = Number(got["e2e_p50_ms"]);
      round[`${name}_p99_ms`] = Number(got["e2e_p99_ms"]);
      round[`${name}_ack_p99_ms`] = Number(got["ack_p99_ms"]);
    }
    round["p99_ratio"] = round["meanwhile_p99_ms"]! / round["quiet_p99_ms"]!;
    const busy = await cleaned(side, broker, home, "busy", BUSY_PARTITIONS);
    round["busy_mb_s"] = bytesOf(busy) / 1e3 / msOf(busy);
    const first = Math.min(...busy.map(({ endedMs, tookMs }) => endedMs - tookMs));
    const last = Math.max(...busy.map(({ endedMs }) => endedMs));
    const overlapMs = Math.max(0, Math.min(ended, last) - Math.max(began, first));
    round["overlap"] = overlapMs / (ended - began);
  } finally {
    await broker.stop();
    removeFolder(home);
  }
  return round;
}

// --- the table -------------------------------------------------------------------------------------------------------

const ROWS: readonly Row[] = [
  { key: "clean_mb_s", label: "cleaning alone: MB/s of log", better: 1, bar: 1 },
  { key: "clean_cpu_s_per_gb", label: "CPU for that: s per GB of log", better: -1 },
  {
    key: "busy_mb_s",
    label: `cleaning while ${flags.rate} records/s come and go: MB/s of log`,
    better: 1,
  },
  { key: "quiet_p99_ms", label: "end to end without cleaning, p99: ms", better: -1 },
  { key: "meanwhile_p99_ms", label: "end to end while it cleans, p99: ms", better: -1 },
  { key: "p99_ratio", label: "the second by the first", better: -1, limit: 2, standsAlone: true },
  { key: "quiet_ack_p99_ms", label: "acknowledged without cleaning, p99: ms", better: -1 },
  { key: "meanwhile_ack_p99_ms", label: "acknowledged while it cleans, p99: ms", better: -1 },
  { key: "quiet_p50_ms", label: "end to end without cleaning, p50: ms", better: -1 },
  { key: "meanwhile_p50_ms", label: "end to end while it cleans, p50: ms", better: -1 },
  { key: "overlap", label: "share of that time in which it cleaned", better: 1, standsAlone: true },
];

const rounds = await inRounds(flags, folder, measure);
const text = [
  `Rounds: ${flags.rounds}; ${flags.mb} MB alone, ${flags["busy-mb"]} MB under load, ${KEYS} keys, values of ${VALUE_BYTES} bytes.`,
  "",
  tableOf(ROWS, medianOf(rounds), false),
].join("\n");
console.log(text);
if (flags.write) writeResults("compaction", text);
process.exit(0);
