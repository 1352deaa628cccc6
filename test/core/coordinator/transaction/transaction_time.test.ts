// Transactions that take too long are aborted; transactional ids that nobody uses are forgotten.

import { describe, expect, test } from "bun:test";
import { replayAfterEach } from "../shard_rig.ts";
import { TransactionRig } from "./transaction_rig.ts";

replayAfterEach();

describe("a transaction that takes longer than its timeout", () => {
  for (const version of [0, 1, 2]) {
    test(`is aborted with an epoch that fences its producer, version ${version}`, () => {
      const rig = new TransactionRig(version);
      rig.init();
      rig.add(["a/0", "a/1"]);
      rig.advance(59_000);
      expect(rig.told).toBe("ongoing 100/0 a/0 a/1");
      // Looked at every ten seconds.
      rig.advance(11_000);
      expect(rig.told).toBe("complete_abort 100/1");
      expect(rig.markers.written.map(({ marker }) => marker)).toEqual([
        marker(1, version),
        marker(1, version),
      ]);
      expect(rig.lines).toEqual([
        {
          level: "info",
          event: "transaction_timed_out",
          fields: { transactionalId: "t", producerId: 100, producerEpoch: 0, timeoutMs: 60_000 },
        },
      ]);
      expect(rig.admit("a/0", true)).toBe("producer_fenced");
      expect(rig.endOld(true)).toBe("producer_fenced");
      rig.checkReplay();
    });
  }

  test("tells a producer of the newer protocol that its commit is not to be had", () => {
    const rig = new TransactionRig();
    rig.init();
    rig.admit("a/0", true);
    rig.advance(70_000);
    expect(rig.end(true)).toBe("invalid_txn_state");
    expect(rig.end(false)).toEqual({ producerId: 100, producerEpoch: 1 });
    rig.checkReplay();
  });

  test("goes by the monotonic clock", () => {
    const rig = new TransactionRig();
    rig.init();
    rig.add("a/0");
    rig.wallMs += 3_600_000;
    rig.advance(50_000);
    expect(rig.told).toBe("ongoing 100/0 a/0");
    rig.wallMs -= 7_200_000;
    rig.advance(20_000);
    expect(rig.told).toBe("complete_abort 100/1");
  });

  test("is not given more time by further partitions", () => {
    const rig = new TransactionRig();
    rig.init();
    rig.add("a/0");
    rig.advance(55_000);
    rig.add("a/1");
    rig.advance(15_000);
    expect(rig.told).toBe("complete_abort 100/1");
  });

  test("has no limit where it is of two phases", () => {
    const rig = new TransactionRig();
    rig.init(null, { timeoutMs: 2_147_483_647 });
    rig.add("a/0");
    rig.advance(2_147_483_647);
    rig.advance(100_000);
    rig.reload();
    rig.advance(100_000);
    expect(rig.told).toBe("ongoing 100/0 a/0");
  });

  test("has what was left of its time after a crash", () => {
    const rig = new TransactionRig();
    rig.init();
    rig.add("a/0");
    rig.advance(40_000);
    rig.reload();
    rig.advance(20_000);
    expect(rig.told).toBe("ongoing 100/0 a/0");
    rig.advance(10_000);
    expect(rig.told).toBe("complete_abort 100/1");
    rig.checkReplay();
  });

  for (const jumpMs of [-1e9, 1e9]) {
    test(`has at most its whole time after a crash, where the clock jumped by ${jumpMs}`, () => {
      const rig = new TransactionRig();
      rig.init();
      rig.add("a/0");
      rig.wallMs += jumpMs;
      rig.reload();
      rig.advance(70_000);
      expect(rig.told).toBe("complete_abort 100/1");
    });
  }

  test("waits for a producer id where its epochs are used up", () => {
    const rig = new TransactionRig();
    rig.put({ state: "complete_commit", producerEpoch: 32_766 });
    rig.add("a/0", { producerId: 7, producerEpoch: 32_766 });
    rig.nextProducerId = null;
    rig.advance(70_000);
    expect(rig.told).toBe("ongoing 7/32766 a/0");
    rig.nextProducerId = 300;
    rig.advance(10_000);
    expect(rig.told).toBe("complete_abort 300/0");
    rig.checkReplay();
  });

  test("is aborted with all others that are due, and with no others", () => {
    const rig = new TransactionRig();
    for (const [i, timeoutMs] of [10_000, 20_000, 300_000].entries()) {
      rig.init(null, { transactionalId: `t${i}`, timeoutMs });
      rig.apply(() => ({
        ...rig.shard.admit(
          { transactionalId: `t${i}`, producerId: 100 + i, producerEpoch: 0 },
          [{ topic: "a", partition: i }],
          true,
          rig.now,
        ).decision,
      }));
    }
    rig.advance(30_001);
    const states = [0, 1, 2].map((i) => rig.shard.get(`t${i}`)?.state);
    expect(states).toEqual(["complete_abort", "complete_abort", "ongoing"]);
    rig.checkReplay();
  });

  test("that has ended is not looked at: no timer is left", () => {
    const rig = new TransactionRig();
    rig.init();
    rig.add("a/0");
    rig.end(true);
    rig.advance(10_000);
    expect([...rig.timers.byKey.keys()]).toEqual(["expiry"]);
  });
});

