// A compacted topic under load: two producers and a transactional writer overwrite and delete keys, a reader starts over again
// and again, the broker is killed with -9 at random, also in the last cleaning. Checked: every key is what was written last; no reader
// sees what was aborted, older values after newer ones, or offsets that go back; the disk shrinks to about a record a key.
//   bun scripts/compaction_soak.ts [--records 5000000] [--keys 200000] [--kills 12] [--partitions 2] [--value-bytes 80]
//                                  [--segment-mb 16] [--runtime bun|deno] [--seed N] [--keep] [--quiet]
// Prints "ok name" and "not ok name why", and progress to standard error; the last line is "N passed, N failed".
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ClientError, connect } from "../mod.ts";
import { SeededRandom } from "../src/base/prng.ts";
import { KillableBroker } from "../test/compat/killable_broker.ts";
import {
  keyOf,
  type ReadValue,
  Reference,
  readValue,
  textOf,
} from "./compaction_soak/reference.ts";
import { TransactionWriter } from "./compaction_soak/transactions.ts";
import { answerHelp } from "./usage.ts";
import { endWithVerdicts, hasFailed, told, toldError } from "./verdicts.ts";

answerHelp(import.meta.url);

const { values: flags } = parseArgs({
  options: {
    records: { type: "string", default: "5000000" },
    keys: { type: "string", default: "200000" },
    kills: { type: "string", default: "12" },
    partitions: { type: "string", default: "2" },
    "value-bytes": { type: "string", default: "80" },
    "segment-mb": { type: "string", default: "16" },
    runtime: { type: "string", default: "bun" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    keep: { type: "boolean", default: false },
    quiet: { type: "boolean", default: false },
  },
});
const recordCount = Number(flags.records);
const keyCount = Number(flags.keys);
const kills = Number(flags.kills);
const partitions = Number(flags.partitions);
const padding = Number(flags["value-bytes"]);
const TOPIC = "table";
/** Every so manieth key belongs to the transactional writer. */
const TRANSACTIONAL = 10;
/** How long tombstones stay. */
const DELETE_RETENTION_MS = 3000;
const began = Date.now();

/** The same for the same seed; the moments stay the machine's. */
const random = SeededRandom.of(flags.seed);

function progress(text: string): void {
  if (flags.quiet) return;
  console.error(`${((Date.now() - began) / 1000).toFixed(1).padStart(6)} s  ${text}`);
}
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

// --- the broker ------------------------------------------------------------------------------------------------------

const folder = mkdtempSync(join(tmpdir(), "millrace-soak-"));
let killed = 0;
for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => process.exit(130));

const broker = await KillableBroker.at(
  join(folder, "broker"),
  [
    "log.cleaner.backoff.ms=500",
    "millrace.journal.file.bytes=33554432",
    "transaction.state.log.num.partitions=1",
  ],
  { RUNTIME: flags.runtime },
);
const { bootstrap } = broker;

async function killAndStart(): Promise<void> {
  await broker.kill();
  await pause(random.below(400));
  await broker.start();
  killed++;
}

function folderBytes(path: string): number {
  let sum = 0;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const whole = join(path, entry.name);
    try {
      sum += entry.isDirectory() ? folderBytes(whole) : statSync(whole).blocks * 512;
    } catch {
      // it went meanwhile
    }
  }
  return sum;
}

// --- reading ---------------------------------------------------------------------------------------------------------

interface Reading {
  readonly table: ReadonlyMap<number, ReadValue>;
  readonly transactions: ReadonlySet<number>;
  readonly records: number;
  readonly tombstones: number;
}

const decoder = new TextDecoder();

