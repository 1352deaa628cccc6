// `millrace produce`.

import type {
  Client,
  PartitionerChoice,
  Producer,
  ProducerOptions,
  ProducerRecord,
} from "../../client/mod.ts";
import type { Arguments } from "../arguments.ts";
import { CommandError } from "../cli_error.ts";
import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import type { CliHost } from "../host.ts";
import { Progress } from "../progress.ts";
import { type InputRecord, jsonRecord, keyedLine, LineSplitter } from "../record_input.ts";
import { separatorBytes } from "../record_output.ts";
import { bootstrapOf, withClient } from "../session.ts";
import { counted } from "../table.ts";
import type { TransactionSink } from "../transaction_sink.ts";

const LINE_BYTES_MAX = 256 * 1024 * 1024;
const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
const NO_HEADERS: InputRecord["headers"] = [];
const encoder = new TextEncoder();

export const command: Command = {
  name: "produce",
  summary: "send records from a file, a pipe or the keyboard",
  about: `Each line is the value of one record (--format lines). With --key-separator a line is KEY, separator, VALUE.
--format json reads one object a line: {"key": "k", "value": "v", "headers": [{"key": "h", "value": "1"}],
"partition": 0, "timestamp": 1700000000000}, each field optional; null and {"base64": "…"} are values too.
--format raw sends the whole input as one record. Records are acknowledged by all in-sync replicas, in order
and never twice, unless --acks says otherwise.

With --transactional-id the whole input is one transaction: readers of what is committed see all of it or nothing, also
when it fails half-way or is interrupted. --records-per-transaction commits every so many records instead.`,
  positionals: [{ name: "topic", summary: "where to; the broker may create it" }],
  flags: [
    { name: "file", short: "f", value: "PATH", summary: "read a file instead of standard input" },
    {
      name: "format",
      value: "FORM",
      summary: "what the input is (lines)",
      choices: ["lines", "json", "raw"],
    },
    {
      name: "key-separator",
      short: "k",
      value: "TEXT",
      summary: "ends the key in each line; \\t, \\0 and \\x1f are known",
    },
    { name: "key", value: "TEXT", summary: "one key for all records" },
    { name: "header", short: "H", value: "NAME=VALUE", summary: "for all records", isList: true },
    { name: "partition", short: "p", value: "N", summary: "send all records there" },
    {
      name: "partitioner",
      value: "NAME",
      summary: "how partitions are chosen (topic: as the topic says)",
      choices: ["topic", "xxhash", "murmur2", "round_robin", "sticky"],
    },
    {
      name: "compression",
      short: "z",
      value: "CODEC",
      summary: "of batches (none)",
      choices: CODECS,
    },
    { name: "acks", value: "WHO", summary: "who must have it (all)", choices: ["all", "1", "0"] },
    { name: "batch-size", value: "BYTES", summary: "of one batch (1000000); 64k and 1m are known" },
    { name: "linger", value: "MS", summary: "how long a batch waits for more (5)" },
    {
      name: "transactional-id",
      value: "NAME",
      summary: "send in a transaction; whoever had this name before is fenced",
    },
    {
      name: "records-per-transaction",
      value: "N",
      summary: "commit every so many records (the whole input is one transaction)",
    },
    {
      name: "transaction-timeout",
      value: "SECONDS",
      summary: "the broker aborts what takes longer (60)",
    },
    { name: "no-create", summary: "fail where the topic is not there" },
    { name: "quiet", short: "q", summary: "no progress, no summary" },
    JSON_FLAG,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    { command: "echo hi | millrace produce hello", says: "one record" },
    {
      command: "millrace produce access --file access.log -z lz4",
      says: "a file, a record a line",
    },
    { command: "millrace produce users -k , < users.csv", says: "the first column is the key" },
    {
      command: `echo '{"key":"a","value":null}' | millrace produce users --format json`,
      says: "a tombstone: compaction forgets the key",
    },
    {
      command: "millrace produce orders --file orders.txt --transactional-id import",
      says: "all of the file, or nothing of it",
    },
    {
      command: "millrace consume a --format json | millrace produce b --format json",
      says: "copy a topic with keys, headers and times",
    },
  ],
  run(args, host) {
    const topic = args.required("topic");
    const options = producerOptions(args);
    const fixed = fixedParts(args);
    const transaction = transactionOf(args);
    return withClient(args, host, async (client) => {
      const input = await openInput(args, host, bootstrapOf(args, host));
      const isQuiet = args.has("quiet");
      const progress = new Progress(
        isQuiet ? { ...host, isErrorTerminal: false } : host,
        input.sizeBytes,
      );
      if (!(options.mayCreateTopics ?? true)) await client.admin.topic(topic);
      if (transaction !== null) {
        const { acks: _, ...own } = options;
        const producer = client.producer({ ...own, ...transaction.options });
        const { TransactionSink } = await import("../transaction_sink.ts");
        const sink = new TransactionSink(producer, transaction.recordsMax);
        const target: Target = { producer, put: (record) => sink.put(record) };
        return await produceInTransactions(target, sink, topic, args, fixed, input, progress, host);
      }
      const producer = client.producer(options);
      try {
        const put: Target["put"] = (record) => producer.enqueue(record);
        await produceAll({ producer, put }, topic, args, fixed, input.chunks, progress, host);
        await producer.flush();
      } catch (error) {
        progress.clear();
        throw await lost(error, producer);
      }
      return await finish(producer, client, topic, args, host, progress);
    });
  },
};

