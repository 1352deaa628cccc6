// Coordinators of a cluster: they are where their partitions are led, answer what is committed there and nothing else, and end
// transactions in partitions that other brokers lead.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { partitionOfKey } from "../../../src/core/broker/coordinator_shards.ts";
import { withDefaults } from "../../../src/protocol/defaults.ts";
import { OffsetCommit } from "../../../src/protocol/messages/08_offset_commit.ts";
import { caller } from "../../support/log_rig.ts";
import { codeName } from "../../support/transaction_calls.ts";
import { CoordinatorRig, OFFSETS, STATE } from "./coordinator_rig.ts";

let rig: CoordinatorRig;
const T = partitionOfKey("t", 2);
const G = partitionOfKey("g", 2);

beforeEach(async () => {
  rig = await CoordinatorRig.open();
});
afterEach(() => rig.close());

/** Waits for an answer while time goes on. */
async function answered<A>(asking: Promise<A>): Promise<A> {
  let isDone = false;
  const done = asking.finally(() => {
    isDone = true;
  });
  for (let i = 0; i < 200 && !isDone; i++) await rig.turn(10);
  expect(isDone).toBe(true);
  return done;
}

async function isPending(asking: Promise<unknown>): Promise<boolean> {
  let isDone = false;
  void asking.then(() => {
    isDone = true;
  });
  for (let i = 0; i < 20; i++) await rig.turn(10);
  return !isDone;
}

async function commitOffset(id: number, offset: number): Promise<string> {
  const request = withDefaults(OffsetCommit.request, {
    groupId: "g",
    topics: [
      {
        name: "a",
        partitions: [{ partitionIndex: 0, committedOffset: offset, committedMetadata: null }],
      },
    ],
  });
  const answer = await rig.nodes.get(id)!.groups.api.offsetCommit(caller, request, 8);
  return codeName(answer.topics[0]!.partitions[0]!.errorCode);
}

describe("where a coordinator is", () => {
  test("is the leader of the key's partition, as the caller's listener reaches it", async () => {
    for (const leader of [1, 2, 1]) {
      await rig.lead(leader, STATE, T);
      for (const id of [1, 2]) {
        const { coordinators } = await answered(rig.calls(id).find(["t"]));
        const { nodeId, host, port, errorCode } = coordinators[0]!;
        expect({ nodeId, host, port, errorCode }).toEqual({
          nodeId: leader,
          host: `b${leader}`,
          port: 9090 + leader,
          errorCode: 0,
        });
      }
    }
  });

  test("is nowhere while nobody leads the partition", async () => {
    await rig.lead(-1, STATE, T);
    const { coordinators } = await answered(rig.calls(1).find(["t"]));
    expect(codeName(coordinators[0]!.errorCode)).toBe("coordinator_not_available");
  });

  test("is told to look elsewhere by a broker that does not lead it, or has lost its session", async () => {
    await rig.lead(2, OFFSETS, G);
    expect(await answered(commitOffset(1, 5))).toBe("not_coordinator");
    expect(await answered(commitOffset(2, 5))).toBe("none");
    rig.isHeld = false;
    expect(await answered(commitOffset(2, 6))).toBe("not_coordinator");
    expect(await answered(rig.calls(2).committedOffset("g", "a"))).toBe("not_coordinator");
    rig.isHeld = true;
    expect(await answered(rig.calls(2).committedOffset("g", "a"))).toBe(5);
  });
});

