// Goes over many offsets a slice at a time, each a decision of its own, so that requests get their turn in between.
// Invariant: whether an offset goes is judged in the decision that removes it. Requests change the table between two
// slices: walks hold on to no offset, and may miss what is put behind their back, but remove nothing unjudged.
// Kafka: GroupCoordinatorShard.cleanupGroupMetadata, which goes over everything at once.

import type { Answer, Decision, ShardTimers } from "../runtime/shard.ts";
import type { GroupRecord } from "./group_record.ts";

/** Most records of one slice: some milliseconds of encoding. A group's tombstones stay together, and may pass it. */
const RECORDS_MAX = 1000;

const NO_RECORDS: readonly GroupRecord[] = [];

/** What is to be removed, step by step; "pause" ends the slice, so that all records so far are replayed. */
export type Walk = Iterator<readonly GroupRecord[] | "pause", void>;

/** A step that removes nothing. */
export const KEEP = NO_RECORDS;

export interface SweepOptions {
  /** Its next slice comes by this timer. */
  readonly key: string;
  readonly timers: ShardTimers<GroupRecord>;
  readonly walk: Walk;
  /** Most steps of one slice. */
  readonly stepsMax: number;
  /** Called in the decision of the last slice. @param recordCount All that were removed, in records */
  readonly ended: (recordCount: number) => readonly Answer[];
}

/** @returns the first slice; the others follow on their own */
export function sweep(options: SweepOptions): Decision<GroupRecord> {
  return slice(options, 0);
}

function slice(options: SweepOptions, countBefore: number): Decision<GroupRecord> {
  const { key, timers, walk, stepsMax, ended } = options;
  const records: GroupRecord[] = [];
  for (let steps = 0; steps < stepsMax && records.length < RECORDS_MAX; steps++) {
    const step = walk.next();
    if (step.done === true) {
      return { records, answers: ended(countBefore + records.length), mayBeSplit: true };
    }
    if (step.value === "pause") break;
    records.push(...step.value);
  }
  const count = countBefore + records.length;
  timers.set(key, 0, () => slice(options, count));
  return { records, answers: [], mayBeSplit: true };
}
