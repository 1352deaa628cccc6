// EndTxn by both protocols, in every state: what is decided, what is answered to who asks twice, and who is refused.

import { describe, expect, test } from "bun:test";
import type { Transaction } from "../../../../src/core/coordinator/transaction/transaction.ts";
import { replayAfterEach } from "../shard_rig.ts";
import { TransactionRig } from "./transaction_rig.ts";

replayAfterEach();

const EXHAUSTED = 32_766;
const BUSY = "concurrent_transactions";

function rigged(run: (rig: TransactionRig) => void, version = 2): () => void {
  return () => {
    const rig = new TransactionRig(version);
    run(rig);
    rig.checkReplay();
  };
}

/** A transactional id of producer 100 whose epoch is 4, in that state; what is being ended has a partition that waits. */
function inState(rig: TransactionRig, state: Transaction["state"]): void {
  rig.markers.waits.add("a");
  const isOpen = state === "ongoing" || state.startsWith("prepare");
  rig.put({
    producerId: 100,
    previousProducerId: 100,
    producerEpoch: 4,
    state,
    partitions: isOpen ? new Map([["a", new Set([0])]]) : new Map(),
    startMs: state === "empty" ? -1 : rig.wallMs - 10,
    clientVersion: 2,
  });
}

describe("the older protocol", () => {
  for (const version of [0, 1, 2]) {
    for (const isCommit of [true, false]) {
      test(
        `${isCommit ? "commits" : "aborts"} and keeps the epoch, version ${version}`,
        rigged((rig) => {
          rig.init();
          rig.add(["a/0", "b/0"]);
          rig.wallMs += 5;
          expect(rig.endOld(isCommit)).toEqual({ producerId: 100, producerEpoch: 0 });
          const end = isCommit ? "commit" : "abort";
          expect(rig.states).toEqual(["empty", "ongoing", `prepare_${end}`, `complete_${end}`]);
          expect(rig.told).toBe(`complete_${end} 100/0`);
          expect(rig.shard.get("t")).toMatchObject({
            startMs: rig.wallMs - 5,
            updatedMs: rig.wallMs,
            clientVersion: 0,
          });
          expect(rig.markers.written.map(({ marker }) => marker)).toEqual([
            {
              producerId: 100,
              producerEpoch: 0,
              coordinatorEpoch: 3,
              isCommit,
              transactionVersion: 0,
            },
            {
              producerId: 100,
              producerEpoch: 0,
              coordinatorEpoch: 3,
              isCommit,
              transactionVersion: 0,
            },
          ]);
          expect(rig.records.at(-1)?.version).toBe(version === 0 ? 0 : 1);
          // And the next one begins at once.
          expect(rig.add("a/0")).toBe("ok");
        }, version),
      );
    }
  }

  const TABLE: readonly (readonly [
    state: Transaction["state"],
    onCommit: string,
    onAbort: string,
  ])[] = [
    ["empty", "invalid_txn_state", "invalid_txn_state"],
    ["prepare_commit", "concurrent_transactions", "concurrent_transactions"],
    ["prepare_abort", "concurrent_transactions", "concurrent_transactions"],
    ["complete_commit", "done", "invalid_txn_state"],
    ["complete_abort", "invalid_txn_state", "done"],
    ["dead", "unknown_server_error", "unknown_server_error"],
    ["prepare_epoch_fence", "unknown_server_error", "unknown_server_error"],
  ];
  for (const [state, onCommit, onAbort] of TABLE) {
    test(
      `of one that is ${state}: commit ${onCommit}, abort ${onAbort}`,
      rigged((rig) => {
        inState(rig, state);
        const before = rig.records.length;
        const done = { producerId: 100, producerEpoch: 4 };
        const now = { producerEpoch: 4 };
        expect(rig.endOld(true, now)).toEqual(onCommit === "done" ? done : onCommit);
        expect(rig.endOld(false, now)).toEqual(onAbort === "done" ? done : onAbort);
        for (const producerEpoch of [3, 5]) {
          expect(rig.endOld(true, { producerEpoch })).toBe("producer_fenced");
          expect(rig.endOld(false, { producerEpoch })).toBe("producer_fenced");
        }
        expect(rig.endOld(true, { ...now, producerId: 9 })).toBe("invalid_producer_id_mapping");
        expect(rig.records.length).toBe(before);
      }),
    );
  }

  test(
    "of an unknown id",
    rigged((rig) => {
      expect(rig.endOld(true)).toBe("invalid_producer_id_mapping");
    }),
  );

  test(
    "of an open one by somebody else",
    rigged((rig) => {
      inState(rig, "ongoing");
      expect(rig.endOld(true, { producerEpoch: 3 })).toBe("producer_fenced");
      expect(rig.endOld(true, { producerEpoch: 5 })).toBe("producer_fenced");
      expect(rig.endOld(true, { producerId: 1 })).toBe("invalid_producer_id_mapping");
      expect(rig.told).toBe("ongoing 100/4 a/0");
    }),
  );
});

