// Tables of medians and ratios to Kafka, for the runs with rows of their own, and where they go in RESULTS.md.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { median, type Side, show } from "./sides.ts";

export interface Row {
  readonly key: string;
  readonly label: string;
  /** +1: more is better; -1: less is better. */
  readonly better: 1 | -1;
  /** Of the ratio to Kafka as it comes: at least, or at most. */
  readonly bar?: number;
  /** Of the figure itself. */
  readonly limit?: number;
}

/** A side's median of a figure; undefined where it has none. */
export type FigureOf = (side: Side, key: string) => number | undefined;

export function medianOf(
  rounds: Partial<Record<Side, readonly Partial<Record<string, number>>[]>>,
): FigureOf {
  return (side, key) =>
    median((rounds[side] ?? []).map((each) => each[key]).filter((each) => each !== undefined));
}

const mark = (holds: boolean) => (holds ? "✓" : "✗");

/** A figure, or a ratio, beside its bar. */
function held(value: number, unit: string, better: 1 | -1, bar: number | undefined): string {
  if (bar === undefined) return `${show(value)}${unit}`;
  const holds = better > 0 ? value >= bar : value <= bar;
  return `${show(value)}${unit} (${better > 0 ? "≥" : "≤"} ${bar}) ${mark(holds)}`;
}

export function tableOf(rows: readonly Row[], of: FigureOf): string {
  const lines = [
    "| figure (median) | Kafka | Kafka, fsync | Millrace, Bun | to Kafka | Millrace, Deno | to Kafka |",
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
  ];
  for (const { key, label, better, bar, limit } of rows) {
    const kafka = of("kafka", key);
    const fsync = of("kafka-fsync", key);
    const shown = (value: number | undefined) =>
      value === undefined ? show(value) : held(value, "", better, limit);
    const cells = [show(kafka), show(fsync)];
    for (const side of ["millrace-bun", "millrace-deno"] as const) {
      const ours = of(side, key);
      cells.push(shown(ours));
      if (ours === undefined || kafka === undefined || kafka === 0) cells.push("–");
      else cells.push(held(ours / kafka, "×", better, bar));
    }
    lines.push(`| ${label} | ${cells.join(" | ")} |`);
  }
  return lines.join("\n");
}

/** Puts a table between its markers in RESULTS.md. */
export function writeTable(name: string, text: string): void {
  const file = join(import.meta.dirname, "RESULTS.md");
  const old = readFileSync(file, "utf8");
  const [open, close] = [`<!-- ${name} -->`, "<!-- end -->"];
  const from = old.indexOf(open);
  const to = old.indexOf(close, from);
  if (from < 0 || to < 0) throw new Error(`${file} has lost its markers of ${name}`);
  writeFileSync(file, `${old.slice(0, from + open.length)}\n${text}\n${old.slice(to)}`);
}
