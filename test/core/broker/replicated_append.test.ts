// When an append is acknowledged in a cluster, by acks, and with which error it is not.

import { beforeEach, describe, expect, test } from "bun:test";
import { appendedToReplicas, refusalOf } from "../../../src/core/broker/replicated_append.ts";
import type { CommitWait } from "../../../src/core/partition/partition_leader.ts";
import { kafkaError } from "../../../src/protocol/errors.ts";

const result = { baseOffset: 3, logAppendTimeMs: -1, logStartOffset: 0 };
let isHeld: boolean;
let synced: { settled: () => Promise<boolean>; end: (isWell: boolean) => void };
let leader: {
  isOver: boolean;
  isUnderMinIsr: boolean;
  isr: number[];
  asked: number[][];
  end: (end: CommitWait) => void;
  committed(endOffset: number, timeoutMs: number): Promise<CommitWait>;
};

beforeEach(() => {
  isHeld = true;
  let end: (isWell: boolean) => void = () => {};
  const promise = new Promise<boolean>((resolve) => {
    end = resolve;
  });
  synced = { settled: () => promise, end };
  let settle: (end: CommitWait) => void = () => {};
  const waited = new Promise<CommitWait>((resolve) => {
    settle = resolve;
  });
  leader = {
    isOver: false,
    isUnderMinIsr: false,
    isr: [1, 2],
    asked: [],
    end: (verdict) => settle(verdict),
    committed(endOffset, timeoutMs) {
      this.asked.push([endOffset, timeoutMs]);
      return waited;
    },
  };
});

/** What became of an append; null: it still waits. */
function append(acks: 0 | 1 | -1) {
  const state: { code: string | null } = { code: null };
  const request = { acks, timeoutMs: 700, transactionalId: null, partitions: [] };
  const appended = { leader: leader as never, result, endOffset: 9 };
  void appendedToReplicas([appended], request, synced, {
    leaderOf: () => null,
    isHeld: () => isHeld,
  }).then(([outcome]) => {
    state.code = outcome!.ok ? "acknowledged" : outcome!.error.code;
  });
  return state;
}

async function turn(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

describe("acks=-1", () => {
  test("waits for the disk and for everyone in sync, whichever comes first", async () => {
    const state = append(-1);
    leader.end("committed");
    await turn();
    expect([state.code, leader.asked]).toEqual([null, [[9, 700]]]);
    synced.end(true);
    await turn();
    expect(state.code).toBe("acknowledged");
  });

  for (const [end, code] of [
    ["timed_out", "request_timed_out"],
    ["not_leader", "not_leader_or_follower"],
    ["not_enough_replicas", "not_enough_replicas_after_append"],
  ] as const) {
    test(`is ${code} when the wait ends as ${end}`, async () => {
      const state = append(-1);
      synced.end(true);
      await turn();
      expect(state.code).toBe(null);
      leader.end(end);
      await turn();
      expect(state.code).toBe(code);
    });
  }

  test("is not acknowledged by a broker whose session has run out while it waited", async () => {
    const state = append(-1);
    synced.end(true);
    isHeld = false;
    leader.end("committed");
    await turn();
    expect(state.code).toBe("not_leader_or_follower");
  });
});

describe("acks=1", () => {
  test("waits for the leader's disk alone", async () => {
    const state = append(1);
    await turn();
    expect(state.code).toBe(null);
    synced.end(true);
    await turn();
    expect([state.code, leader.asked]).toEqual(["acknowledged", []]);
  });

  test("is refused where the leadership has ended, as others may have cut it", async () => {
    const state = append(1);
    leader.isOver = true;
    synced.end(true);
    await turn();
    expect(state.code).toBe("not_leader_or_follower");
  });
});

test("acks=0 holds the bytes until the journal has them, and is told of no leadership that ended", async () => {
  const state = append(0);
  leader.isOver = true;
  isHeld = false;
  await turn();
  // The transport gave the memory of the batch back before it was written: garbage in the leader's journal.
  expect(state.code).toBe(null);
  synced.end(true);
  await turn();
  expect([state.code, leader.asked]).toEqual(["acknowledged", []]);
});

test("a disk that fails refuses whatever acks says, and a refusal before it stays what it was", async () => {
  const states = ([0, 1, -1] as const).map(append);
  synced.end(false);
  leader.end("committed");
  await turn();
  expect(states.map(({ code }) => code)).toEqual(Array(3).fill("kafka_storage_error"));
  const request = { acks: 1, timeoutMs: 1, transactionalId: null, partitions: [] } as const;
  const refused = kafkaError("invalid_record");
  const ports = { leaderOf: () => null, isHeld: () => true };
  expect(await appendedToReplicas([refused], request, null, ports)).toEqual([
    { ok: false, error: refused },
  ]);
});

test("before the append: who does not lead, or may not, refuses; acks=-1 alone asks for enough in sync", () => {
  const codeOf = (acks: 0 | 1 | -1, led: object | null = leader) =>
    refusalOf(led as never, acks, { leaderOf: () => null, isHeld: () => isHeld })?.code ?? null;
  expect([codeOf(-1), codeOf(1), codeOf(0)]).toEqual([null, null, null]);
  expect(codeOf(1, null)).toBe("not_leader_or_follower");
  leader.isUnderMinIsr = true;
  expect([codeOf(-1), codeOf(1), codeOf(0)]).toEqual(["not_enough_replicas", null, null]);
  isHeld = false;
  expect(codeOf(-1)).toBe("not_leader_or_follower");
  isHeld = true;
  leader.isOver = true;
  expect(codeOf(0)).toBe("not_leader_or_follower");
});