/** From the start to what is the end then, as read_committed. @throws on the first thing that may not be */
async function readTable(client: Awaited<ReturnType<typeof connect>>): Promise<Reading> {
  const table = new Map<number, ReadValue>();
  const transactions = new Set<number>();
  const offsets = new Array<number>(partitions).fill(-1);
  let records = 0;
  let tombstones = 0;
  const consumer = client.consumer({
    topics: [TOPIC],
    untilEnd: true,
    isolation: "read_committed",
    bytesMax: 4 << 20,
    bufferBytesMax: 8 << 20,
  });
  for await (const { partition, offset, key, value } of consumer) {
    if (offset <= offsets[partition]!) {
      throw new Wrong(
        `offset ${offset} of partition ${partition} came after ${offsets[partition]}`,
      );
    }
    offsets[partition] = offset;
    records++;
    const name = decoder.decode(key!);
    const transaction = /^transaction-(\d+)$/.exec(name);
    if (transaction !== null) {
      if (decoder.decode(value!) !== "committed")
        throw new Wrong(`${name} was aborted, and is seen`);
      transactions.add(Number(transaction[1]));
      continue;
    }
    const number = Number(name.slice(4));
    if (value === null) {
      tombstones++;
      table.delete(number);
      continue;
    }
    const read = readValue(decoder.decode(value));
    if (read === null || read.key !== number) {
      throw new Wrong(`${name} at ${offset} of partition ${partition} has the value of another`);
    }
    if (read.isDoomed) throw new Wrong(`${name} at ${offset} was aborted, and is seen`);
    const before = table.get(number)?.version ?? 0;
    if (read.version <= before) throw new Wrong(`${name}: ${read.version} came after ${before}`);
    table.set(number, read);
  }
  return { table, transactions, records, tombstones };
}

class Wrong extends Error {}

// --- the soak --------------------------------------------------------------------------------------------------------

const reference = new Reference(keyCount);
let isLoading = true;
let sent = 0;
let passes = 0;
let readerFault: string | undefined;
/** What a reader is told of a broker that is killed or starting. */
const AWAY: ReadonlySet<string> = new Set(["network_exception", "request_timed_out"]);
let away = 0;

const newClient = () => connect(`kafka://${bootstrap}`);

/** Keys are not alike: one in ten is written a lot. */
function pickKey(isTransactional: boolean): number {
  for (;;) {
    const key =
      random.below(4) === 0 ? random.below(Math.max(keyCount / 10, 1) | 0) : random.below(keyCount);
    if ((key % TRANSACTIONAL === 0) === isTransactional) return key;
  }
}

async function load(): Promise<void> {
  const client = await newClient();
  const producers = [
    client.producer({ deliveryTimeoutMs: 600_000, lingerMs: 2, bufferBytesMax: 8 << 20 }),
    client.producer({
      deliveryTimeoutMs: 600_000,
      lingerMs: 2,
      bufferBytesMax: 8 << 20,
      compression: "lz4",
    }),
  ];
  for (let i = 0; i < recordCount; i++) {
    const key = pickKey(false);
    const version = ++reference.version;
    const isDeletion = random.below(12) === 0;
    const value = isDeletion ? null : textOf(version, key, false, padding);
    const room = producers[Math.floor(key / TRANSACTIONAL) % 2]!.enqueue({
      topic: TOPIC,
      partition: key % partitions,
      key: keyOf(key),
      value,
    });
    reference.wrote(key, version, isDeletion);
    sent++;
    if (room !== null) await room;
    // Others have to have their turn, too.
    else if (i % 300 === 0) await pause(0);
  }
  for (const producer of producers) await producer.flush();
  await client.close();
}

async function read(): Promise<void> {
  while (isLoading && readerFault === undefined) {
    await pause(1000 + random.below(1000));
    const client = await newClient().catch(() => null);
    if (client === null) {
      away++;
      continue;
    }
    try {
      await readTable(client);
      passes++;
    } catch (error) {
      // A broker that is killed for a while is no fault.
      const code = error instanceof ClientError ? error.code : String(error);
      if (error instanceof Wrong) readerFault = error.message;
      else if (!AWAY.has(code)) readerFault = `a reading ended with ${code}: ${error}`;
      else away++;
    } finally {
      await client.close().catch(() => {});
    }
  }
}

