// What makes an output one that has each input exactly once: inputs are numbered from 0, those of a partition rise, and records of
// a transaction that was to be committed begin with "c:".

/** A record as a reader saw it. */
export interface Seen {
  readonly partition: number;
  readonly offset: number;
  readonly value: string;
}

/** What is wrong with what a reader saw; null when nothing is. */
export function faultOf(seen: readonly Seen[], inputs: number, partitions: number): string | null {
  const times = new Map<string, number>();
  const last = new Array<number>(partitions).fill(-1);
  for (const { partition, value } of seen) {
    if (!value.startsWith("c:")) return `${value} was aborted, and is seen`;
    const serial = Number(value.slice(2));
    times.set(value, (times.get(value) ?? 0) + 1);
    if (serial <= last[partition]!) {
      return `${serial} comes after ${last[partition]} in partition ${partition}`;
    }
    last[partition] = serial;
  }
  const twice = [...times].filter(([, count]) => count > 1);
  if (twice.length > 0) return `${twice.length} inputs came twice, as ${twice[0]![0]}`;
  return times.size === inputs ? null : `${times.size} of ${inputs} inputs are there`;
}
