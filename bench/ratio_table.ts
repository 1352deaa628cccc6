// Tables of medians and ratios to Kafka, each beside the bar it is held to.
import type { FigureOf } from "./rounds.ts";
import { show } from "./sides.ts";

export interface Row {
  readonly key: string;
  readonly label: string;
  /** +1: more is better; -1: less is better. */
  readonly better: 1 | -1;
  /** Of the ratio to Kafka as it comes: at least, or at most. */
  readonly bar?: number;
  /** Of the figure itself: at least, or at most. */
  readonly limit?: number;
  /** Of the figure itself: less than that. */
  readonly below?: number;
  /** No ratio to Kafka's is shown. */
  readonly standsAlone?: true;
}

const mark = (holds: boolean) => (holds ? "✓" : "✗");

/** A figure, or a ratio, beside its bar. */
function held(value: number, unit: string, better: 1 | -1, bar: number | undefined): string {
  if (bar === undefined) return `${show(value)}${unit}`;
  const holds = better > 0 ? value >= bar : value <= bar;
  return `${show(value)}${unit} (${better > 0 ? "≥" : "≤"} ${bar}) ${mark(holds)}`;
}

/** Ours by theirs beside its bar; a dash where there is no such ratio. */
export function ratioCell(
  ours: number | undefined,
  theirs: number | undefined,
  better: 1 | -1,
  bar: number | undefined,
): string {
  if (ours === undefined || theirs === undefined || theirs === 0) return "–";
  return held(ours / theirs, "×", better, bar);
}

function figureCell(ours: number | undefined, { better, limit, below }: Row): string {
  if (ours === undefined) return show(ours);
  if (below !== undefined) return `${show(ours)} (< ${below}) ${mark(ours < below)}`;
  return held(ours, "", better, limit);
}

/** @param hasFsync Whether there is a column of Kafka with fsync */
export function tableOf(rows: readonly Row[], of: FigureOf, hasFsync = true): string {
  const heads = ["figure (median)", "Kafka", ...(hasFsync ? ["Kafka, fsync"] : [])];
  heads.push("Millrace, Bun", "to Kafka", "Millrace, Deno", "to Kafka");
  const lines = [`| ${heads.join(" | ")} |`, `| --- |${" ---: |".repeat(heads.length - 1)}`];
  for (const row of rows) {
    const { key, label, better, bar, standsAlone } = row;
    const kafka = of("kafka", key);
    const cells = [show(kafka), ...(hasFsync ? [show(of("kafka-fsync", key))] : [])];
    for (const side of ["millrace-bun", "millrace-deno"] as const) {
      const ours = of(side, key);
      cells.push(figureCell(ours, row), standsAlone ? "–" : ratioCell(ours, kafka, better, bar));
    }
    lines.push(`| ${label} | ${cells.join(" | ")} |`);
  }
  return lines.join("\n");
}
