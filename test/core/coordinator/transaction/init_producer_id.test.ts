// InitProducerId: who gets which id and epoch, and who is told that somebody else has taken over (KIP-98, KIP-360).

import { describe, expect, test } from "bun:test";
import type { Reply } from "../../../../src/core/coordinator/runtime/shard.ts";
import type { ProducerIdentity } from "../../../../src/core/coordinator/transaction/transaction_shard.ts";
import type { Outcome } from "../../../../src/protocol/errors.ts";
import { replayAfterEach } from "../shard_rig.ts";
import { TransactionRig } from "./transaction_rig.ts";

replayAfterEach();

const EXHAUSTED = 32_766;

/** Runs the case, then replays all that it wrote. */
function rigged(run: (rig: TransactionRig) => void, version = 2): () => void {
  return () => {
    const rig = new TransactionRig(version);
    run(rig);
    rig.checkReplay();
  };
}

describe("a producer that begins anew", () => {
  test(
    "gets a fresh id with epoch 0",
    rigged((rig) => {
      expect(rig.init()).toEqual({ producerId: 100, producerEpoch: 0 });
      expect(rig.told).toBe("empty 100/0");
      expect(rig.shard.get("t")).toMatchObject({
        timeoutMs: 60_000,
        startMs: -1,
        updatedMs: rig.wallMs,
        previousProducerId: 100,
        nextProducerId: -1,
      });
    }),
  );

  test(
    "is told to ask again when no id is at hand, and nothing is written",
    rigged((rig) => {
      rig.nextProducerId = null;
      expect(rig.init()).toBe("coordinator_load_in_progress");
      expect(rig.records).toEqual([]);
    }),
  );

  test(
    "gets a fresh id also when it names one: the transactional id may have expired",
    rigged((rig) => {
      expect(rig.init({ producerId: 5, producerEpoch: 3 })).toEqual({
        producerId: 100,
        producerEpoch: 0,
      });
    }),
  );

  test(
    "each further one gets the next epoch, and its own timeout",
    rigged((rig) => {
      rig.init();
      expect(rig.init(null, { timeoutMs: 5 })).toEqual({ producerId: 100, producerEpoch: 1 });
      expect(rig.shard.get("t")?.timeoutMs).toBe(5);
      expect(rig.init()).toEqual({ producerId: 100, producerEpoch: 2 });
    }),
  );

  for (const state of ["empty", "complete_commit", "complete_abort"] as const) {
    test(
      `bumps the epoch of one that is ${state}`,
      rigged((rig) => {
        rig.put({ state, producerEpoch: 4, startMs: 17 });
        expect(rig.init()).toEqual({ producerId: 7, producerEpoch: 5 });
        expect(rig.shard.get("t")).toMatchObject({ state: "empty", startMs: -1 });
      }),
    );

    test(
      `of one that is ${state} takes a fresh id when the epochs are used up`,
      rigged((rig) => {
        rig.put({ state, producerEpoch: EXHAUSTED });
        expect(rig.init()).toEqual({ producerId: 100, producerEpoch: 0 });
        expect(rig.shard.get("t")?.previousProducerId).toBe(7);
      }),
    );
  }

  test(
    "is told to ask again when the epochs are used up and no id is at hand",
    rigged((rig) => {
      rig.put({ producerEpoch: EXHAUSTED });
      rig.nextProducerId = null;
      expect(rig.init()).toBe("coordinator_load_in_progress");
      expect(rig.told).toBe(`empty 7/${EXHAUSTED}`);
    }),
  );

  test(
    "may have the last epoch but one, and no other after it",
    rigged((rig) => {
      rig.put({ producerEpoch: EXHAUSTED - 1 });
      expect(rig.init()).toEqual({ producerId: 7, producerEpoch: EXHAUSTED });
      expect(rig.init()).toEqual({ producerId: 100, producerEpoch: 0 });
    }),
  );

  for (const state of ["prepare_commit", "prepare_abort"] as const) {
    test(
      `has to ask again while ${state} has markers to write`,
      rigged((rig) => {
        rig.markers.waits.add("a");
        rig.init();
        rig.add("a/0");
        rig.end(state === "prepare_commit");
        expect(rig.told).toBe(`${state} 100/1 a/0`);
        expect(rig.init()).toBe("concurrent_transactions");
        expect(rig.init({ producerEpoch: 1 })).toBe("concurrent_transactions");
      }),
    );
  }

  for (const state of ["dead", "prepare_epoch_fence"] as const) {
    test(
      `finds a defect in ${state}, which is never written`,
      rigged((rig) => {
        rig.put({ state });
        expect(rig.init()).toBe("unknown_server_error");
      }),
    );
  }
});

