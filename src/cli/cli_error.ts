// How a command ends early: told wrongly (exit code 2), or not able to (exit code 1).

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  /** Whose help to point to: "topic create". */
  readonly command: string;

  constructor(message: string, command = "") {
    super(message);
    this.command = command;
  }
}

/** The command could not do what it was told: exit code 1. The message names the fix. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  /** For programs: Kafka's name of the refusal, or a word of ours. */
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
