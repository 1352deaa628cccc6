// Partitions join transactions, are looked for in them, and are let in by the gate of the log.

import { describe, expect, test } from "bun:test";
import { replayAfterEach } from "../shard_rig.ts";
import { TransactionRig } from "./transaction_rig.ts";

replayAfterEach();

function rigged(run: (rig: TransactionRig) => void, version = 2): () => void {
  return () => {
    const rig = new TransactionRig(version);
    run(rig);
    rig.checkReplay();
  };
}

/** Who asks, and what each is told whatever it asks for. */
const REFUSED: readonly (readonly [
  who: string,
  prepare: (rig: TransactionRig) => void,
  fields: { producerId?: number; producerEpoch?: number },
  code: string,
])[] = [
  ["nobody whom the coordinator knows", () => {}, {}, "invalid_producer_id_mapping"],
  ["another producer id", (rig) => rig.init(), { producerId: 1 }, "invalid_producer_id_mapping"],
  [
    "an older epoch",
    (rig) => {
      rig.init();
      rig.init();
    },
    {},
    "producer_fenced",
  ],
  ["a newer epoch", (rig) => rig.init(), { producerEpoch: 1 }, "producer_fenced"],
  [
    "a producer whose commit is on its way",
    (rig) => rig.put({ producerId: 100, state: "prepare_commit" }),
    {},
    "concurrent_transactions",
  ],
  [
    "a producer whose abort is on its way",
    (rig) => rig.put({ producerId: 100, state: "prepare_abort" }),
    {},
    "concurrent_transactions",
  ],
  [
    "an id that is dead, which is never written",
    (rig) => rig.put({ producerId: 100, state: "dead" }),
    {},
    "unknown_server_error",
  ],
  [
    "an id that is being fenced, which is never written",
    (rig) => rig.put({ producerId: 100, state: "prepare_epoch_fence" }),
    {},
    "unknown_server_error",
  ],
];

for (const [who, prepare, fields, code] of REFUSED) {
  describe(who, () => {
    test(
      `may not add: ${code}`,
      rigged((rig) => {
        prepare(rig);
        const before = rig.records.length;
        expect(rig.add("a/0", fields)).toBe(code);
        expect(rig.admit("a/0", true, fields)).toBe(code);
        expect(rig.records.length).toBe(before);
      }),
    );

    test(
      `has nothing verified: ${code}`,
      rigged((rig) => {
        prepare(rig);
        expect([...rig.verify(["a/0", "a/1"], fields)] as unknown).toEqual([code, code]);
        expect(rig.admit("a/0", false, fields)).toBe(code);
      }),
    );
  });
}

describe("while an end is on its way", () => {
  test(
    "whoever adds is told to wait, also with an id or an epoch that is not known yet",
    rigged((rig) => {
      rig.put({ producerId: 100, producerEpoch: 4, state: "prepare_commit" });
      for (const fields of [{ producerEpoch: 4 }, { producerEpoch: 3 }, { producerId: 5 }]) {
        expect(rig.add("a/0", fields)).toBe("concurrent_transactions");
        expect(rig.admit("a/0", true, fields)).toBe("concurrent_transactions");
      }
      expect([...rig.verify(["a/0"], { producerEpoch: 3 })]).toEqual(["producer_fenced"]);
      expect([...rig.verify(["a/0"], { producerId: 5 })]).toEqual(["invalid_producer_id_mapping"]);
    }),
  );
});

describe("a producer that may", () => {
  for (const state of ["empty", "complete_commit", "complete_abort"] as const) {
    test(
      `begins a transaction out of ${state}`,
      rigged((rig) => {
        rig.put({ producerId: 100, state, startMs: 5, updatedMs: 6 });
        rig.wallMs += 77;
        expect(rig.add(["a/0", "b/2"])).toBe("ok");
        expect(rig.told).toBe("ongoing 100/0 a/0 b/2");
        expect(rig.shard.get("t")).toMatchObject({ startMs: rig.wallMs, updatedMs: rig.wallMs });
      }),
    );
  }

  test(
    "adds more to an open one, which keeps its start",
    rigged((rig) => {
      rig.init();
      rig.add("a/0");
      const startMs = rig.wallMs;
      rig.wallMs += 10;
      expect(rig.add(["a/1", "b/0"])).toBe("ok");
      expect(rig.told).toBe("ongoing 100/0 a/0 a/1 b/0");
      expect(rig.shard.get("t")).toMatchObject({ startMs, updatedMs: startMs + 10 });
    }),
  );

  test(
    "writes nothing for what is there already",
    rigged((rig) => {
      rig.init();
      rig.add(["a/0", "a/1"]);
      const before = rig.records.length;
      expect(rig.add(["a/1", "a/0"])).toBe("ok");
      expect(rig.admit("a/1", true)).toBe("ok");
      expect(rig.records.length).toBe(before);
    }),
  );

  test(
    "says by which protocol it adds",
    rigged((rig) => {
      rig.init();
      rig.add("a/0");
      expect(rig.shard.get("t")?.clientVersion).toBe(0);
      expect(rig.admit("a/1", true)).toBe("ok");
      expect(rig.shard.get("t")?.clientVersion).toBe(2);
    }),
  );

  test(
    "has verified what it added, one by one",
    rigged((rig) => {
      rig.init();
      rig.add(["a/0"]);
      expect([...rig.verify(["a/0", "a/1"])]).toEqual([null, "transaction_abortable"]);
      expect(rig.admit("a/0", false)).toBe("ok");
      expect(rig.admit("a/1", false)).toBe("transaction_abortable");
    }),
  );

  test(
    "has nothing in a transaction that has ended",
    rigged((rig) => {
      rig.init();
      rig.add(["a/0"]);
      rig.endOld(true);
      expect([...rig.verify(["a/0"])]).toEqual(["transaction_abortable"]);
      expect(rig.admit("a/0", false)).toBe("transaction_abortable");
    }),
  );

  test(
    "is let in by the gate, which begins the transaction",
    rigged((rig) => {
      rig.init();
      expect(rig.admit("a/0", true)).toBe("ok");
      expect(rig.admit("b/0", true)).toBe("ok");
      expect(rig.told).toBe("ongoing 100/0 a/0 b/0");
    }),
  );

  test(
    "is refused by the gate with the epoch of a transaction that has ended",
    rigged((rig) => {
      rig.init();
      rig.admit("a/0", true);
      rig.end(true);
      expect(rig.admit("a/0", true)).toBe("producer_fenced");
      expect(rig.admit("a/0", true, { producerEpoch: 1 })).toBe("ok");
      expect(rig.told).toBe("ongoing 100/1 a/0");
    }),
  );
});
