// Rounds of a run beside Apache Kafka: one side after another, each on fresh data, as often as asked for.
// Invariant: what has been measured is in the file of --json when a later round fails.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median, removeFolder, SIDES, type Side } from "./sides.ts";

/** The figures of one side in one round. */
export type Round = Partial<Record<string, number>>;
/** What each side showed in each round. */
export type Rounds = Partial<Record<Side, Round[]>>;

/** A folder for a run's data, below BENCH_DIR or the system's temporary one. */
export function runFolder(name: string): string {
  return mkdtempSync(join(process.env["BENCH_DIR"] ?? tmpdir(), `millrace-bench-${name}`));
}

/**
 * Measures every side in every round, tells standard error of each, and removes the run's folder at the end.
 *
 * @param flags As on the command line: a number, names with commas between them, where the figures go as JSON
 */
export async function inRounds(
  flags: { readonly rounds: string; readonly sides: string; readonly json?: string },
  folder: string,
  measure: (side: Side, n: number) => Promise<Round>,
): Promise<Rounds> {
  const rounds: Rounds = {};
  try {
    const sides = flags.sides.split(",").map((name) => {
      const side = SIDES.find((each) => each === name);
      if (side === undefined) throw new Error(`no side ${name}: there are ${SIDES.join(", ")}`);
      return side;
    });
    for (let n = 0; n < Number(flags.rounds); n++) {
      for (const side of sides) {
        const round = await measure(side, n);
        (rounds[side] ??= []).push(round);
        console.error(`round ${n + 1} ${side}: ${JSON.stringify(round)}`);
        if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(rounds)}\n`);
      }
    }
  } finally {
    removeFolder(folder);
  }
  return rounds;
}

/** A side's median of a figure; undefined where it has none. */
export type FigureOf = (side: Side, key: string) => number | undefined;

export function medianOf(rounds: Rounds): FigureOf {
  return (side, key) => {
    const all = (rounds[side] ?? []).map((round) => round[key]);
    return median(all.filter((each) => each !== undefined && !Number.isNaN(each)) as number[]);
  };
}