/** Kills come at about even shares of the records, each at a random one of its share. */
async function killAll(): Promise<void> {
  const share = recordCount / Math.max(kills, 1);
  for (let n = 0; n < kills; n++) {
    const at = n * share + random.below(Math.max(share, 1));
    while (isLoading && sent < at) await pause(20);
    if (!isLoading) return;
    await pause(random.below(500));
    const figures = await cleaning().catch(() => []);
    const under = figures.some(({ running }) => running !== null) ? ", while it cleaned" : "";
    await killAndStart();
    progress(`kill ${n + 1} of ${kills}, at ${sent} records${under}`);
  }
}

interface Figures {
  readonly partition: number;
  readonly dirtyBytes: number;
  readonly cleanBytes: number;
  readonly cleanings: number;
  readonly running: object | null;
  readonly uncleanable: { readonly reason: string } | null;
}

async function cleaning(): Promise<readonly Figures[]> {
  const client = await newClient();
  try {
    const rows = await client.admin.describeConfigs({ type: "topic", name: TOPIC }, [
      "millrace.cleaning",
    ]);
    return JSON.parse(rows[0]?.value ?? "[]") as readonly Figures[];
  } finally {
    await client.close();
  }
}

const sizeOf = (figures: readonly Figures[]): number =>
  figures.reduce((sum, each) => sum + each.cleanBytes + each.dirtyBytes, 0);

async function alter(configs: Readonly<Record<string, string>>): Promise<void> {
  const client = await newClient();
  const changes = Object.entries(configs).map(([name, value]) => {
    return { operation: "set", name, value } as const;
  });
  await client.admin.alterConfigs({ type: "topic", name: TOPIC }, changes);
  await client.close();
}

/** Until next to nothing is dirty. */
async function cleaned(withinMs: number): Promise<readonly Figures[]> {
  const until = Date.now() + withinMs;
  for (;;) {
    const figures = await cleaning();
    const fault = figures.find(({ uncleanable }) => uncleanable !== null);
    if (fault !== undefined) throw new Error(fault.uncleanable!.reason);
    const dirtyBytes = figures.reduce((sum, each) => sum + each.dirtyBytes, 0);
    const isIdle = figures.every(({ running }) => running === null);
    if (isIdle && dirtyBytes < 64 * 1024) return figures;
    if (Date.now() > until) throw new Error(`${megabytes(dirtyBytes)} were not cleaned`);
    await pause(200);
  }
}

/** One record for each partition: nothing is dirty without it, and tombstones wait for the next cleaning. */
async function touch(): Promise<void> {
  const client = await newClient();
  const producer = client.producer();
  for (let partition = 0; partition < partitions; partition++) {
    const key = partition + (partition % TRANSACTIONAL === 0 ? partitions : 0);
    const version = ++reference.version;
    reference.wrote(key, version, false);
    const record = { topic: TOPIC, partition: key % partitions, key: keyOf(key) };
    await producer.send({ ...record, value: textOf(version, key, false, padding) });
  }
  await client.close();
}

