// How far a group is behind: in offsets, and in time, which is what people ask for.
// Invariant: time is that between the next record to read and the newest one, by their own timestamps; a partition
// that was read to its end is 0 behind, whatever the clock says.

import type { Client, CommittedOffset, GroupDescription, TopicPartition } from "../client/mod.ts";

/** A partition of a group as it stands. */
export interface PartitionLag extends TopicPartition {
  /** Null where nothing is committed. */
  readonly committed: number | null;
  /** Null where the partition has gone, or its leader did not tell. */
  readonly start: number | null;
  readonly end: number | null;
  /** Offsets up to the end; from the start on where nothing is committed. Null where the end is not known. */
  readonly lag: number | null;
  /** Null unless it was asked for, or where it is not known. */
  readonly lagSeconds: number | null;
  /** Who reads it now. */
  readonly memberId: string | null;
  readonly metadata: string | null;
}

/** How long the look at the records may take, in ms. */
const LOOK_MS = 10_000;

/** The partitions that a group has committed or reads now, by place. */
export async function lagOf(
  client: Client,
  group: GroupDescription | null,
  committed: readonly CommittedOffset[],
  withSeconds: boolean,
): Promise<readonly PartitionLag[]> {
  const places = new Map<string, TopicPartition>();
  const readers = new Map<string, string>();
  for (const { memberId, assignment } of group?.members ?? []) {
    for (const place of assignment) {
      places.set(keyOf(place), place);
      readers.set(keyOf(place), memberId);
    }
  }
  for (const place of committed) places.set(keyOf(place), place);
  const offsets = new Map(committed.map((each) => [keyOf(each), each]));
  const sorted = [...places.values()].sort((a, b) =>
    a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1,
  );
  const ends = await boundsOf(client, sorted);
  const rows = sorted.map(({ topic, partition }, at): PartitionLag => {
    const known = offsets.get(keyOf({ topic, partition }));
    const offset = known?.offset ?? null;
    const { start, end } = ends[at]!;
    const from = Math.max(offset ?? 0, start ?? 0);
    return {
      topic,
      partition,
      committed: offset,
      start,
      end,
      lag: end === null ? null : Math.max(end - from, 0),
      lagSeconds: null,
      memberId: readers.get(keyOf({ topic, partition })) ?? null,
      metadata: known?.metadata ?? null,
    };
  });
  if (!withSeconds) return rows;
  const seconds = await secondsBehind(client, rows);
  return rows.map((row) => {
    const lagSeconds = row.lag === 0 ? 0 : (seconds.get(keyOf(row)) ?? null);
    return { ...row, lagSeconds };
  });
}

/** First and next offset of partitions, null where nobody tells. */
export async function boundsOf(
  client: Client,
  places: readonly TopicPartition[],
): Promise<readonly { readonly start: number | null; readonly end: number | null }[]> {
  const queries = places.flatMap(({ topic, partition }) =>
    (["earliest", "latest"] as const).map((at) => ({ topic, partition, at })),
  );
  const outcomes = await client.admin.offsets(queries);
  const found = outcomes.map((outcome) => (outcome.ok ? outcome.value.offset : null));
  return places.map((_, at) => ({ start: found[2 * at] ?? null, end: found[2 * at + 1] ?? null }));
}

/** From the next record of each partition to its newest, in seconds. */
async function secondsBehind(
  client: Client,
  rows: readonly PartitionLag[],
): Promise<ReadonlyMap<string, number>> {
  const behind = rows.filter(({ lag }) => lag !== null && lag > 0);
  const seconds = new Map<string, number>();
  if (behind.length === 0) return seconds;
  const queries = behind.map(({ topic, partition }) => {
    return { topic, partition, at: "max_timestamp" as const };
  });
  const outcomes = await client.admin.offsets(queries);
  const newest = new Map<string, number>();
  for (const [at, outcome] of outcomes.entries()) {
    if (outcome.ok && outcome.value.timestampMs >= 0) {
      newest.set(keyOf(behind[at]!), outcome.value.timestampMs);
    }
  }
  const next = await timesOfNext(client, behind);
  for (const row of behind) {
    const newestMs = newest.get(keyOf(row));
    const nextMs = next.get(keyOf(row));
    if (newestMs === undefined || nextMs === undefined || nextMs < 0) continue;
    seconds.set(keyOf(row), Math.max(newestMs - nextMs, 0) / 1000);
  }
  return seconds;
}

/** The timestamp of the record that the group would read next, by partition. */
async function timesOfNext(
  client: Client,
  rows: readonly PartitionLag[],
): Promise<ReadonlyMap<string, number>> {
  const times = new Map<string, number>();
  const ending = new AbortController();
  const timer = setTimeout(() => ending.abort(), LOOK_MS);
  const consumer = client.consumer({
    partitions: rows.map(({ topic, partition, committed, start }) => ({
      topic,
      partition,
      from: { offset: Math.max(committed ?? 0, start ?? 0) },
    })),
    // What compaction or an abort took away is passed over; where nothing is left, the end ends it.
    untilEnd: true,
    outOfRange: "earliest",
    bytesMax: 1024 * 1024,
    bufferBytesMax: 1024 * 1024,
    signal: ending.signal,
  });
  try {
    for await (const batch of consumer.batches()) {
      const [first] = batch.records(1);
      if (first === undefined) continue;
      if (!times.has(keyOf(batch))) times.set(keyOf(batch), first.timestampMs);
      if (times.size === rows.length) break;
      // The rest of this one would only hold the others up: it counts as read to its end.
      consumer.seek(batch.topic, batch.partition, Number.MAX_SAFE_INTEGER);
    }
  } finally {
    clearTimeout(timer);
    consumer.close();
  }
  return times;
}

/** "12 s", "3 min 5 s", "2 h 10 min", "4 d 3 h". */
export function durationText(seconds: number): string {
  const whole = Math.round(seconds);
  if (seconds > 0 && whole === 0) return "<1 s";
  const parts: readonly (readonly [number, string])[] = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const first = parts.findIndex(([size]) => whole >= size);
  if (first < 0) return "0 s";
  let left = whole;
  const words: string[] = [];
  for (const [size, name] of parts.slice(first, first + 2)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) words.push(`${count} ${name}`);
  }
  return words.join(" ");
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}