/** Where records go. */
interface Target {
  readonly producer: Producer;
  put(record: ProducerRecord): Promise<void> | null;
}

/** How transactions are made; null where none are asked for. */
function transactionOf(args: Arguments) {
  const transactionalId = args.text("transactional-id");
  const recordsMax = args.whole("records-per-transaction", 1);
  const timeoutS = args.whole("transaction-timeout", 1, 2_000_000);
  if (transactionalId === undefined) {
    const given = recordsMax !== undefined ? "records-per-transaction" : "transaction-timeout";
    if (recordsMax !== undefined || timeoutS !== undefined) {
      throw args.wrong(`--${given} is for transactions: give --transactional-id NAME too`);
    }
    return null;
  }
  if (transactionalId === "") throw args.wrong('--transactional-id must be a name: found ""');
  if ((args.text("acks") ?? "all") !== "all") {
    throw args.wrong("A transaction is acknowledged by all: leave --acks out");
  }
  const transactionTimeoutMs = 1_000 * (timeoutS ?? 60);
  return {
    options: { transactionalId, transactionTimeoutMs },
    recordsMax: recordsMax ?? Number.POSITIVE_INFINITY,
  };
}

async function produceInTransactions(
  target: Target,
  sink: TransactionSink,
  topic: string,
  args: Arguments,
  fixed: FixedParts,
  input: { readonly chunks: AsyncIterable<Uint8Array> },
  progress: Progress,
  host: CliHost,
): Promise<number> {
  let told = "";
  try {
    await produceAll(target, topic, args, fixed, input.chunks, progress, host);
    // Half of an input is not what was asked for.
    if (host.interrupted.aborted) told = ` (${await sink.abort()})`;
    else await sink.commit();
  } catch (error) {
    progress.clear();
    throw await sink.failed(error);
  }
  progress.clear();
  const { records, transactions } = sink;
  progress.records = records;
  progress.bytes = target.producer.stats.bytes;
  const { bytes, seconds } = progress;
  if (args.has("json")) {
    await host.print(`${JSON.stringify({ topic, records, bytes, seconds, transactions })}\n`);
  } else if (!args.has("quiet")) {
    const how = `in ${counted(transactions, "transaction")}`;
    host.tell(`${progress.summary()} to ${topic} ${how}${told}\n`);
  }
  return host.interrupted.aborted ? 130 : 0;
}

function producerOptions(args: Arguments): ProducerOptions {
  const acks = args.text("acks") ?? "all";
  const batchBytesMax = args.whole("batch-size", 1, 1024 ** 3);
  return {
    acks: acks === "all" ? "all" : acks === "1" ? 1 : 0,
    compression: (args.text("compression") ?? "none") as (typeof CODECS)[number],
    partitioner: (args.text("partitioner") ?? "topic") as PartitionerChoice,
    lingerMs: args.whole("linger", 0, 3_600_000) ?? 5,
    mayCreateTopics: !args.has("no-create"),
    ...(batchBytesMax === undefined ? {} : { batchBytesMax }),
  };
}

/** What every record gets unless the input says otherwise. */
interface FixedParts {
  readonly key: Uint8Array | null;
  readonly headers: InputRecord["headers"];
  readonly partition: number | undefined;
  readonly keySeparator: Uint8Array | null;
}

function fixedParts(args: Arguments): FixedParts {
  const key = args.text("key");
  const separator = args.text("key-separator");
  const keySeparator = separator === undefined ? null : separatorBytes(separator);
  if (separator !== undefined && (keySeparator === null || keySeparator.length === 0)) {
    throw args.wrong(`--key-separator must be text or an escape such as \\t: found "${separator}"`);
  }
  const format = args.text("format") ?? "lines";
  if (keySeparator !== null && format !== "lines") {
    throw args.wrong(`--key-separator is for --format lines, not ${format}`);
  }
  if (keySeparator !== null && key !== undefined) {
    throw args.wrong("Give --key or --key-separator, not both");
  }
  const headers = args.pairs("header").map(([name, value]) => {
    return { key: name, value: encoder.encode(value) };
  });
  return {
    key: key === undefined ? null : encoder.encode(key),
    headers: headers.length === 0 ? NO_HEADERS : headers,
    partition: args.whole("partition", 0, 0x7fffffff),
    keySeparator,
  };
}

