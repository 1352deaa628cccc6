// `millrace table get`, `scan` and `watch`: a compacted topic as a table, its newest value by key.

import {
  type Client,
  ClientError,
  type Table,
  type TableChange,
  type TableEntry,
  type TableOptions,
} from "../../client/mod.ts";
import type { Arguments } from "../arguments.ts";
import { CommandError } from "../cli_error.ts";
import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, type Flag, JSON_FLAG } from "../flags.ts";
import { BrokenPipe, type CliHost } from "../host.ts";
import { jsonPayload, separatorBytes } from "../record_output.ts";
import { withClient } from "../session.ts";

type Entry = TableEntry<Uint8Array, Uint8Array>;

const KEEP: readonly Flag[] = [
  {
    name: "keep",
    value: "WHAT",
    summary: "values in memory, or offsets alone, with values read from the log (values)",
    choices: ["values", "offsets"],
  },
  { name: "bytes-max", value: "BYTES", summary: "of memory, e.g. 512m (128m)" },
  { name: "any-topic", summary: "take a topic that is not compacted, too" },
  {
    name: "isolation",
    value: "LEVEL",
    summary: "whether open transactions are shown (read_committed)",
    choices: ["read_committed", "read_uncommitted"],
  },
];
const PLAIN: readonly Flag[] = [
  { name: "key-separator", short: "k", value: "TEXT", summary: "between key and value (\\t)" },
];
const encoder = new TextEncoder();
const NEWLINE = new Uint8Array([10]);
const WRITE_BYTES = 256 * 1024;

export const get: Command = {
  name: "table get",
  summary: "print the newest value of a key",
  about: `The value comes out byte for byte, with a newline after it; --json prints one object that says where it lies, too.
Reads the whole topic, keeping offsets only unless told otherwise. Exit code 1 when the key has no value.`,
  positionals: [
    { name: "topic", summary: "which one" },
    { name: "key", summary: "as text" },
  ],
  flags: [JSON_FLAG, ...KEEP, ...CONNECTION_FLAGS],
  examples: [
    { command: "millrace table get users alice", says: "what alice has now" },
    { command: "millrace table get users alice --json", says: "with its partition and offset" },
  ],
  run(args, host) {
    const key = args.required("key");
    return withTable(args, host, "offsets", async (table) => {
      const entry = await table.entry(encoder.encode(key));
      if (entry === undefined) {
        const text = `Topic "${table.name}" has no value for the key ${JSON.stringify(key)}`;
        throw new CommandError("no_such_key", text);
      }
      if (args.has("json")) await host.print(`${jsonOf(table.name, entry)}\n`);
      else await host.output.write(joined([entry.value, NEWLINE]));
    });
  },
};

export const scan: Command = {
  name: "table scan",
  summary: "print keys with their newest values, in the order of keys",
  about: `Keys come in the order of their bytes, each with its value after a tab. --json prints one object a line.
Reads the whole topic first.`,
  positionals: [{ name: "topic", summary: "which one" }],
  flags: [
    { name: "prefix", value: "TEXT", summary: "only keys that begin so" },
    { name: "from", value: "KEY", summary: "the first key, inclusive" },
    { name: "to", value: "KEY", summary: "the last key, exclusive" },
    { name: "max", short: "n", value: "N", summary: "at most so many" },
    { name: "reverse", short: "r", summary: "the last key first" },
    ...PLAIN,
    JSON_FLAG,
    ...KEEP,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    { command: "millrace table scan users", says: "everything" },
    { command: "millrace table scan users --prefix al -n 10", says: "the first ten of some" },
    { command: "millrace table scan users | wc -l", says: "how many keys there are" },
  ],
  run(args, host) {
    if (args.text("prefix") !== undefined && (args.text("from") ?? args.text("to")) !== undefined) {
      throw args.wrong("--prefix goes without --from and --to");
    }
    const limit = args.whole("max", 0);
    const separator = separatorOf(args);
    return withTable(args, host, "values", async (table) => {
      const writer = new Writer(host);
      const options = {
        ...bytesIn(args, "prefix"),
        ...bytesIn(args, "from"),
        ...bytesIn(args, "to"),
        ...(limit === undefined ? {} : { limit }),
        reverse: args.has("reverse"),
      };
      for await (const entry of table.scan(options)) {
        if (host.interrupted.aborted) break;
        await writer.add(lineOf(args, separator, table.name, entry));
      }
      await writer.flush();
    });
  },
};

