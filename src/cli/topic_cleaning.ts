// What the cleaner has done to a compacted topic, and is doing, for `topic describe`: asked of the broker by a name that
// only ours answers to, so that of any other there is nothing to show.

import type { Client } from "../client/mod.ts";
import { countText, sizeText, table } from "./table.ts";

/** The row of DescribeConfigs that holds the figures, see src/core/broker/cleaning_answers.ts. */
const CLEANING = "millrace.cleaning";

/** One partition's figures, as the broker tells them; a later one may tell more. */
export interface PartitionCleaning {
  readonly partition: number;
  readonly cleanedEnd: number;
  readonly cleanBytes: number;
  readonly dirtyBytes: number;
  readonly dirtyRatio: number;
  readonly cleanings: number;
  readonly last: {
    readonly endedMs: number;
    readonly tookMs: number;
    readonly bytesBefore: number;
    readonly bytesAfter: number;
    readonly recordsBefore: number;
    readonly recordsAfter: number;
  } | null;
  readonly running: {
    readonly phase: string;
    readonly offset: number;
    readonly endOffset: number;
  } | null;
  readonly uncleanable: { readonly reason: string; readonly retryMs: number } | null;
}

/** Null where the topic is not compacted, or the broker is not ours. */
export async function cleaningOf(
  client: Client,
  topic: string,
): Promise<readonly PartitionCleaning[] | null> {
  const rows = await client.admin.describeConfigs({ type: "topic", name: topic }, [CLEANING]);
  const value = rows.find(({ name }) => name === CLEANING)?.value ?? null;
  return value === null ? null : (JSON.parse(value) as readonly PartitionCleaning[]);
}

/** A table, and a line for each partition that cannot be cleaned. */
export function cleaningText(partitions: readonly PartitionCleaning[]): string {
  const rows = partitions.map((each) => {
    const { last, running } = each;
    return [
      each.partition,
      `${Math.round(each.dirtyRatio * 100)}%`,
      sizeText(each.dirtyBytes),
      last === null ? "never" : new Date(last.endedMs).toISOString(),
      last === null ? "" : `${sizeText(last.bytesBefore)} to ${sizeText(last.bytesAfter)}`,
      last === null ? "" : `${countText(last.recordsBefore)} to ${countText(last.recordsAfter)}`,
      running === null ? "" : `${running.phase}, at ${running.offset} of ${running.endOffset}`,
    ];
  });
  const titles = ["PARTITION", "DIRTY", "BYTES", "LAST CLEANED", "BYTES", "RECORDS", "NOW"];
  const faults = partitions.flatMap(({ partition, uncleanable }) => {
    if (uncleanable === null) return [];
    const again = new Date(uncleanable.retryMs).toISOString();
    return [`partition ${partition} is not cleaned: ${uncleanable.reason}; next try ${again}\n`];
  });
  return `${table(titles, rows)}${faults.join("")}`;
}
