// `millrace consume`.

import type {
  Assignment,
  Consumer,
  ConsumerOptions,
  GroupConsumer,
  GroupConsumerOptions,
  StartAt,
} from "../../client/mod.ts";
import type { Arguments } from "../arguments.ts";
import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { BrokenPipe } from "../host.ts";
import { Progress } from "../progress.ts";
import { type OutputFormat, RecordWriter, separatorBytes } from "../record_output.ts";
import { withClient } from "../session.ts";
import { timeMsOf } from "../time.ts";

const NO_BYTES = new Uint8Array(0);
/** While following, records show as they come; otherwise large writes are faster. */
const FOLLOW_WAIT_MS = 500;

export const command: Command = {
  name: "consume",
  summary: "print or save the records of a topic",
  about: `Reads from the beginning to what is the end now; --follow goes on with what comes until Ctrl-C.
Order is kept within a partition; partitions come side by side. --format lines prints values, each with a
newline (--separator) after it: what went in as lines comes out byte for byte. --format json prints one
object a line, which \`millrace produce --format json\` reads. --format raw prints values and nothing else.

With --group it reads as a member: members share the topic's partitions, what was printed is committed, and the next one
goes on there; --from says where a group begins that has committed nothing yet.`,
  positionals: [{ name: "topic", summary: "which one" }],
  flags: [
    {
      name: "from",
      value: "PLACE",
      summary:
        "beginning, end, an offset, -N for the last N, or a time: 2026-01-31T12:00:00Z (beginning)",
    },
    {
      name: "partition",
      short: "p",
      value: "N",
      summary: "only this partition",
      isList: true,
    },
    {
      name: "group",
      short: "g",
      value: "NAME",
      summary: "read as a member of this group, and commit what was printed",
    },
    {
      name: "protocol",
      value: "NAME",
      summary: "of the group (auto: the next-generation one where the broker has it)",
      choices: ["auto", "consumer", "classic"],
    },
    { name: "instance-id", value: "NAME", summary: "be a static member of the group" },
    { name: "max", short: "n", value: "N", summary: "end after so many records" },
    { name: "until-end", summary: "end at what is the end now (so without --follow)" },
    { name: "follow", short: "F", summary: "go on with what comes (so with --from end)" },
    {
      name: "format",
      value: "FORM",
      summary: "what to print (lines)",
      choices: ["lines", "json", "value-only", "raw"],
    },
    { name: "key-separator", short: "k", value: "TEXT", summary: "print KEY, TEXT, VALUE" },
    {
      name: "separator",
      value: "TEXT",
      summary: "after each record (\\n); \\0 and \\x1e are known",
    },
    { name: "output", short: "o", value: "PATH", summary: "write a file instead" },
    {
      name: "isolation",
      value: "LEVEL",
      summary: "whether open transactions are shown (read_uncommitted)",
      choices: ["read_uncommitted", "read_committed"],
    },
    { name: "quiet", short: "q", summary: "no progress, no summary" },
    { ...JSON_FLAG, summary: "the same as --format json" },
    ...CONNECTION_FLAGS,
  ],
  examples: [
    { command: "millrace consume hello", says: "everything that is there" },
    { command: "millrace consume hello --follow", says: "and what comes, until Ctrl-C" },
    { command: "millrace consume hello --from -10", says: "the last ten of each partition" },
    { command: "millrace consume hello -p 0 --from 41 -n 1 --json", says: "one record, in full" },
    {
      command: "millrace consume access --output copy.log",
      says: "into a file, as fast as it goes",
    },
    {
      command: "millrace consume hello --group billing --follow",
      says: "as one of several that share the work",
    },
    { command: "millrace consume users -k '\\t' | cut -f 1 | sort -u", says: "all keys" },
  ],
  run(args, host) {
    const topic = args.required("topic");
    const format = outputFormat(args);
    const options =
      args.text("group") === undefined ? consumerOptions(args, topic) : groupOptions(args, topic);
    return withClient(args, host, async (client) => {
      // A member would wait for a topic to come; a name that is misspelt should not make a group either.
      if ("group" in options) await client.admin.topic(topic);
      const path = args.text("output");
      const isFile = path !== undefined && path !== "-";
      const sink = isFile ? await host.writeFile(path) : host.output;
      const isQuiet = args.has("quiet") || (!isFile && host.isOutputTerminal);
      const shown = isQuiet ? { ...host, isErrorTerminal: false } : host;
      const progress = new Progress(shown, null);
      const own = { ...options, signal: host.interrupted };
      const consumer = "group" in own ? client.consumer(own) : client.consumer(own);
      const writer = new RecordWriter(sink, format);
      try {
        await consumeAll(consumer, writer, options, progress);
      } catch (error) {
        // Whoever read has had enough, as `head` does.
        if (!(error instanceof BrokenPipe)) throw error;
      } finally {
        await consumer.close();
        progress.clear();
        if (isFile) await sink.close();
      }
      progress.records = writer.records;
      progress.bytes = writer.bytes;
      if (!isQuiet && host.isErrorTerminal) host.tell(`${progress.summary()} from ${topic}\n`);
      return 0;
    });
  },
};

