// What a follower does with each kind of answer, over a log of which the test says where it stands.

import { beforeEach, describe, expect, test } from "bun:test";
import {
  type FollowerAppend,
  type LeaderAnswer,
  PartitionFollower,
} from "../../../src/core/partition/partition_follower.ts";

const group = { settled: () => Promise.resolve(true) };

class ScriptedLog {
  logStartOffset = 0;
  logEndOffset = 20;
  syncedEnd = 18;
  highWatermark = 10;
  /** Epoch and first offset, ascending. */
  starts: [epoch: number, offset: number][] = [
    [1, 0],
    [3, 12],
  ];
  readonly did: string[] = [];
  verdict: FollowerAppend | null = null;
  isDiskWell = true;
  readonly epochs: {
    readonly latest: number;
    endOf(epoch: number, end: number): { epoch: number; endOffset: number } | null;
  };

  constructor() {
    const self = this;
    this.epochs = {
      get latest() {
        return self.starts.at(-1)?.[0] ?? -1;
      },
      endOf(epoch, end) {
        const at = self.starts.findLastIndex(([each]) => each <= epoch);
        if (at === -1) return null;
        return { epoch: self.starts[at]![0], endOffset: self.starts[at + 1]?.[1] ?? end };
      },
    };
  }

  appendAsFollower(batches: Uint8Array): FollowerAppend {
    if (this.verdict !== null) return this.verdict;
    this.logEndOffset += batches.length;
    return { kind: "appended", group, endOffset: this.logEndOffset };
  }
  advanceHighWatermark(offset: number): void {
    expect(offset).toBeGreaterThan(this.highWatermark);
    this.highWatermark = offset;
  }
  async cutTo(offset: number): Promise<boolean> {
    this.did.push(`cut ${offset}`);
    if (this.isDiskWell) this.logEndOffset = offset;
    return this.isDiskWell;
  }
  async startAnewAt(offset: number): Promise<boolean> {
    this.did.push(`anew ${offset}`);
    return this.isDiskWell;
  }
  followStart(offset: number): void {
    this.did.push(`start ${offset}`);
  }
}

let log: ScriptedLog;
let follower: PartitionFollower;
beforeEach(() => {
  log = new ScriptedLog();
  follower = new PartitionFollower(log, 2, 4);
});

const answer = (more: Partial<LeaderAnswer> = {}): LeaderAnswer => ({
  error: null,
  highWatermark: -1,
  logStartOffset: -1,
  divergingEpoch: null,
  records: new Uint8Array(0),
  ...more,
});
const take = (more: Partial<LeaderAnswer>) => follower.take(follower.question(), answer(more), 1);

test("asks from its end, under its leader's epoch, and says what it has", () => {
  expect(follower.question()).toEqual({
    leaderEpoch: 4,
    fetchOffset: 20,
    lastFetchedEpoch: 3,
    logStartOffset: 0,
    syncedEnd: 18,
    highWatermark: 10,
  });
});

describe("an answer", () => {
  test("with records is appended; the high watermark goes up to the leader's, to its own end at most", async () => {
    const taken = await take({ records: new Uint8Array(5), highWatermark: 30, logStartOffset: 3 });
    expect(taken).toEqual({ kind: "appended", group, sizeBytes: 5 });
    expect([log.logEndOffset, log.highWatermark, log.did]).toEqual([25, 25, ["start 3"]]);
  });

  test("with a lower high watermark or start moves neither back", async () => {
    log.logStartOffset = 5;
    expect(await take({ highWatermark: 9, logStartOffset: 4 })).toEqual({ kind: "idle" });
    expect([log.highWatermark, log.did]).toEqual([10, []]);
  });

  test("with a start beyond the high watermark is followed up to that one", async () => {
    await take({ highWatermark: 11, logStartOffset: 15 });
    expect(log.did).toEqual(["start 11"]);
  });

  test("with damaged batches, or those that do not follow, is asked for again and moves nothing", async () => {
    for (const kind of ["corrupt", "out_of_order"] as const) {
      log.verdict = { kind };
      const taken = await take({
        records: new Uint8Array(5),
        highWatermark: 15,
        logStartOffset: 2,
      });
      expect(taken).toEqual({ kind: "again", reason: kind });
    }
    expect([log.logEndOffset, log.highWatermark, log.did]).toEqual([20, 10, []]);
  });

  test("that refuses is asked for again by Kafka's name of it", async () => {
    for (const error of ["fenced_leader_epoch", "not_leader_or_follower", "corrupt_message"]) {
      expect(await take({ error })).toEqual({ kind: "again", reason: error });
    }
    expect(log.did).toEqual([]);
  });

  test("that comes after the log has moved, or another leader was set, changes nothing", async () => {
    const asked = follower.question();
    log.logEndOffset = 21;
    const late = answer({ records: new Uint8Array(5), highWatermark: 20 });
    expect(await follower.take(asked, late, 1)).toEqual({ kind: "again", reason: "moved" });
    follower.end();
    expect(await take({ records: new Uint8Array(5), highWatermark: 20 })).toEqual({ kind: "idle" });
    expect([log.logEndOffset, log.highWatermark, follower.isOver]).toEqual([21, 10, true]);
  });
});

describe("where histories part", () => {
  test("it cuts at the leader's end of the newest epoch that both know", async () => {
    expect(await take({ divergingEpoch: { epoch: 3, endOffset: 15 } })).toEqual({
      kind: "cut",
      from: 20,
      to: 15,
      isBelowHighWatermark: false,
    });
    expect(log.did).toEqual(["cut 15"]);
  });

  test("it cuts at its own end of that epoch where it ended sooner here", async () => {
    const taken = await take({ divergingEpoch: { epoch: 2, endOffset: 17 } });
    expect(taken).toMatchObject({ kind: "cut", to: 12 });
  });

  test("what was committed once is said to go", async () => {
    const taken = await take({ divergingEpoch: { epoch: 1, endOffset: 6 } });
    expect(taken).toMatchObject({ kind: "cut", to: 6, isBelowHighWatermark: true });
  });

  test("it never cuts below its start", async () => {
    log.logStartOffset = 8;
    expect(await take({ divergingEpoch: { epoch: 1, endOffset: 6 } })).toMatchObject({ to: 8 });
  });

  test("a disk that fails while it cuts is told", async () => {
    log.isDiskWell = false;
    expect(await take({ divergingEpoch: { epoch: 3, endOffset: 15 } })).toEqual({ kind: "failed" });
    expect(await take({ error: "offset_out_of_range", logStartOffset: 90 })).toEqual({
      kind: "failed",
    });
  });

  test("a leader that starts beyond its end makes it begin anew there", async () => {
    expect(await take({ error: "offset_out_of_range", logStartOffset: 90 })).toMatchObject({
      kind: "cut",
      to: 90,
    });
    expect(log.did).toEqual(["anew 90"]);
  });
});
