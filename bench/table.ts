// A table of a million records over 200,000 keys: how fast it is loaded, what a key takes, and how long a read takes,
// for both `keep`s, in the broker's process and over the wire.
//   bun bench/table.ts [--records 1000000] [--keys 200000] [--value-bytes 100] [--reads 20000] [--json]
//   deno run -A bench/table.ts …
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Client, connect, Millrace, type Table } from "../mod.ts";
import { answerHelp } from "../scripts/usage.ts";

answerHelp(import.meta.url);

const { values: flags } = parseArgs({
  options: {
    records: { type: "string", default: "1000000" },
    keys: { type: "string", default: "200000" },
    "value-bytes": { type: "string", default: "100" },
    reads: { type: "string", default: "20000" },
    json: { type: "boolean", default: false },
  },
});
const RECORDS = Number(flags.records);
const KEYS = Number(flags.keys);
const VALUE = "v".repeat(Number(flags["value-bytes"]));
const READS = Number(flags.reads);
const encoder = new TextEncoder();
const keyOf = (i: number) => encoder.encode(`account/${String(i).padStart(8, "0")}`);

interface Row {
  readonly way: string;
  readonly keep: string;
  readonly recordsPerS: number;
  /** As the table accounts for it: its typed arrays, which are all that grows with keys. */
  readonly bytesPerKey: number;
  readonly getP50Us: number;
  readonly getP99Us: number;
  readonly scannedPerS: number;
}

const folder = mkdtempSync(join(tmpdir(), "millrace-bench-table-"));
const millrace = await Millrace.start({
  storage: { use: "fs", options: { directory: join(folder, "log") } },
  metadata: "memory",
  transports: [{ use: "kafka", options: { listen: "127.0.0.1:0" } }],
  log: { level: "error" },
});
try {
  await fill(millrace.client());
  const rows: Row[] = [];
  for (const way of ["in process", "wire"]) {
    for (const keep of ["values", "offsets"] as const) {
      const client =
        way === "wire"
          ? await connect(`kafka://127.0.0.1:${millrace.endpoints[0]!.port}`)
          : millrace.client();
      rows.push(await measured(way, keep, client));
      await client.close();
    }
  }
  if (flags.json) console.log(JSON.stringify(rows));
  else console.table(rows);
} finally {
  await millrace.stop();
  rmSync(folder, { recursive: true });
}

async function fill(client: Client): Promise<void> {
  const configs = { "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "1" };
  await client.admin.createTopic({ name: "accounts", partitions: 4, configs });
  const producer = client.producer({ lingerMs: 5 });
  for (let i = 0; i < RECORDS; i++) {
    const room = producer.enqueue({ topic: "accounts", key: keyOf(i % KEYS), value: VALUE });
    if (room !== null) await room;
  }
  await producer.flush();
  await client.close();
}

async function measured(way: string, keep: "values" | "offsets", client: Client): Promise<Row> {
  const startMs = performance.now();
  const table = await client.table("accounts", { keep });
  await table.ready;
  const loadS = (performance.now() - startMs) / 1000;
  const { keys, bytes, records } = table.stats;
  if (keys !== KEYS || records !== RECORDS)
    throw new Error(`Found ${keys} keys, ${records} records`);
  const times = await getTimesUs(table, keep === "values" ? READS : Math.min(READS, 2000));
  const scanMs = performance.now();
  let scanned = 0;
  for await (const _ of table.scan({ limit: READS })) scanned++;
  const scanS = (performance.now() - scanMs) / 1000;
  await table.close();
  return {
    way,
    keep,
    recordsPerS: Math.round(records / loadS),
    bytesPerKey: Math.round(bytes / keys),
    getP50Us: times[Math.floor(times.length / 2)]!,
    getP99Us: times[Math.floor(times.length * 0.99)]!,
    scannedPerS: Math.round(scanned / scanS),
  };
}

/** One read after another, of keys all over the table. */
async function getTimesUs(table: Table, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const key = keyOf((i * 7919) % KEYS);
    const atMs = performance.now();
    const value = await table.get(key);
    times.push(Math.round((performance.now() - atMs) * 10_000) / 10);
    if (value?.length !== VALUE.length) throw new Error("A value is missing");
  }
  return times.sort((a, b) => a - b);
}
