// Help as text: of the whole program, and of one command.
// Invariant: every command shows its flags and at least one example that can be pasted.

import type { Command, CommandEntry } from "./command.ts";
import { type Flag, HELP_FLAG } from "./flags.ts";

/** `millrace help`: what there is, and the first five minutes. */
export function programHelp(entries: readonly CommandEntry[]): string {
  const rows = entries.map(({ name, summary }) => [name, summary] as const);
  return `Millrace, a Kafka-compatible event log.

Usage: millrace COMMAND [flags]      millrace COMMAND --help

Commands:
${columns(rows)}

The first round trip:
  millrace start                                 in one terminal: a broker on 127.0.0.1:9092
  millrace topic create hello                    in another: a topic
  echo "one line is one record" | millrace produce hello
  millrace consume hello                         prints it, and ends where the topic ends
  millrace consume hello --follow                prints it, and what comes, until Ctrl-C

Files and pipes:
  millrace produce hello --file access.log
  millrace consume hello --output copy.log       byte for byte the same, where the topic has one partition
  millrace consume hello --format json | head -3

Sharing the work:
  millrace consume hello --group billing --follow   several of these read one part of the topic each, and go on
  millrace group lag billing                        where the group left off; this shows how far it is behind

Any Kafka broker will do: --bootstrap HOST:PORT, or MILLRACE_BOOTSTRAP=HOST:PORT.
Exit codes: 0 done, 1 it failed, 2 the command line is wrong. --json prints for programs.
`;
}

/** Help of one command. */
export function commandHelp(command: Command): string {
  const words = (command.positionals ?? []).map((each) => {
    const name = each.name.toUpperCase() + (each.isList === true ? "..." : "");
    return each.isOptional === true ? `[${name}]` : name;
  });
  const parts = [
    `${sentence(command.summary)}\n\nUsage: millrace ${[command.name, ...words].join(" ")} [flags]\n`,
  ];
  if (command.about !== undefined) parts.push(`${command.about.trim()}\n`);
  const positionals = (command.positionals ?? []).map((each) => {
    return [each.name.toUpperCase(), each.summary] as const;
  });
  if (positionals.length > 0) parts.push(`${columns(positionals)}\n`);
  const flags = [...command.flags, HELP_FLAG].map((flag) => [flagText(flag), about(flag)] as const);
  parts.push(`Flags:\n${columns(flags)}\n`);
  const examples = command.examples.map(({ says, command: line }) => `  # ${says}\n  ${line}\n`);
  parts.push(`Examples:\n${examples.join("\n")}`);
  return parts.join("\n");
}

/** `millrace topic`: the commands of a group. */
export function groupHelp(group: string, entries: readonly CommandEntry[]): string {
  const rows = entries.map(({ name, summary }) => [name, summary] as const);
  return `Usage: millrace ${group} COMMAND\n\n${columns(rows)}\n\nMore: millrace ${group} COMMAND --help\n`;
}

function flagText(flag: Flag): string {
  const short = flag.short === undefined ? "    " : `-${flag.short}, `;
  return `${short}--${flag.name}${flag.value === undefined ? "" : ` ${flag.value}`}`;
}

function about(flag: Flag): string {
  const choices = flag.choices === undefined ? "" : `: ${flag.choices.join(", ")}`;
  return `${flag.summary}${choices}${flag.isList === true ? "; may be repeated" : ""}`;
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join("\n");
}

function sentence(text: string): string {
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}
