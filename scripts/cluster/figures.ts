// What failures cost, in figures: how long a partition acknowledged nothing after one, how long a controlled shutdown took, how
// many writes failed. Of a partition counts the first record that was sent after the failure and acknowledged.

import type { History } from "./history.ts";

/** Something that befell the cluster, and which partitions it could touch. */
export interface Blow {
  readonly kind: string;
  readonly atMs: number;
  /** Places that the broker led just before. */
  readonly led: ReadonlySet<string>;
}

export interface Spread {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** @returns undefined for none */
export function spreadOf(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]!;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted.at(-1)! };
}

/** Each blow and partition: until a record that was sent after the blow was acknowledged. */
export function recoveries(
  history: History,
  blows: readonly Blow[],
): { kind: string; led: number[]; others: number[]; never: number }[] {
  // By place, by when they were sent: the soonest acknowledgement of this record and of all after it.
  const answers = new Map<string, { sentMs: number; ackedMs: number }[]>();
  for (const [place, { sent }] of history.partitions) {
    const all: { sentMs: number; ackedMs: number }[] = [];
    for (const each of sent.values()) {
      // A record in a transaction says less: it waits for the coordinator as well.
      if (each.transaction === 0 && each.ackedMs >= 0) {
        all.push({ sentMs: each.atMs, ackedMs: each.ackedMs });
      }
    }
    all.sort((a, b) => a.sentMs - b.sentMs);
    for (let i = all.length - 2; i >= 0; i--) {
      all[i]!.ackedMs = Math.min(all[i]!.ackedMs, all[i + 1]!.ackedMs);
    }
    if (all.length > 0) answers.set(place, all);
  }
  const kinds = new Map<string, { led: number[]; others: number[]; never: number }>();
  for (const blow of blows) {
    const of = kinds.get(blow.kind) ?? { led: [], others: [], never: 0 };
    kinds.set(blow.kind, of);
    for (const [place, all] of answers) {
      const next = all.find(({ sentMs }) => sentMs > blow.atMs);
      if (next === undefined) of.never++;
      else (blow.led.has(place) ? of.led : of.others).push(next.ackedMs - blow.atMs);
    }
  }
  return [...kinds].map(([kind, of]) => ({ kind, ...of }));
}

/** Writes that were given back to the application as failed; those of transactions are aborted and tried again, so not counted. */
export function failedWrites(history: History): { failed: number; acknowledged: number } {
  let failed = 0;
  let acknowledged = 0;
  for (const { sent } of history.partitions.values()) {
    for (const each of sent.values()) {
      if (each.ackedMs >= 0) acknowledged++;
      else if (each.transaction === 0 && each.failure !== "") failed++;
    }
  }
  return { failed, acknowledged };
}

const ms = (spread: Spread | undefined): string =>
  spread === undefined
    ? "— | — | — | —"
    : `${spread.count} | ${Math.round(spread.p50)} | ${Math.round(spread.p99)} | ${Math.round(spread.max)}`;

/** What failures cost, as lines of a table: partitions that the broker led, and those that it did not. */
export function chaosTable(
  history: History,
  blows: readonly Blow[],
  shutdowns: readonly { readonly ms: number; readonly code: number | null }[],
): string[] {
  const lines = [
    "# ms from the blow to the next record sent and acknowledged, by partition",
    "| blow | times | led by it | p50 | p99 | max | led by others | p50 | p99 | max | never again |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
  ];
  const all = recoveries(history, blows).sort((a, b) => a.kind.localeCompare(b.kind));
  for (const { kind, led, others, never } of all) {
    const times = blows.filter((blow) => blow.kind === kind).length;
    const spreads = `${ms(spreadOf(led))} | ${ms(spreadOf(others))}`;
    lines.push(`| ${kind} | ${times} | ${spreads} | ${never} |`);
  }
  const shut = spreadOf(shutdowns.map((each) => each.ms));
  const killed = shutdowns.filter(({ code }) => code === null).length;
  lines.push(
    "| | times | p50 | p99 | max | had to be killed |",
    "| --- | --- | --- | --- | --- | --- |",
    `| controlled shutdown, ms | ${ms(shut)} | ${killed} |`,
  );
  const { failed, acknowledged } = failedWrites(history);
  lines.push(`# ${acknowledged} writes acknowledged, ${failed} failed`);
  return lines;
}
