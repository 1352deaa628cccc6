// What is told of transactions: one by one, and in lists.

import { expect, test } from "bun:test";
import type { Transaction } from "../../../../src/core/coordinator/transaction/transaction.ts";
import type { ListFilter } from "../../../../src/core/coordinator/transaction/transaction_shard.ts";
import type { Outcome } from "../../../../src/protocol/errors.ts";
import { replayAfterEach } from "../shard_rig.ts";
import { TransactionRig } from "./transaction_rig.ts";

replayAfterEach();

function filled(): TransactionRig {
  const rig = new TransactionRig();
  const { wallMs } = rig;
  rig.put({ transactionalId: "empty", producerId: 1 });
  rig.put({ transactionalId: "open", producerId: 2, state: "ongoing", startMs: wallMs - 5_000 });
  rig.put({
    transactionalId: "done",
    producerId: 3,
    state: "complete_commit",
    startMs: wallMs - 9_000,
  });
  rig.put({ transactionalId: "dead", producerId: 4, state: "dead" });
  return rig;
}

function list(rig: TransactionRig, filter: Partial<ListFilter>): string[] {
  const asked = rig.ask<readonly Transaction[]>((shard, reply, now) =>
    shard.list({ producerIds: new Set(), states: null, durationMs: -1, ...filter }, now, reply),
  );
  return asked.value.map(({ producerId }) => String(producerId));
}

test("all are listed, but what is dead", () => {
  expect(list(filled(), {})).toEqual(["1", "2", "3"]);
});

test("by producer id, state, and both", () => {
  const rig = filled();
  expect(list(rig, { producerIds: new Set([2, 3, 9]) })).toEqual(["2", "3"]);
  expect(list(rig, { states: new Set(["ongoing", "empty"]) })).toEqual(["1", "2"]);
  expect(list(rig, { states: new Set(["ongoing"]), producerIds: new Set([3]) })).toEqual([]);
  expect(list(rig, { states: new Set() })).toEqual([]);
});

test("by age: those that began longer ago; what never began is as old as can be", () => {
  const rig = filled();
  expect(list(rig, { durationMs: 0 })).toEqual(["1", "2", "3"]);
  expect(list(rig, { durationMs: 5_000 })).toEqual(["1", "3"]);
  expect(list(rig, { durationMs: 4_999 })).toEqual(["1", "2", "3"]);
});

test("one by one; what is dead or unknown is not there", () => {
  const rig = filled();
  const described = ["open", "dead", "nope"].map((id) => {
    const asked = rig.ask<Outcome<Transaction | undefined>>((shard, reply) =>
      shard.describe(id, reply),
    );
    return asked.value.ok ? asked.value.value?.producerId : "refused";
  });
  expect(described).toEqual([2, undefined, undefined]);
});
