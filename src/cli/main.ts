// Every command but `start`: finds it, reads its words, runs it, and turns what goes wrong into one line and
// an exit code: 0 done, 1 failed, 2 told wrongly, 130 interrupted.
// Invariant: a command's code is loaded when it is called, so that one never pays for the others.

import { nearestKey } from "../config/nearest_key.ts";
import { readArguments } from "./arguments.ts";
import { CommandError, UsageError } from "./cli_error.ts";
import type { Command, CommandEntry } from "./command.ts";
import { commandHelp, groupHelp, programHelp } from "./help.ts";
import { BrokenPipe, type CliHost, processHost } from "./host.ts";

/** Every command but `start`. */
export const commands: readonly CommandEntry[] = [
  entry("topic create", "make a topic", async () => {
    return (await import("./commands/topic_create.ts")).command;
  }),
  entry("topic list", "show the topics", async () => {
    return (await import("./commands/topic_list.ts")).command;
  }),
  entry("topic describe", "show a topic's partitions, offsets and settings", async () => {
    return (await import("./commands/topic_describe.ts")).command;
  }),
  entry("topic alter", "change a topic's settings, or give it more partitions", async () => {
    return (await import("./commands/topic_alter.ts")).command;
  }),
  entry("topic delete", "remove topics with all their records", async () => {
    return (await import("./commands/topic_delete.ts")).command;
  }),
  entry("produce", "send records from a file, a pipe or the keyboard", async () => {
    return (await import("./commands/produce.ts")).command;
  }),
  entry("consume", "print or save the records of a topic", async () => {
    return (await import("./commands/consume.ts")).command;
  }),
  entry("table get", "print the newest value of a key", async () => {
    return (await import("./commands/table.ts")).get;
  }),
  entry("table scan", "print keys with their newest values, in the order of keys", async () => {
    return (await import("./commands/table.ts")).scan;
  }),
  entry("table watch", "print changes of keys as they come", async () => {
    return (await import("./commands/table.ts")).watch;
  }),
  entry("group list", "show the consumer groups", async () => {
    return (await import("./commands/group_list.ts")).command;
  }),
  entry("group describe", "show a group's state, offsets and members", async () => {
    return (await import("./commands/group_describe.ts")).command;
  }),
  entry("group lag", "show how far a group is behind, in records and in seconds", async () => {
    return (await import("./commands/group_lag.ts")).command;
  }),
  entry("group reset", "move a group's committed offsets", async () => {
    return (await import("./commands/group_reset.ts")).command;
  }),
  entry("group delete", "remove groups with their committed offsets", async () => {
    return (await import("./commands/group_delete.ts")).command;
  }),
  entry("group export", "save a group's committed offsets", async () => {
    return (await import("./commands/group_export.ts")).exportCommand;
  }),
  entry("group import", "commit offsets for a group from a file", async () => {
    return (await import("./commands/group_export.ts")).importCommand;
  }),
  entry("transaction list", "show the transactional ids and their states", async () => {
    return (await import("./commands/transaction_list.ts")).command;
  }),
  entry("transaction describe", "show what is open under a transactional id", async () => {
    return (await import("./commands/transaction_describe.ts")).command;
  }),
  entry(
    "transaction abort",
    "end a transaction that somebody left open, or that hangs",
    async () => {
      return (await import("./commands/transaction_abort.ts")).command;
    },
  ),
  entry("transaction find-hanging", "show transactions that nobody will ever end", async () => {
    return (await import("./commands/transaction_find_hanging.ts")).command;
  }),
  entry("cluster start", "start several brokers on this machine, to see a cluster", async () => {
    return (await import("./commands/cluster_start.ts")).command;
  }),
  entry("cluster describe", "show the cluster and its brokers", async () => {
    return (await import("./commands/cluster_describe.ts")).command;
  }),
  entry("cluster status", "show what brokers lead and hold, and what is out of sync", async () => {
    return (await import("./commands/cluster_status.ts")).command;
  }),
  entry("cluster move", "put replicas of topics or partitions on other brokers", async () => {
    return (await import("./commands/cluster_move.ts")).move;
  }),
  entry("cluster drain", "take every replica off a broker", async () => {
    return (await import("./commands/cluster_move.ts")).drain;
  }),
  entry("cluster rebalance", "even out replicas and leaders over the brokers", async () => {
    return (await import("./commands/cluster_move.ts")).rebalance;
  }),
  entry("cluster elect", "give leadership back, or elect where nobody leads", async () => {
    return (await import("./commands/cluster_elect.ts")).elect;
  }),
  entry("cluster unregister", "forget a broker that is gone for good", async () => {
    return (await import("./commands/cluster_elect.ts")).unregister;
  }),
  entry("config check", "check a config file without starting anything", async () => {
    return (await import("./commands/config.ts")).check;
  }),
  entry(
    "config print",
    "show what a start would use, and where each value comes from",
    async () => {
      return (await import("./commands/config_print.ts")).print;
    },
  ),
  entry("config schema", "print the JSON Schema of the config file, for editors", async () => {
    return (await import("./commands/config.ts")).schema;
  }),
  entry("token create", "make a token, and the lines of the config that let it in", async () => {
    return (await import("./commands/token.ts")).create;
  }),
  entry("token hash", "print the hash of a token, read from standard input", async () => {
    return (await import("./commands/token.ts")).hash;
  }),
  entry("version", "print the version, and that of the runtime", async () => {
    return (await import("./commands/version.ts")).command;
  }),
];
/** In help, and where a misspelt word may belong; main.ts runs it. */
const START = { name: "start", summary: "start a broker (this is what `millrace` alone does)" };
const LISTED = [START, ...commands] as readonly CommandEntry[];