async function main(): Promise<void> {
  await broker.start();
  const first = await newClient();
  await first.admin.createTopic({
    name: TOPIC,
    partitions,
    configs: {
      "cleanup.policy": "compact",
      "segment.bytes": String(Number(flags["segment-mb"]) * 1024 * 1024),
      "min.cleanable.dirty.ratio": "0.4",
      "delete.retention.ms": String(DELETE_RETENTION_MS),
    },
  });
  await first.close();
  const transactions = new TransactionWriter({
    bootstrap,
    topic: TOPIC,
    partitions,
    transactionalId: "soak",
    reference,
    pickKey: () => pickKey(true),
    random,
    padding,
    mayGoOn: () => isLoading,
  });
  const ticker = setInterval(() => {
    progress(
      `${sent} of ${recordCount} records, ${transactions.committed} transactions, ${passes} readings, ${killed} kills, ${megabytes(folderBytes(folder))} on disk`,
    );
  }, 5000);
  let largestBytes = 0;
  const watcher = setInterval(() => {
    largestBytes = Math.max(largestBytes, folderBytes(folder));
  }, 1000);
  const loadBegan = Date.now();
  const others = [transactions.run(5), read(), killAll()];
  await load().finally(() => {
    isLoading = false;
  });
  const loadS = (Date.now() - loadBegan) / 1000;
  await Promise.all(others);
  clearInterval(ticker);
  told(
    "records_are_acknowledged_over_kills",
    undefined,
    ` (${sent} in ${loadS.toFixed(1)} s, ${killed} kills)`,
  );
  told(
    "readers_see_nothing_that_may_not_be",
    readerFault,
    ` (${passes} readings from the start meanwhile, ${away} cut short)`,
  );
  const { committed, aborted, unanswered, records } = transactions;
  told(
    "transactions_go_on",
    committed > 0 && aborted > 0 ? undefined : `${committed} committed, ${aborted} aborted`,
    ` (${committed} committed, ${aborted} aborted, ${unanswered} without an answer)`,
  );
  const writtenBytes = (sent + records) * (textOf(1e7, 1e5, false, padding).length + 12 + 12);

  // The last cleaning, with two more kills in the middle of it.
  await alter({ "min.cleanable.dirty.ratio": "0", "max.compaction.lag.ms": "1" });
  for (let n = 0; n < Math.min(kills, 2); n++) {
    await pause(600 + random.below(1500));
    await killAndStart();
    progress("kill in the last cleaning");
  }
  await cleaned(180_000);
  progress("all is cleaned");
  // Tombstones have been given their time; once it has passed, and something is dirty again, they go.
  await pause(DELETE_RETENTION_MS);
  await touch();
  await pause(1500);
  await cleaned(60_000);
  const figures = await cleaning();
  clearInterval(watcher);

  const check = async (name: string): Promise<Reading> => {
    const client = await newClient();
    const reading = await readTable(client);
    await client.close();
    reference.resolve((transaction) => reading.transactions.has(transaction));
    const wrong = reference.wrongIn(reading.table);
    const note = ` (${reading.table.size} keys of ${keyCount}, ${reading.records} records, ${reading.tombstones} tombstones)`;
    told(name, wrong.length === 0 ? undefined : wrong.join("; "), note);
    return reading;
  };
  const reading = await check("every_key_is_what_was_written_last");
  await killAndStart();
  await check("and_after_another_kill");
  const wanted = reading.table.size + reading.transactions.size;
  // Besides: what the two touches wrote over, and tombstones of the last round.
  const isTight = reading.records <= wanted * 1.01 + 100;
  told(
    "one_record_is_left_for_each_key",
    isTight ? undefined : `${reading.records} records for ${wanted} keys`,
    ` (${reading.records} for ${wanted})`,
  );
  const logBytes = sizeOf(figures);
  const recordBytes = writtenBytes / (sent + records);
  const isSmall = logBytes <= wanted * recordBytes * 1.5 + 2e6;
  told(
    "the_log_shrinks",
    isSmall ? undefined : `${megabytes(logBytes)} for ${wanted} keys`,
    ` (${megabytes(writtenBytes)} written, ${megabytes(logBytes)} left)`,
  );
  // The journal's last file, one before it and its spare stay.
  let diskBytes = 0;
  for (let n = 0; n < 50; n++) {
    diskBytes = folderBytes(folder);
    if (diskBytes <= logBytes + 110e6) break;
    await pause(200);
  }
  told(
    "the_disk_shrinks",
    diskBytes <= logBytes + 110e6 ? undefined : `${megabytes(diskBytes)} are on disk`,
    ` (${megabytes(largestBytes)} at most, ${megabytes(diskBytes)} at the end, the journal among it)`,
  );
}

console.log(
  `# seed ${flags.seed}, ${flags.runtime}, ${recordCount} records over ${keyCount} keys, ${kills} kills`,
);
try {
  await main();
} catch (error) {
  toldError("soak", error);
}
await broker.kill().catch(() => {});
if (hasFailed() || flags.keep) console.log(`# the data is kept in ${folder}`);
else rmSync(folder, { recursive: true, force: true });
console.log(`# ${((Date.now() - began) / 1000).toFixed(1)} s`);
endWithVerdicts();