describe("what a coordinator answers", () => {
  test("is committed: it waits for the replicas", async () => {
    rig.isHeldBack = true;
    const committing = commitOffset(1, 7);
    expect(await isPending(committing)).toBe(true);
    await rig.release();
    expect(await answered(committing)).toBe("none");
  });

  test("is refused when the leadership goes before the replicas have it, and the next coordinator has what was committed", async () => {
    expect(await answered(commitOffset(1, 7))).toBe("none");
    rig.isHeldBack = true;
    const committing = commitOffset(1, 8);
    expect(await isPending(committing)).toBe(true);
    await rig.lead(2, OFFSETS, G);
    expect(await answered(committing)).toBe("not_coordinator");
    // Nothing is left behind, neither who waits nor what was known.
    expect(rig.log(1, OFFSETS, G).waiters).toBeNull();
    expect(await answered(rig.calls(1).committedOffset("g", "a"))).toBe("not_coordinator");
    await rig.release();
    expect(await answered(rig.calls(2).committedOffset("g", "a"))).toBe(7);
  });

  test("is nothing while fewer replicas are in sync than the topic asks for", async () => {
    const settings = rig.nodes.get(1)!.settings;
    settings.setDynamic(new Map([["min.insync.replicas", "2"]]), new Map());
    rig.isr = [1];
    await rig.lead(1, OFFSETS, G);
    expect(await answered(commitOffset(1, 7))).toBe("coordinator_not_available");
    // No more are asked for than there are replicas.
    settings.setDynamic(new Map([["min.insync.replicas", "3"]]), new Map());
    rig.isr = [1, 2];
    await rig.lead(1, OFFSETS, G);
    expect(await answered(commitOffset(1, 7))).toBe("none");
  });

  test("is only of what it leads: lists say nothing of the rest", async () => {
    expect((await answered(rig.calls(1).init())).errorCode).toBe(0);
    const ids = async (id: number) =>
      (await answered(rig.calls(id).list())).transactionStates.map((each) => each.transactionalId);
    expect(await ids(1)).toEqual(["t"]);
    expect(await ids(2)).toEqual([]);
    await rig.lead(2, STATE, T);
    expect(await ids(1)).toEqual([]);
    expect(await ids(2)).toEqual(["t"]);
  });
});