describe("over an open transaction", () => {
  for (const version of [0, 1, 2]) {
    test(
      `aborts it under a fenced epoch and asks to come again, version ${version}`,
      rigged((rig) => {
        rig.init();
        rig.add(["a/0", "b/1"]);
        expect(rig.init()).toBe("concurrent_transactions");
        expect(rig.told).toBe("complete_abort 100/1");
        expect(rig.states).toEqual(["empty", "ongoing", "prepare_abort", "complete_abort"]);
        expect(rig.markers.written).toEqual(
          ["a/0", "b/1"].map((partition) => ({
            partition,
            marker: {
              producerId: 100,
              producerEpoch: 1,
              coordinatorEpoch: 3,
              isCommit: false,
              transactionVersion: version === 2 ? 2 : 0,
            },
          })),
        );
        // The epoch of the abort was told nobody.
        expect(rig.init()).toEqual({ producerId: 100, producerEpoch: 2 });
        expect(rig.add("a/0")).toBe("producer_fenced");
        expect(rig.endOld(true)).toBe("producer_fenced");
      }, version),
    );
  }

  test(
    "with the last epoch: the older protocol fences with the largest, and a fresh id follows",
    rigged((rig) => {
      rig.put({ state: "ongoing", producerEpoch: EXHAUSTED, startMs: 1 });
      expect(rig.init()).toBe("concurrent_transactions");
      expect(rig.told).toBe("complete_abort 7/32767");
      expect(rig.init()).toEqual({ producerId: 100, producerEpoch: 0 });
    }, 1),
  );

  test(
    "with the last epoch: the newer protocol goes on with a fresh id",
    rigged((rig) => {
      rig.put({ state: "ongoing", producerEpoch: EXHAUSTED, startMs: 1 });
      expect(rig.init()).toBe("concurrent_transactions");
      expect(rig.told).toBe("complete_abort 100/0");
      expect(rig.init()).toEqual({ producerId: 100, producerEpoch: 1 });
    }),
  );

  test(
    "with the last epoch and no id at hand nothing happens",
    rigged((rig) => {
      rig.put({ state: "ongoing", producerEpoch: EXHAUSTED, startMs: 1 });
      rig.nextProducerId = null;
      expect(rig.init()).toBe("coordinator_load_in_progress");
      expect(rig.told).toBe(`ongoing 7/${EXHAUSTED}`);
    }),
  );

  for (const version of [1, 2]) {
    test(
      `with the largest epoch, which nobody should have, it can be aborted, version ${version}`,
      rigged((rig) => {
        rig.put({ state: "ongoing", producerEpoch: 32_767, startMs: 1 });
        expect(rig.init()).toBe("concurrent_transactions");
        expect(rig.markers.written).toEqual([]);
        expect(rig.init()).toMatchObject({ producerId: 100 });
      }, version),
    );
  }

  test(
    "the answer waits until the abort is committed",
    rigged((rig) => {
      rig.init();
      rig.add("a/0");
      rig.commitsAtOnce = false;
      const asked = rig.ask((shard, reply: Reply<Outcome<ProducerIdentity>>, now) =>
        shard.initProducerId({ transactionalId: "t", timeoutMs: 1, expected: null }, now, reply),
      );
      expect(asked.isDone).toBe(false);
      expect(rig.markers.written.length).toBe(1);
      rig.commit();
      expect(asked.isDone).toBe(true);
    }),
  );
});

