// Which replica a consumer is sent to with replica.selector.class, and who it is told leads instead.

import { expect, test } from "bun:test";
import { RACK_AWARE_SELECTOR, replicatedReads } from "../../../src/core/broker/replicated_reads.ts";

interface FollowerAt {
  readonly logEndOffset: number;
  readonly logStartOffset: number;
  readonly caughtUpMs: number;
}

const broker = (id: number, rack: string | null, listeners = ["outside"]) => ({
  id,
  rack,
  endpoints: listeners.map((listener) => ({
    protocol: "kafka",
    listener,
    host: `host-${id}`,
    port: 9000 + id,
  })),
});

/** Broker 1, in rack "a", leads; 2 and 3 are in "b", 4 in "c". */
function reads(
  given: {
    readonly selector?: string | null;
    readonly isr?: readonly number[];
    readonly followers?: Readonly<Record<number, Partial<FollowerAt>>>;
    readonly leader?: number;
    readonly without?: number;
    readonly unreachable?: number;
  } = {},
) {
  const { selector = RACK_AWARE_SELECTOR, isr = [1, 2, 3, 4], followers = {}, leader = 1 } = given;
  const all = [broker(1, "a"), broker(2, "b"), broker(3, "b"), broker(4, "c")]
    .filter(({ id }) => id !== given.without)
    .map((each) => (each.id === given.unreachable ? { ...each, endpoints: [] } : each));
  const progress = (brokerId: number) => ({
    brokerId,
    logEndOffset: 100,
    logStartOffset: 10,
    caughtUpMs: 0,
    ...followers[brokerId],
  });
  return replicatedReads({
    brokerId: 1,
    isHeld: () => true,
    selector: () => selector,
    image: () =>
      ({
        brokers: new Map(all.map((each) => [each.id, each])),
        topicsByName: new Map([["users", { id: "U" }]]),
        partitions: new Map([["U", [{ leader, leaderEpoch: 7 }]]]),
      }) as never,
    leaderOf: () =>
      leader === 1
        ? ({ isr, follower: (id: number) => (id === 1 ? null : progress(id)) } as never)
        : null,
  });
}

const nearer = (given: Parameters<typeof reads>[0], rack = "b", offset = 50) =>
  reads(given).nearerReplica("U", 0, offset, rack, "outside");

test("a consumer is sent to the replica of its rack that has most, then to who caught up last, then to the highest id", () => {
  expect(nearer({})).toBe(3);
  expect(nearer({ followers: { 2: { caughtUpMs: 1 } } })).toBe(2);
  expect(nearer({ followers: { 2: { caughtUpMs: 1 }, 3: { logEndOffset: 101 } } })).toBe(3);
  expect(nearer({}, "c")).toBe(4);
});

test("it stays at the leader without the selector, without a rack, in the leader's rack and in one that has no replica", () => {
  expect(nearer({ selector: null })).toBeNull();
  expect(nearer({ selector: "org.apache.kafka.common.replica.LeaderSelector" })).toBeNull();
  expect(nearer({}, "")).toBeNull();
  expect(nearer({}, "a")).toBeNull();
  expect(nearer({}, "d")).toBeNull();
  expect(nearer({ leader: 2 })).toBeNull();
});

test("nobody is sent to a replica that is out of sync, is gone, lacks the offset or has no listener for it", () => {
  expect(nearer({ isr: [1, 2] })).toBe(2);
  expect(nearer({ isr: [1, 4] })).toBeNull();
  expect(nearer({ without: 3 })).toBe(2);
  expect(nearer({ unreachable: 3 })).toBe(2);
  expect(nearer({ followers: { 3: { logEndOffset: 49 } } })).toBe(2);
  expect(nearer({ followers: { 3: { logStartOffset: 51 } } })).toBe(2);
  expect(nearer({}, "b", 101)).toBeNull();
  expect(nearer({}, "b", 9)).toBeNull();
});

test("who leads is told with the address of the caller's listener, without one where it is gone, and not of what is unknown", () => {
  expect(reads({ leader: 2 }).currentLeader("outside", "users", 0)).toEqual({
    leaderId: 2,
    leaderEpoch: 7,
    endpoint: { host: "host-2", port: 9002, rack: "b" },
  });
  const gone = { leaderId: 2, leaderEpoch: 7, endpoint: null };
  expect(reads({ leader: 2, without: 2 }).currentLeader("outside", "users", 0)).toEqual(gone);
  expect(reads({ leader: -1 }).currentLeader("outside", "users", 0)).toEqual({
    ...gone,
    leaderId: -1,
  });
  expect(reads().currentLeader("outside", "users", 1)).toBeNull();
  expect(reads().currentLeader("outside", "others", 0)).toBeNull();
});
