// The one error of configuration: which key, what was found, what is wanted.
// Invariant: each problem is one sentence on one line; the program prints the first and exits with 2.

export class ConfigError extends Error {
  /** Everything that is wrong, one sentence each. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[] | string, options?: { cause?: unknown }) {
    const all = typeof problems === "string" ? [problems] : problems;
    const more = all.length > 1 ? ` (and ${all.length - 1} more: millrace config check)` : "";
    super(`${all[0]}${more}`, options);
    this.name = "ConfigError";
    this.problems = all;
  }
}