function marker(producerEpoch: number, version: number) {
  return {
    producerId: 100,
    producerEpoch,
    coordinatorEpoch: 3,
    isCommit: false,
    transactionVersion: version === 2 ? 2 : 0,
  };
}

const WEEK_MS = 604_800_000;

describe("a transactional id that nobody uses", () => {
  for (const state of ["empty", "complete_commit", "complete_abort"] as const) {
    test(`is forgotten after a week when it is ${state}`, () => {
      const rig = new TransactionRig();
      rig.put({ state });
      rig.advance(WEEK_MS - 1);
      expect(rig.told).toBe(`${state} 7/0`);
      rig.advance(3_600_000);
      expect(rig.told).toBe("none");
      expect(rig.records.at(-1)?.transaction).toBe(null);
      rig.checkReplay();
    });
  }

  test("stays while something is open or ends", () => {
    const rig = new TransactionRig();
    rig.init(null, { timeoutMs: 2_147_483_647 });
    rig.add("a/0");
    rig.markers.waits.add("b");
    rig.put({
      transactionalId: "u",
      state: "prepare_commit",
      partitions: new Map([["b", new Set([0])]]),
    });
    rig.advance(2 * WEEK_MS);
    expect(rig.told).toBe("ongoing 100/0 a/0");
    expect(rig.shard.get("u")?.state).toBe("prepare_commit");
  });

  test("is kept by being used", () => {
    const rig = new TransactionRig();
    rig.init();
    rig.advance(WEEK_MS - 10_000);
    rig.init();
    rig.advance(3_600_000);
    expect(rig.told).toBe("empty 100/1");
  });

  test("is forgotten after a load too, by the wall time of its last change", () => {
    const rig = new TransactionRig();
    rig.put({ updatedMs: rig.wallMs - WEEK_MS - 1 });
    rig.reload();
    rig.advance(3_600_000);
    expect(rig.told).toBe("none");
    // Whoever had it has to begin anew.
    expect(rig.add("a/0")).toBe("invalid_producer_id_mapping");
    expect(rig.init()).toEqual({ producerId: 100, producerEpoch: 0 });
    rig.checkReplay();
  });

  test("goes with thousands of others in slices", () => {
    const rig = new TransactionRig();
    rig.apply(() => ({
      records: Array.from({ length: 2500 }, (_, i) => ({
        transactionalId: `id ${i}`,
        version: 1 as const,
        transaction: {
          transactionalId: `id ${i}`,
          producerId: i,
          previousProducerId: i,
          nextProducerId: -1,
          producerEpoch: 0,
          timeoutMs: 1,
          state: "empty" as const,
          partitions: new Map(),
          startMs: -1,
          updatedMs: i === 2400 ? rig.wallMs : 0,
          clientVersion: 0,
        },
      })),
      answers: [],
    }));
    expect(rig.advance(3_600_000).length).toBe(2499);
    expect([...rig.shard.all()].map(({ transactionalId }) => transactionalId)).toEqual(["id 2400"]);
    rig.checkReplay();
  });
});