function entry(name: string, summary: string, load: () => Promise<Command>): CommandEntry {
  return { name, summary, load };
}

/**
 * Runs one command.
 *
 * @param argv The words after the program's name.
 * @returns The exit code.
 */
export async function runCli(
  argv: readonly string[],
  host: CliHost = processHost(),
): Promise<number> {
  try {
    return await dispatch(argv, host);
  } catch (error) {
    return report(error, argv, host);
  }
}

async function dispatch(argv: readonly string[], host: CliHost): Promise<number> {
  const [first, second] = argv;
  if (first === "help") {
    const words = argv.slice(1);
    return words.length === 0 ? showHelp(host) : dispatch([...words, "--help"], host);
  }
  if (first === undefined || first === "--help" || first === "-h") return showHelp(host);
  if (first === "--version") return dispatch(["version", ...argv.slice(1)], host);
  if (first === "start")
    throw new UsageError("`millrace start --help` shows how a broker is started");
  const found = commands.find(({ name }) => name === first || name === `${first} ${second}`);
  if (found !== undefined) {
    const command = await found.load();
    const words = argv.slice(found.name.split(" ").length);
    const args = readArguments(command, words);
    if (!args.has("help")) return command.run(args, host);
    await host.print(commandHelp(command));
    return 0;
  }
  const group = commands.filter(({ name }) => name.startsWith(`${first} `));
  if (group.length === 0) throw unknownCommand(first);
  if (second === "--help" || second === "-h") {
    await host.print(groupHelp(first, group));
    return 0;
  }
  if (second === undefined || second.startsWith("-")) {
    throw new UsageError(`${first} needs a command: ${lastWords(group)}`, first);
  }
  const nearest = nearestWord(second, group.map(lastWord));
  const hint = nearest === null ? `known are ${lastWords(group)}` : `did you mean "${nearest}"?`;
  throw new UsageError(`Unknown command "${first} ${second}": ${hint}`, first);
}

async function showHelp(host: CliHost): Promise<number> {
  await host.print(programHelp(LISTED));
  return 0;
}

function unknownCommand(word: string): UsageError {
  const firsts = [...new Set(LISTED.map(({ name }) => name.split(" ")[0]!))];
  const nearest = nearestWord(word, firsts);
  if (nearest !== null)
    return new UsageError(`Unknown command "${word}": did you mean "${nearest}"?`);
  // `millrace create` may have meant `millrace topic create`.
  const deeper = commands.find((each) => lastWord(each) === word);
  return new UsageError(
    deeper === undefined
      ? `Unknown command "${word}"`
      : `Unknown command "${word}": did you mean "${deeper.name}"?`,
  );
}

/** The nearest name; two letters in each other's place are one slip, not two. */
function nearestWord(word: string, names: readonly string[]): string | null {
  const letters = (text: string) => [...text.toLowerCase()].sort().join("");
  const anagram = names.find((name) => letters(name) === letters(word));
  return nearestKey(word, names) ?? anagram ?? null;
}

function lastWord({ name }: CommandEntry): string {
  return name.split(" ").at(-1)!;
}

function lastWords(entries: readonly CommandEntry[]): string {
  return entries.map(lastWord).join(", ");
}

function report(error: unknown, argv: readonly string[], host: CliHost): number {
  if (error instanceof BrokenPipe) return 0;
  const isJson = argv.includes("--json");
  if (error instanceof UsageError) {
    tell(host, isJson, "usage", error.message);
    if (!isJson) {
      host.tell(`See: millrace ${error.command === "" ? "help" : `${error.command} --help`}\n`);
    }
    return 2;
  }
  const { name, message } = error as Partial<Error>;
  if (name === "ConfigError") {
    tell(host, isJson, "config", message!);
    return 2;
  }
  if (error instanceof CommandError) {
    tell(host, isJson, error.code, message!);
    return 1;
  }
  tell(host, isJson, "unexpected", message ?? String(error));
  // Something nobody foresaw: the place in the code is what a report needs.
  if (!isJson && error instanceof Error) host.tell(`${error.stack ?? ""}\n`);
  return 1;
}

function tell(host: CliHost, isJson: boolean, code: string, message: string): void {
  const text = message.replaceAll(/\s*\n\s*/g, " ");
  host.tell(
    isJson ? `${JSON.stringify({ error: { code, message: text } })}\n` : `millrace: ${text}\n`,
  );
}
