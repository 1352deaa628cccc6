// The rig finds what it is there to find: state without records, records that do not say all, and answers given twice.

import { describe, expect, test } from "bun:test";
import { ZERO_UUID } from "../../../src/base/uuid.ts";
import type { GroupRecord } from "../../../src/core/coordinator/group/group_record.ts";
import type { GroupShardOptions } from "../../../src/core/coordinator/group/group_shard_options.ts";
import {
  answer,
  type Decision,
  NO_DECISION,
  type Reply,
} from "../../../src/core/coordinator/runtime/shard.ts";
import { type RigSubject, ShardRig } from "./shard_rig.ts";

/** Counts by partition of one topic; a commit is the count that is wanted. */
class Counters implements RigSubject {
  readonly counts = new Map<number, number>();
  readonly options: GroupShardOptions;
  /** Not in any record. */
  slip = 0;

  constructor(options: GroupShardOptions) {
    this.options = options;
  }

  replay(record: GroupRecord): void {
    if (record.kind !== "offset_commit") return;
    if (record.value === null) this.counts.delete(record.key.partition);
    else this.counts.set(record.key.partition, record.value.offset);
  }

  loaded(): Decision<GroupRecord> {
    this.options.timers.set("clear 9", 500, () => this.clear(9));
    return NO_DECISION;
  }

  snapshot() {
    return { counts: this.counts, slip: this.slip };
  }

  set(partition: number, count: number, reply: Reply<number>): Decision<GroupRecord> {
    return {
      records: [record(partition, count)],
      answers: [answer(reply, this.counts.get(partition) ?? -1)],
    };
  }

  clear(partition: number): Decision<GroupRecord> {
    if (!this.counts.has(partition)) return NO_DECISION;
    return { records: [record(partition, null)], answers: [] };
  }
}

function record(partition: number, count: number | null): GroupRecord {
  return {
    kind: "offset_commit",
    key: { group: "g", topic: "t", partition },
    value:
      count === null
        ? null
        : {
            offset: count,
            leaderEpoch: -1,
            metadata: "",
            commitTimestamp: 1,
            expireTimestamp: -1,
            topicId: ZERO_UUID,
          },
  };
}

const newRig = () => new ShardRig((options) => new Counters(options));

describe("a shard rig", () => {
  test("replays, answers, runs timers, and finds the same state in the records", () => {
    const rig = newRig();
    const first = rig.ask<number>((shard, reply) => shard.set(1, 10, reply));
    expect(first.value).toBe(-1);
    rig.ask<number>((shard, reply) => shard.set(9, 90, reply));
    expect(rig.ask<number>((shard, reply) => shard.set(1, 11, reply)).value).toBe(10);
    expect(rig.advance(499)).toEqual([]);
    expect(rig.subject.counts.get(9)).toBe(90);
    expect(rig.advance(1)).toHaveLength(1);
    expect(rig.subject.counts).toEqual(new Map([[1, 11]]));
    expect(rig.records).toHaveLength(4);
    rig.checkReplay();
    rig.reload();
    expect(rig.subject.counts).toEqual(new Map([[1, 11]]));
    expect(rig.timers.has("clear 9")).toBe(true);
  });

  test("a decision that writes state by itself is refused", () => {
    const rig = newRig();
    const slipping = () =>
      rig.ask<number>((shard, reply) => {
        shard.slip++;
        return shard.set(1, 1, reply);
      });
    expect(slipping).toThrow();
  });

  test("state that no record tells of does not pass", () => {
    const rig = newRig();
    rig.ask<number>((shard, reply) => shard.set(1, 1, reply));
    rig.subject.slip = 1;
    expect(() => rig.checkReplay()).toThrow("as written");
  });

  test("an answer is given once; whoever left gets none, and a reload loses who waits", () => {
    const rig = newRig();
    const kept: Reply<number>[] = [];
    const keep = () =>
      rig.ask<number>((_shard, reply) => {
        kept.push(reply);
        return NO_DECISION;
      });
    const waits = keep();
    const leaves = keep();
    const lost = keep();
    expect(waits.isDone).toBe(false);
    expect(() => waits.value).toThrow("no answer yet");
    leaves.cancel();
    expect(rig.waiting).toBe(2);
    const answering = (reply: Reply<number>) => () =>
      rig.apply(() => ({ records: [], answers: [answer(reply, 5)] }));
    answering(kept[0]!)();
    expect(waits.value).toBe(5);
    expect(answering(kept[0]!)).toThrow("twice");
    answering(kept[1]!)();
    expect(() => leaves.value).toThrow("cancelled");
    rig.reload();
    expect(() => lost.value).toThrow("lost");
    expect(rig.waiting).toBe(0);
  });
});