async function openInput(
  args: Arguments,
  host: CliHost,
  bootstrap: string,
): Promise<{ sizeBytes: number | null; chunks: AsyncIterable<Uint8Array> }> {
  const path = args.text("file");
  if (path !== undefined && path !== "-") {
    const { sizeBytes, chunks } = await host.readFile(path);
    return { sizeBytes, chunks: chunks() };
  }
  if (host.isInputTerminal && host.isErrorTerminal && !args.has("quiet")) {
    host.tell(`Connected to ${bootstrap}. Each line you type is a record; Ctrl-D ends.\n`);
  }
  return { sizeBytes: null, chunks: host.input() };
}

async function produceAll(
  { producer, put }: Target,
  topic: string,
  args: Arguments,
  fixed: FixedParts,
  chunks: AsyncIterable<Uint8Array>,
  progress: Progress,
  host: CliHost,
): Promise<void> {
  const format = args.text("format") ?? "lines";
  const { interrupted } = host;
  let doneBytes = 0;
  const send = (record: InputRecord): Promise<void> | null => put({ topic, ...record });
  const fromLine = (line: Uint8Array, number: number): InputRecord | null => {
    if (format === "json") {
      if (line.length === 0) return null;
      const record = jsonRecord(line, number);
      const headers =
        fixed.headers.length === 0 ? record.headers : [...record.headers, ...fixed.headers];
      return {
        ...record,
        key: record.key ?? fixed.key,
        headers,
        partition: fixed.partition ?? record.partition,
      };
    }
    const { partition, headers, keySeparator } = fixed;
    if (keySeparator === null) {
      return { key: fixed.key, value: line, headers, partition, timestampMs: undefined };
    }
    return { ...keyedLine(line, keySeparator), headers, partition, timestampMs: undefined };
  };
  if (format === "raw") {
    const value = await wholeInput(chunks);
    await send({ ...fixed, value, timestampMs: undefined });
    return;
  }
  const lines = new LineSplitter(LINE_BYTES_MAX);
  for await (const chunk of untilInterrupted(chunks, interrupted)) {
    for (const line of lines.push(chunk)) {
      const record = fromLine(line, lines.count);
      const waiting = record === null ? null : send(record);
      if (waiting !== null) await waiting;
    }
    doneBytes += chunk.length;
    const { stats } = producer;
    progress.records = stats.delivered;
    progress.bytes = stats.bytes;
    progress.update(doneBytes);
    // What was read is still delivered; then the command ends.
    if (interrupted.aborted) return;
  }
  // Half a line is nobody's record.
  if (interrupted.aborted) return;
  const last = lines.end();
  const record = last === null ? null : fromLine(last, lines.count);
  if (record !== null) await send(record);
}

/** Ends with Ctrl-C, also while nothing comes. */
async function* untilInterrupted(
  chunks: AsyncIterable<Uint8Array>,
  interrupted: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = chunks[Symbol.asyncIterator]();
  let stop: (() => void) | null = null;
  interrupted.addEventListener("abort", () => stop?.(), { once: true });
  while (!interrupted.aborted) {
    const next = await new Promise<IteratorResult<Uint8Array> | null>((resolve, reject) => {
      stop = () => resolve(null);
      iterator.next().then(resolve, reject);
    });
    if (next === null || next.done === true) return;
    yield next.value;
  }
}

async function wholeInput(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of chunks) {
    parts.push(chunk);
    sizeBytes += chunk.length;
  }
  const whole = new Uint8Array(sizeBytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** What is under way already is waited for, so that the numbers are true. */
async function lost(error: unknown, producer: Producer): Promise<unknown> {
  await producer.flush().catch(() => {}); // The first failure is the one to tell.
  const { delivered, failed } = producer.stats;
  if (!(error instanceof Error)) return error;
  if (delivered > 0 || failed > 1) {
    error.message += ` (${delivered} records were delivered, ${failed} were not)`;
  }
  return error;
}

async function finish(
  producer: Producer,
  client: Client,
  topic: string,
  args: Arguments,
  host: CliHost,
  progress: Progress,
): Promise<number> {
  const { stats } = producer;
  progress.clear();
  progress.records = stats.delivered;
  progress.bytes = stats.bytes;
  if (stats.failed > 0)
    throw new CommandError("lost", `${stats.failed} records were not delivered`);
  const { records, bytes, seconds } = progress;
  if (args.has("json")) await host.print(`${JSON.stringify({ topic, records, bytes, seconds })}\n`);
  else if (!args.has("quiet")) host.tell(`${progress.summary()} to ${topic}\n`);
  await client.close();
  return host.interrupted.aborted ? 130 : 0;
}