export const watch: Command = {
  name: "table watch",
  summary: "print changes of keys as they come",
  about: `Goes on until Ctrl-C. Each change is a line: + KEY, a tab, VALUE; or - KEY for one that was deleted. --json prints
one object a line, with what the key had before. Who reads slowly is told of a key that changed several times
once, with its newest value.`,
  positionals: [{ name: "topic", summary: "which one" }],
  flags: [
    { name: "key", value: "TEXT", summary: "only this key" },
    { name: "prefix", value: "TEXT", summary: "only keys that begin so" },
    { name: "snapshot", short: "s", summary: "begin with what is there" },
    { name: "max", short: "n", value: "N", summary: "end after so many changes" },
    ...PLAIN,
    JSON_FLAG,
    ...KEEP,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    { command: "millrace table watch users", says: "what changes from now on" },
    {
      command: "millrace table watch users --key alice --snapshot --json",
      says: "one key, in full",
    },
  ],
  run(args, host) {
    if (args.text("prefix") !== undefined && args.text("key") !== undefined) {
      throw args.wrong("--key and --prefix exclude each other");
    }
    const separator = separatorOf(args);
    let left = args.whole("max", 0) ?? Number.POSITIVE_INFINITY;
    return withTable(args, host, "values", async (table) => {
      const from = args.has("snapshot") ? "snapshot" : "now";
      const options = { ...bytesIn(args, "key"), ...bytesIn(args, "prefix"), from } as const;
      if (left === 0) return;
      for await (const change of table.watch({ ...options, signal: host.interrupted })) {
        if (change.type === "loaded") continue;
        await host.output.write(changeLine(args, separator, table.name, change));
        if (--left === 0) break;
      }
    });
  },
};

/** Opens the table that the words name, and closes it with its client. */
function withTable(
  args: Arguments,
  host: CliHost,
  keep: "values" | "offsets",
  work: (table: Table) => Promise<void>,
): Promise<number> {
  const topic = args.required("topic");
  const bytesMax = args.whole("bytes-max", 1);
  return withClient(args, host, async (client: Client) => {
    const table = await opened(client, topic, {
      keep: (args.text("keep") as typeof keep | undefined) ?? keep,
      isolation: (args.text("isolation") as "read_committed" | undefined) ?? "read_committed",
      mayBeUncompacted: args.has("any-topic"),
      ...(bytesMax === undefined ? {} : { bytesMax }),
    });
    const onInterrupt = () => void table.close();
    host.interrupted.addEventListener("abort", onInterrupt, { once: true });
    try {
      await work(table);
    } catch (error) {
      if (error instanceof ClientError && error.code === "buffer_full") {
        const text = `${error.message.replace(/: raise .*$/, "")}: give more with --bytes-max`;
        throw new CommandError(error.code, text);
      }
      // Whoever read has had enough, as `head` does; or asked for the end.
      if (!(error instanceof BrokenPipe) && !host.interrupted.aborted) throw error;
    } finally {
      host.interrupted.removeEventListener("abort", onInterrupt);
      await table.close();
    }
    return 0;
  });
}

/** The same with the way out of it. */
async function opened(client: Client, topic: string, options: TableOptions): Promise<Table> {
  try {
    return (await client.table(topic, options)) as Table;
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== "invalid_config") throw error;
    const text = `Topic "${topic}" is not compacted, and retention takes its keys: \`millrace topic alter ${topic} --config cleanup.policy=compact\`, or --any-topic`;
    throw new CommandError(error.code, text, { cause: error });
  }
}

/** Lines gathered into large writes. */
class Writer {
  readonly #host: CliHost;
  #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(host: CliHost) {
    this.#host = host;
  }

  async add(line: Uint8Array): Promise<void> {
    this.#parts.push(line);
    this.#bytes += line.length;
    if (this.#bytes >= WRITE_BYTES) await this.flush();
  }

  async flush(): Promise<void> {
    const bytes = joined(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    if (bytes.length > 0) await this.#host.output.write(bytes);
  }
}

function separatorOf(args: Arguments): Uint8Array {
  const text = args.text("key-separator") ?? "\\t";
  const bytes = separatorBytes(text);
  if (bytes === null) throw args.wrong(`--key-separator has an unknown escape: found "${text}"`);
  return bytes;
}

function bytesIn<N extends string>(args: Arguments, name: N): { [name in N]?: Uint8Array } {
  const text = args.text(name);
  return (text === undefined ? {} : { [name]: encoder.encode(text) }) as {
    [name in N]?: Uint8Array;
  };
}

function lineOf(args: Arguments, separator: Uint8Array, topic: string, entry: Entry): Uint8Array {
  if (args.has("json")) return encoder.encode(`${jsonOf(topic, entry)}\n`);
  return joined([entry.key, separator, entry.value, NEWLINE]);
}

function changeLine(
  args: Arguments,
  separator: Uint8Array,
  topic: string,
  change: Exclude<TableChange<Uint8Array, Uint8Array>, { type: "loaded" }>,
): Uint8Array {
  if (args.has("json")) {
    const old = change.old === undefined ? null : jsonPayload(change.old);
    const was = { type: change.type, old, isOldKnown: change.isOldKnown };
    const own =
      change.type === "put"
        ? objectOf(topic, change)
        : { topic, key: jsonPayload(change.key), value: null };
    return encoder.encode(`${JSON.stringify({ ...was, ...own })}\n`);
  }
  if (change.type === "delete") return joined([encoder.encode("- "), change.key, NEWLINE]);
  return joined([encoder.encode("+ "), change.key, separator, change.value, NEWLINE]);
}

function objectOf(topic: string, { key, value, partition, offset, timestampMs }: Entry): object {
  return {
    topic,
    partition,
    offset,
    timestamp: timestampMs,
    key: jsonPayload(key),
    value: jsonPayload(value),
  };
}

function jsonOf(topic: string, entry: Entry): string {
  return JSON.stringify(objectOf(topic, entry));
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