describe("the newer protocol (KIP-890)", () => {
  for (const isCommit of [true, false]) {
    const end = isCommit ? "commit" : "abort";

    test(
      `${end}s with an epoch of its own, which the producer goes on with`,
      rigged((rig) => {
        rig.init();
        rig.admit("a/0", true);
        rig.wallMs += 5;
        expect(rig.end(isCommit)).toEqual({ producerId: 100, producerEpoch: 1 });
        expect(rig.states).toEqual(["empty", "ongoing", `prepare_${end}`, `complete_${end}`]);
        expect(rig.markers.written).toEqual([
          {
            partition: "a/0",
            marker: {
              producerId: 100,
              producerEpoch: 1,
              coordinatorEpoch: 3,
              isCommit,
              transactionVersion: 2,
            },
          },
        ]);
        expect(rig.shard.get("t")).toMatchObject({ startMs: rig.wallMs - 5, clientVersion: 2 });
        // The answer was lost.
        const before = rig.records.length;
        expect(rig.end(isCommit)).toEqual({ producerId: 100, producerEpoch: 1 });
        expect(rig.end(!isCommit)).toBe("invalid_txn_state");
        expect(rig.records.length).toBe(before);
        expect(rig.admit("a/0", true, { producerEpoch: 1 })).toBe("ok");
      }),
    );

    test(
      `${end} with the last epoch: a fresh id goes on, also for who asks twice`,
      rigged((rig) => {
        rig.put({ state: "ongoing", producerEpoch: EXHAUSTED, startMs: 5 });
        const own = { producerId: 7, producerEpoch: EXHAUSTED };
        rig.markers.waits.add("a");
        rig.admit("a/0", true, own);
        expect(rig.end(isCommit, own)).toEqual({ producerId: 100, producerEpoch: 0 });
        expect(rig.shard.get("t")).toMatchObject({
          producerId: 7,
          producerEpoch: 32_767,
          nextProducerId: 100,
        });
        expect(rig.end(isCommit, own)).toBe("concurrent_transactions");
        // The producer goes on at once, and has to wait: it is told nothing that would end it.
        const next = { producerId: 100, producerEpoch: 0 };
        expect(rig.admit("a/0", true, next)).toBe(BUSY);
        expect(rig.add("a/0", next)).toBe(BUSY);
        expect(rig.end(isCommit, next)).toBe(BUSY);
        expect(rig.init(next)).toBe(BUSY);
      }),
    );

    test(
      `${end} with the last epoch and no id at hand is to be tried again`,
      rigged((rig) => {
        rig.put({ state: "ongoing", producerEpoch: EXHAUSTED, startMs: 5 });
        rig.nextProducerId = null;
        const own = { producerId: 7, producerEpoch: EXHAUSTED };
        expect(rig.end(isCommit, own)).toBe("coordinator_load_in_progress");
        rig.nextProducerId = 200;
        expect(rig.end(isCommit, own)).toEqual({ producerId: 200, producerEpoch: 0 });
        expect(rig.end(isCommit, own)).toEqual({ producerId: 200, producerEpoch: 0 });
        expect(rig.end(!isCommit, own)).toBe("invalid_txn_state");
        expect(rig.told).toBe(`complete_${end} 200/0`);
        // The producer has gone on: its old id means nothing any more.
        rig.admit("a/0", true, { producerId: 200, producerEpoch: 0 });
        expect(rig.end(isCommit, own)).toBe("invalid_producer_id_mapping");
      }),
    );
  }

  // What a retry (one epoch below) and a new request (the current epoch) are told.
  const TABLE: readonly (readonly [
    state: Transaction["state"],
    told: readonly [retryCommit: string, commit: string, retryAbort: string, abort: string],
  ])[] = [
    ["empty", ["producer_fenced", "invalid_txn_state", "producer_fenced", "bump"]],
    ["complete_abort", ["invalid_txn_state", "invalid_txn_state", "done", "bump"]],
    ["complete_commit", ["done", "invalid_txn_state", "invalid_txn_state", "bump"]],
    ["prepare_commit", [BUSY, BUSY, BUSY, BUSY]],
    ["prepare_abort", [BUSY, BUSY, BUSY, BUSY]],
    ["ongoing", ["producer_fenced", "bump", "producer_fenced", "bump"]],
    [
      "dead",
      ["producer_fenced", "unknown_server_error", "producer_fenced", "unknown_server_error"],
    ],
    [
      "prepare_epoch_fence",
      ["producer_fenced", "unknown_server_error", "producer_fenced", "unknown_server_error"],
    ],
  ];
  for (const [state, told] of TABLE) {
    const asks = [
      ["commit asked again", true, 3],
      ["commit", true, 4],
      ["abort asked again", false, 3],
      ["abort", false, 4],
    ] as const;
    for (const [i, [what, isCommit, producerEpoch]] of asks.entries()) {
      test(
        `of one that is ${state}: ${what} is ${told[i]}`,
        rigged((rig) => {
          inState(rig, state);
          const before = rig.records.length;
          const answered = rig.end(isCommit, { producerEpoch });
          if (told[i] === "bump") expect(answered).toEqual({ producerId: 100, producerEpoch: 5 });
          else if (told[i] === "done") {
            expect(answered).toEqual({ producerId: 100, producerEpoch: 4 });
          } else expect(answered).toBe(told[i]!);
          if (told[i] !== "bump") expect(rig.records.length).toBe(before);
          // While an end is on its way nobody is told anything else.
          const isBusy = rig.told.startsWith("prepare_") && state !== "prepare_epoch_fence";
          for (const epoch of [2, 6]) {
            expect(rig.end(isCommit, { producerEpoch: epoch })).toBe(
              isBusy ? BUSY : "producer_fenced",
            );
          }
          expect(rig.end(isCommit, { producerId: 9, producerEpoch })).toBe(
            isBusy ? BUSY : "invalid_producer_id_mapping",
          );
        }),
      );
    }
  }

  test(
    "of an unknown id",
    rigged((rig) => {
      expect(rig.end(true)).toBe("invalid_producer_id_mapping");
      expect(rig.end(false)).toBe("invalid_producer_id_mapping");
    }),
  );

  test(
    "an abort where nothing was begun starts and ends now, without markers",
    rigged((rig) => {
      rig.init();
      rig.wallMs += 9;
      expect(rig.end(false)).toEqual({ producerId: 100, producerEpoch: 1 });
      expect(rig.states).toEqual(["empty", "prepare_abort", "complete_abort"]);
      expect(rig.shard.get("t")).toMatchObject({ startMs: rig.wallMs });
      expect(rig.markers.written).toEqual([]);
    }),
  );

  test(
    "is not forgotten where the feature is off: what it says needs the newer records",
    rigged((rig) => {
      rig.put({ state: "ongoing", producerEpoch: EXHAUSTED, startMs: 5 });
      rig.markers.waits.add("a");
      const own = { producerId: 7, producerEpoch: EXHAUSTED };
      rig.add("a/0", own);
      expect(rig.records.at(-1)?.version).toBe(0);
      rig.end(true, own);
      expect(rig.records.at(-1)?.version).toBe(1);
      rig.reload();
      rig.markers.waits.clear();
      rig.advance(0);
      expect(rig.told).toBe("complete_commit 100/0");
    }, 0),
  );
});