describe("a producer that names its id and epoch (KIP-360)", () => {
  test(
    "gets the next epoch, and the same once more when the answer was lost",
    rigged((rig) => {
      rig.init();
      expect(rig.init({ producerEpoch: 0 })).toEqual({ producerId: 100, producerEpoch: 1 });
      expect(rig.init({ producerEpoch: 0 })).toEqual({ producerId: 100, producerEpoch: 1 });
      expect(rig.init({ producerEpoch: 1 })).toEqual({ producerId: 100, producerEpoch: 2 });
      expect(rig.init({ producerEpoch: 0 })).toBe("producer_fenced");
    }),
  );

  test(
    "is fenced by whoever began anew since",
    rigged((rig) => {
      rig.init();
      rig.init({ producerEpoch: 0 });
      rig.init();
      expect(rig.init({ producerEpoch: 0 })).toBe("producer_fenced");
      expect(rig.init({ producerEpoch: 1 })).toBe("producer_fenced");
    }),
  );

  test(
    "is fenced when it repeats itself after a load: that is not in the log",
    rigged((rig) => {
      rig.init();
      rig.init({ producerEpoch: 0 });
      rig.reload();
      expect(rig.init({ producerEpoch: 0 })).toBe("producer_fenced");
      expect(rig.init({ producerEpoch: 1 })).toEqual({ producerId: 100, producerEpoch: 2 });
    }),
  );

  test(
    "is fenced with another id",
    rigged((rig) => {
      rig.init();
      expect(rig.init({ producerId: 99, producerEpoch: 0 })).toBe("producer_fenced");
      expect(rig.init({ producerId: 99, producerEpoch: EXHAUSTED })).toBe("producer_fenced");
    }),
  );

  for (const version of [0, 2]) {
    test(
      `gets a fresh id with the last epoch, and the same once more, version ${version}`,
      rigged((rig) => {
        rig.put({ producerEpoch: EXHAUSTED });
        const own = { producerId: 7, producerEpoch: EXHAUSTED };
        expect(rig.init(own)).toEqual({ producerId: 100, producerEpoch: 0 });
        expect(rig.init(own)).toEqual({ producerId: 100, producerEpoch: 0 });
        // Not with an epoch that was not the last.
        expect(rig.init({ producerId: 7, producerEpoch: 3 })).toBe("producer_fenced");
        expect(rig.init({ producerEpoch: 0 })).toEqual({ producerId: 100, producerEpoch: 1 });
        expect(rig.init(own)).toBe("producer_fenced");
      }, version),
    );
  }

  test(
    "is fenced where the epochs were used up by others",
    rigged((rig) => {
      rig.put({ producerEpoch: EXHAUSTED });
      expect(rig.init({ producerId: 7, producerEpoch: 4 })).toBe("producer_fenced");
    }),
  );

  test(
    "may not repeat what came before an end of the newer protocol",
    rigged((rig) => {
      rig.init();
      rig.add("a/0");
      rig.end(true);
      // Kafka remembers the epoch before the end as well, and answers with the one after it.
      expect(rig.init({ producerEpoch: 0 })).toEqual({ producerId: 100, producerEpoch: 1 });
      expect(rig.init({ producerEpoch: 1 })).toEqual({ producerId: 100, producerEpoch: 2 });
    }),
  );
});

test("transactional ids have nothing to do with one another", () => {
  const rig = new TransactionRig();
  expect(rig.init()).toEqual({ producerId: 100, producerEpoch: 0 });
  expect(rig.init(null, { transactionalId: "u" })).toEqual({ producerId: 101, producerEpoch: 0 });
  expect(rig.init(null, { transactionalId: "u" })).toEqual({ producerId: 101, producerEpoch: 1 });
  expect(rig.told).toBe("empty 100/0");
  rig.checkReplay();
});