describe("a transaction over two brokers", () => {
  test.each([true, false])(
    "is committed in all partitions, first batches joining it: %p",
    async (adds) => {
      await rig.lead(2, "a", 1);
      const calls = rig.calls(1);
      const producer = await answered(calls.init());
      if (!adds) {
        expect(await answered(calls.add(producer, { a: [0, 1] }))).toEqual({
          "a/0": "none",
          "a/1": "none",
        });
      }
      expect(await answered(calls.produce(producer, ["x"], { adds }))).toBe("ok");
      const there = rig.calls(2).produce(producer, ["y"], { partition: 1, adds });
      expect(await answered(there)).toBe("ok");
      expect(rig.asked).toEqual(["2>1 AddPartitionsToTxn"]);
      expect(await rig.calls(2).read("read_committed", "a", 1)).toEqual([]);
      expect((await answered(calls.end(producer, true, adds ? 5 : 3))).errorCode).toBe(0);
      await rig.turn();
      expect(rig.asked).toEqual(["2>1 AddPartitionsToTxn", "1>2 WriteTxnMarkers"]);
      expect(await calls.read("read_committed", "a", 0)).toEqual(["x"]);
      expect(await rig.calls(2).read("read_committed", "a", 1)).toEqual(["y"]);
      expect((await answered(calls.describe("t")))[0]!.transactionState).toBe("CompleteCommit");
    },
  );

  test("takes no batch of a partition that was not added, asked of the other broker", async () => {
    await rig.lead(2, "a", 1);
    const producer = await answered(rig.calls(1).init());
    const refused = rig.calls(2).produce(producer, ["y"], { partition: 1, adds: false });
    expect(await answered(refused)).toBe("transaction_abortable");
    expect(rig.asked).toEqual(["2>1 AddPartitionsToTxn"]);
    expect(rig.log(2, "a", 1).logEndOffset).toBe(0);
  });

  test("has its groups' offsets where the group is, which may be another broker", async () => {
    await rig.lead(2, OFFSETS, G);
    const producer = await answered(rig.calls(1).init());
    const committing = rig.calls(2).commitOffset(producer, "g", "a", 42);
    expect(await answered(committing)).toBe("none");
    expect(await answered(rig.calls(2).committedOffset("g", "a"))).toBe("unstable_offset_commit");
    expect((await answered(rig.calls(1).end(producer))).errorCode).toBe(0);
    await rig.turn();
    expect(await answered(rig.calls(2).committedOffset("g", "a"))).toBe(42);
  });

  test("is ended once the other broker answers again, or another leads the partition", async () => {
    await rig.lead(2, "a", 1);
    const producer = await answered(rig.calls(1).init());
    expect(await answered(rig.calls(2).produce(producer, ["y"], { partition: 1 }))).toBe("ok");
    rig.cutOff.add(2);
    expect((await answered(rig.calls(1).end(producer))).errorCode).toBe(0);
    await rig.turn(3000);
    expect((await answered(rig.calls(1).describe("t")))[0]!.transactionState).toBe("PrepareCommit");
    await rig.lead(1, "a", 1);
    await rig.turn(3000);
    expect((await answered(rig.calls(1).describe("t")))[0]!.transactionState).toBe(
      "CompleteCommit",
    );
    expect(await rig.calls(1).read("read_committed", "a", 1)).toEqual(["y"]);
  });

  test("is ended by the next coordinator, when the one that decided it goes before its markers", async () => {
    await rig.lead(2, "a", 1);
    const producer = await answered(rig.calls(1).init());
    expect(await answered(rig.calls(2).produce(producer, ["y"], { partition: 1 }))).toBe("ok");
    rig.cutOff.add(2);
    expect((await answered(rig.calls(1).end(producer))).errorCode).toBe(0);
    expect(await rig.calls(2).read("read_committed", "a", 1)).toEqual([]);
    await rig.lead(2, STATE, T);
    for (let i = 0; i < 20; i++) await rig.turn();
    expect(await rig.calls(2).read("read_committed", "a", 1)).toEqual(["y"]);
    expect((await answered(rig.calls(2).describe("t")))[0]!.transactionState).toBe(
      "CompleteCommit",
    );
  });

  test("has no marker before the decision is committed", async () => {
    const calls = rig.calls(1);
    const producer = await answered(calls.init());
    expect(await answered(calls.produce(producer, ["x"]))).toBe("ok");
    const { logEndOffset } = rig.log(1, "a", 0);
    rig.isHeldBack = true;
    const ending = calls.end(producer);
    expect(await isPending(ending)).toBe(true);
    expect(rig.log(1, "a", 0).logEndOffset).toBe(logEndOffset);
    await rig.release();
    expect((await answered(ending)).errorCode).toBe(0);
    await rig.turn();
    expect(await calls.read()).toEqual(["x"]);
  });

  test("is complete only when its markers are committed: one that goes with its leader is written again", async () => {
    const calls = rig.calls(1);
    const producer = await answered(calls.init());
    expect(await answered(calls.produce(producer, ["x"]))).toBe("ok");
    rig.isHeldBack = true;
    rig.heldBackTopic = "a";
    expect((await answered(calls.end(producer))).errorCode).toBe(0);
    await rig.turn();
    const state = async () => (await answered(calls.describe("t")))[0]!.transactionState;
    expect(rig.log(1, "a", 0).logEndOffset).toBe(2);
    expect(await state()).toBe("PrepareCommit");
    await rig.lead(2, "a", 0);
    expect(rig.log(2, "a", 0).highWatermark).toBe(1);
    for (let i = 0; i < 20; i++) await rig.turn();
    expect(await state()).toBe("PrepareCommit");
    await rig.release();
    for (let i = 0; i < 20; i++) await rig.turn();
    expect(await state()).toBe("CompleteCommit");
    expect(await rig.calls(2).read()).toEqual(["x"]);
  });

  test("lets no first batch in before its joining is committed", async () => {
    const calls = rig.calls(1);
    const producer = await answered(calls.init());
    rig.isHeldBack = true;
    const producing = calls.produce(producer, ["x"]);
    expect(await isPending(producing)).toBe(true);
    expect(rig.log(1, "a", 0).logEndOffset).toBe(0);
    await rig.release();
    expect(await answered(producing)).toBe("ok");
  });
});
