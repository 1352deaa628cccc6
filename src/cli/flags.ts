// The words a command takes, as data: positionals and flags, and those that many commands share.

export interface Flag {
  readonly name: string;
  readonly short?: string;
  /** What stands for its value in help; a flag without one is a switch. */
  readonly value?: string;
  /** One line. */
  readonly summary: string;
  readonly choices?: readonly string[];
  /** May be given several times. */
  readonly isList?: true;
}

export interface Positional {
  readonly name: string;
  readonly summary: string;
  readonly isOptional?: true;
  /** Takes all words that are left. */
  readonly isList?: true;
}

/** What follows a command's name. */
export interface Words {
  /** Words after `millrace`: "topic create". */
  readonly name: string;
  readonly positionals?: readonly Positional[];
  readonly flags: readonly Flag[];
}

/** Flags of every command that talks to a broker. */
export const CONNECTION_FLAGS: readonly Flag[] = [
  {
    name: "bootstrap",
    short: "b",
    value: "HOST:PORT",
    summary:
      "a broker of the cluster, several with commas, or kafka://… (127.0.0.1:9092, or MILLRACE_BOOTSTRAP)",
  },
  { name: "timeout", value: "SECONDS", summary: "give up after so long (30)" },
  { name: "user", value: "NAME", summary: "who to log in as (MILLRACE_USER)" },
  {
    name: "token-file",
    value: "PATH",
    summary: "a file with the token of that user (or MILLRACE_TOKEN with the token itself)",
  },
];

export const JSON_FLAG: Flag = { name: "json", summary: "print JSON for programs" };
export const HELP_FLAG: Flag = { name: "help", short: "h", summary: "show this help" };
