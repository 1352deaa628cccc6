import { describe, expect, test } from "bun:test";
import {
  type EndMarker,
  type FirstBatch,
  ProducerState,
} from "../../../src/core/log/producer_state.ts";

const marker = (epoch: number, transactionVersion: number, coordinatorEpoch = 0): EndMarker => ({
  producerId: 1,
  producerEpoch: epoch,
  coordinatorEpoch,
  isCommit: true,
  transactionVersion,
});

/** A producer whose last batch had sequences 0 to 2, under epoch 5. */
function known(isOpen: boolean): ProducerState {
  const state = new ProducerState();
  const entry = state.record(1, 5, 0, 3, 100, 102, 1000, 1000);
  if (isOpen) entry.transactionStartOffset = 100;
  return state;
}

const codeOf = (verdict: { kind: string; code?: string } | null) =>
  verdict === null ? null : (verdict.code ?? verdict.kind);

describe("a marker", () => {
  test("of the first protocol may have the epoch of its batches, of the second has a newer one", () => {
    for (const [epoch, version, wanted] of [
      [4, 1, "invalid_producer_epoch"],
      [5, 0, null],
      [5, 1, null],
      [6, 1, null],
      [4, 2, "invalid_producer_epoch"],
      [5, 2, "invalid_producer_epoch"],
      [6, 2, null],
    ] as const) {
      expect([epoch, version, codeOf(known(true).checkMarker(marker(epoch, version)))]).toEqual([
        epoch,
        version,
        wanted,
      ]);
    }
    expect(new ProducerState().checkMarker(marker(0, 2))).toBeNull();
  });

  test("of the second protocol may be written again once its transaction is not open any more", () => {
    const state = known(true);
    state.recordMarker(1, 6, 0, 1000, 1000);
    expect(state.checkMarker(marker(6, 2))).toBeNull();
    expect(codeOf(state.checkMarker(marker(5, 2)))).toBe("invalid_producer_epoch");
    // The last epoch there is cannot grow.
    const last = new ProducerState();
    last.record(1, 0x7fff, 0, 1, 0, 0, 0, 0).transactionStartOffset = 0;
    expect(last.checkMarker(marker(0x7fff, 2))).toBeNull();
  });

  test("of an older coordinator is fenced", () => {
    const state = known(true);
    state.recordMarker(1, 6, 9, 1000, 1000);
    expect(codeOf(state.checkMarker(marker(7, 2, 8)))).toBe("transaction_coordinator_fenced");
    expect(state.checkMarker(marker(7, 2, 9))).toBeNull();
    expect(state.get(1)).toMatchObject({ coordinatorEpoch: 9, transactionStartOffset: -1 });
  });
});

describe("a batch after a marker", () => {
  test("goes on with its sequence under the same epoch, and begins at 0 under a newer one", () => {
    const first = known(true);
    first.recordMarker(1, 5, 0, 1000, 1000);
    expect(first.check(1, 5, 3, 1, true).kind).toBe("new");
    expect(first.check(1, 5, 0, 3, true).kind).toBe("duplicate");
    const second = known(true);
    second.recordMarker(1, 6, 0, 1000, 1000);
    expect(second.check(1, 6, 0, 3, true).kind).toBe("new");
    expect(codeOf(second.check(1, 6, 3, 1, true))).toBe("out_of_order_sequence_number");
    expect(codeOf(second.check(1, 5, 3, 1, true))).toBe("invalid_producer_epoch");
  });
});

describe("a batch in an open transaction", () => {
  test("is refused when it is not transactional, unless it is a repeated one", () => {
    const state = known(true);
    expect(codeOf(state.check(1, 5, 3, 1, false))).toBe("invalid_txn_state");
    expect(state.check(1, 5, 3, 1, true).kind).toBe("new");
    expect(state.check(1, 5, 0, 3, false).kind).toBe("duplicate");
    expect(known(false).check(1, 5, 3, 1, false).kind).toBe("new");
  });

  test("of a coordinator is held to its epoch alone", () => {
    const state = known(true);
    expect(state.check(1, 5, -1, 1, true).kind).toBe("new");
    expect(state.check(1, 6, -1, 1, true).kind).toBe("new");
    expect(codeOf(state.check(1, 4, -1, 1, true))).toBe("invalid_producer_epoch");
  });
});

describe("the first batch of a transaction", () => {
  const first = (lowestSequence: number, isOfSecondProtocol: boolean, epoch = 5): FirstBatch => ({
    epoch,
    lowestSequence,
    isOfSecondProtocol,
    askedMs: 0,
  });

  test("of the second protocol begins at 0 where nothing is known of the producer", () => {
    const empty = new ProducerState();
    expect(codeOf(empty.check(1, 5, 4, 1, true, first(4, true)))).toBe(
      "out_of_order_sequence_number",
    );
    expect(empty.check(1, 5, 0, 1, true, first(0, true)).kind).toBe("new");
    // Older clients may go on after their records were deleted.
    expect(empty.check(1, 5, 4, 1, true, first(4, false)).kind).toBe("new");
    expect(known(false).check(1, 5, 3, 1, true, first(3, true)).kind).toBe("new");
  });

  test("does not overtake one that came before it and was not taken", () => {
    const empty = new ProducerState();
    expect(codeOf(empty.check(1, 5, 4, 1, true, first(2, false)))).toBe(
      "out_of_order_sequence_number",
    );
    expect(empty.check(1, 5, 2, 1, true, first(2, false)).kind).toBe("new");
  });
});

describe("expiry", () => {
  test("never forgets a producer with an open transaction", () => {
    const state = known(true);
    expect(state.expire(10_000)).toBe(0);
    state.recordMarker(1, 6, 0, 1000, 1000);
    expect(state.expire(10_000)).toBe(1);
    expect(state.count).toBe(0);
  });
});
