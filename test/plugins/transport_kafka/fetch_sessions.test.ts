import { describe, expect, test } from "bun:test";
import {
  FetchSessions,
  type WantedPartition,
} from "../../../plugins/transport-kafka/fetch_sessions.ts";
import { HandRuntime } from "./fakes.ts";

const HOUR_MS = 3_600_000;

function wanted(count: number, topic = "t"): WantedPartition[] {
  return Array.from({ length: count }, (_, partition) => ({
    topic,
    topicId: "AAAAAAAAAAAAAAAAAAAAAA",
    partition,
    fetchOffset: 0,
    bytesMax: 1,
    leaderEpoch: -1,
    lastFetchedEpoch: -1,
    logStartOffset: -1,
    syncedEnd: -1,
    highWatermark: -1,
    toldHighWatermark: -1,
    toldLogStartOffset: -1,
  }));
}

function setUp(slots: number, partitionsMax = 1000) {
  const hand = new HandRuntime();
  const { clock, random } = hand.runtime;
  return { hand, sessions: new FetchSessions({ slots, partitionsMax, clock, random }) };
}

describe("FetchSessions", () => {
  test("refuses a session when every slot is in recent use", () => {
    const { sessions, hand } = setUp(2);
    expect(sessions.open(wanted(1), false)).not.toBe(null);
    expect(sessions.open(wanted(1), false)).not.toBe(null);
    expect(sessions.open(wanted(100), false)).toBe(null);
    hand.nowMs += 60_000;
    expect(sessions.open(wanted(100), false)).toBe(null);
    expect(sessions.size).toBe(2);
  });

  test("evicts the session that was not used for two minutes", () => {
    const { sessions, hand } = setUp(2);
    const first = sessions.open(wanted(50), false)!;
    const second = sessions.open(wanted(1), false)!;
    hand.nowMs += 100_000;
    sessions.touch(second);
    hand.nowMs += 20_001;
    const third = sessions.open(wanted(1), false)!;
    expect(third).not.toBe(null);
    expect(sessions.find(first.id)).toBe(undefined);
    expect(sessions.find(second.id)).toBe(second);
    expect(sessions.partitionCount).toBe(2);
  });

  test("evicts an old session in use only for a larger one, the smallest first", () => {
    const { sessions, hand } = setUp(2);
    const small = sessions.open(wanted(3), false)!;
    const large = sessions.open(wanted(30), false)!;
    hand.nowMs += HOUR_MS;
    sessions.touch(small);
    sessions.touch(large);
    expect(sessions.open(wanted(3), false)).toBe(null);
    expect(sessions.open(wanted(4), false)).not.toBe(null);
    expect(sessions.find(small.id)).toBe(undefined);
    expect(sessions.find(large.id)).toBe(large);
  });

  test("bounds the partitions over all sessions", () => {
    const { sessions } = setUp(10, 100);
    expect(sessions.open(wanted(101), false)).toBe(null);
    const session = sessions.open(wanted(90), false)!;
    expect(sessions.open(wanted(20), false)).toBe(null);
    for (const each of wanted(10, "u")) expect(sessions.want(session, each)).toBe(true);
    expect(sessions.want(session, wanted(1, "v")[0]!)).toBe(false);
    expect(sessions.want(session, wanted(1, "u")[0]!)).toBe(true);
    sessions.forget(session, "u", "", 0);
    expect(sessions.partitionCount).toBe(99);
    sessions.close(session.id);
    sessions.close(session.id);
    expect(sessions.partitionCount).toBe(0);
  });

  test("wraps the epoch to 1, as 0 opens a session", () => {
    const { sessions } = setUp(1);
    const session = sessions.open(wanted(1), false)!;
    expect(session.epoch).toBe(1);
    sessions.advance(session);
    expect(session.epoch).toBe(2);
    session.epoch = 0x7fffffff;
    sessions.advance(session);
    expect(session.epoch).toBe(1);
  });
});