async function consumeAll(
  consumer: Consumer | GroupConsumer,
  writer: RecordWriter,
  options: ConsumerOptions | GroupConsumerOptions,
  progress: Progress,
): Promise<void> {
  const { recordsMax = Number.POSITIVE_INFINITY, untilEnd = false } = options;
  const isGroup = "committed" in consumer;
  for await (const batch of consumer.batches()) {
    const left = recordsMax - writer.records;
    await writer.write(batch, left);
    // Nobody should wait for a record because others have not come yet; and what is committed is to be out.
    if (!untilEnd || isGroup) await writer.flush();
    if (isGroup && writer.records >= recordsMax) {
      const { topic, partition } = batch;
      const last = batch.records(left).at(-1);
      if (last !== undefined)
        await consumer.commit([{ topic, partition, offset: last.offset + 1 }]);
    }
    progress.records = writer.records;
    progress.bytes = writer.bytes;
    progress.update();
    if (writer.records >= recordsMax) break;
  }
  await writer.flush();
}

function outputFormat(args: Arguments): OutputFormat {
  const named = args.text("format");
  const kind = args.has("json") ? "json" : named === "value-only" ? "lines" : (named ?? "lines");
  const keySeparator = bytesOf(args, "key-separator");
  const separator = bytesOf(args, "separator");
  if (kind !== "lines" && (keySeparator ?? separator) !== null) {
    throw args.wrong(`--separator and --key-separator are for --format lines, not ${kind}`);
  }
  if (named === "value-only" && keySeparator !== null) {
    throw args.wrong("--key-separator prints keys, and --format value-only leaves them out");
  }
  return {
    kind: kind as OutputFormat["kind"],
    keySeparator,
    separator: kind === "raw" ? NO_BYTES : (separator ?? new Uint8Array([10])),
  };
}

function bytesOf(args: Arguments, name: string): Uint8Array | null {
  const text = args.text(name);
  if (text === undefined) return null;
  const bytes = separatorBytes(text);
  if (bytes !== null) return bytes;
  throw args.wrong(
    `--${name} has an unknown escape (\\n, \\t, \\r, \\0, \\\\ and \\xNN are known): found "${text}"`,
  );
}

function groupOptions(args: Arguments, topic: string): GroupConsumerOptions {
  const from = startOf(args);
  if (from !== "beginning" && from !== "end") {
    throw args.wrong(
      "--from is beginning or end with --group, which goes on where it was: `millrace group reset` moves it",
    );
  }
  if (args.list("partition").length > 0) {
    throw args.wrong("--partition is not for --group: its members share all partitions");
  }
  for (const name of ["group", "instance-id"]) {
    if (args.text(name) === "") throw args.wrong(`--${name} must be a name: found ""`);
  }
  if (args.has("follow") && args.has("until-end")) {
    throw args.wrong("Give --follow or --until-end, not both");
  }
  const recordsMax = args.whole("max", 0);
  const instanceId = args.text("instance-id");
  return {
    group: args.text("group")!,
    topics: [topic],
    protocol: (args.text("protocol") ?? "auto") as "auto",
    autoOffsetReset: from === "end" ? "latest" : "earliest",
    untilEnd: !args.has("follow") && (from !== "end" || args.has("until-end")),
    isolation: (args.text("isolation") ?? "read_uncommitted") as "read_uncommitted",
    waitMsMax: FOLLOW_WAIT_MS,
    ...(recordsMax === undefined ? {} : { recordsMax }),
    ...(instanceId === undefined ? {} : { instanceId }),
  };
}

function consumerOptions(args: Arguments, topic: string): ConsumerOptions {
  for (const name of ["protocol", "instance-id"]) {
    if (args.text(name) !== undefined)
      throw args.wrong(`--${name} is for members: give --group too`);
  }
  const from = startOf(args);
  const isFollowing = args.has("follow") || (from === "end" && !args.has("until-end"));
  if (args.has("follow") && args.has("until-end")) {
    throw args.wrong("Give --follow or --until-end, not both");
  }
  const partitions = args.list("partition").map((text): Assignment => {
    return { topic, partition: args.wholeOf("--partition", text, 0, 0x7fffffff) };
  });
  const recordsMax = args.whole("max", 0);
  return {
    ...(partitions.length > 0 ? { partitions } : { topics: [topic] }),
    from,
    untilEnd: !isFollowing,
    isolation: (args.text("isolation") ?? "read_uncommitted") as "read_uncommitted",
    // Retention may take the first records away while we read them; who asked for an offset wants that one.
    outOfRange: typeof from === "object" && "offset" in from ? "error" : "earliest",
    waitMsMax: FOLLOW_WAIT_MS,
    ...(recordsMax === undefined ? {} : { recordsMax }),
  };
}

function startOf(args: Arguments): StartAt {
  const text = args.text("from") ?? "beginning";
  if (text === "beginning" || text === "end") return text;
  // What Kafka's own settings call them.
  if (text === "earliest") return "beginning";
  if (text === "latest") return "end";
  if (/^-?\d+$/.test(text)) {
    const number = args.wholeOf("--from", text, -Number.MAX_SAFE_INTEGER);
    return number < 0 || text.startsWith("-") ? { lastOffsets: -number } : { offset: number };
  }
  const timestampMs = timeMsOf(text);
  if (timestampMs !== null) return { timestampMs };
  throw args.wrong(
    `--from must be beginning, end, an offset, -N or a time such as 2026-01-31T12:00:00Z: found "${text}"`,
  );
}
