// A coordinator that goes after any record of a life, and another that begins where it ended: what was decided is done, what was
// open runs out of its time, nobody gets an epoch that somebody had, and the producer goes on.

import { describe, expect, test } from "bun:test";
import { replayAfterEach } from "../shard_rig.ts";
import { ID, TransactionRig } from "./transaction_rig.ts";

replayAfterEach();

type Step = (rig: TransactionRig) => void;

/** The producer as it is by now. */
const own = (rig: TransactionRig) => {
  const { producerId, producerEpoch } = rig.shard.get(ID)!;
  return { producerId, producerEpoch };
};

const OLDER: readonly Step[] = [
  (rig) => rig.init(),
  (rig) => rig.add(["a/0", "b/1"], own(rig)),
  (rig) => rig.add("c/0", own(rig)),
  (rig) => rig.endOld(true, own(rig)),
  (rig) => rig.add("a/0", own(rig)),
  (rig) => rig.endOld(false, own(rig)),
  (rig) => rig.init(own(rig)),
  (rig) => rig.add("b/0", own(rig)),
  // Another producer comes: the transaction is aborted.
  (rig) => rig.init(),
  (rig) => rig.init(),
  (rig) => rig.add("b/0", own(rig)),
  (rig) => rig.advance(80_000),
  (rig) => rig.put({ ...rig.shard.get(ID)!, producerEpoch: 32_766, state: "empty" }),
  (rig) => rig.init(),
];

const NEWER: readonly Step[] = [
  (rig) => rig.init(),
  (rig) => rig.admit(["a/0", "b/1"], true, own(rig)),
  (rig) => rig.end(true, own(rig)),
  (rig) => rig.admit("a/0", true, own(rig)),
  (rig) => rig.end(false, own(rig)),
  (rig) => rig.end(false, own(rig)),
  (rig) => rig.admit("c/0", true, own(rig)),
  (rig) => rig.init(),
  (rig) => rig.init(),
  (rig) => rig.put({ ...rig.shard.get(ID)!, producerEpoch: 32_766, state: "empty" }),
  (rig) => rig.admit(["a/0", "b/0"], true, own(rig)),
  // The epochs are used up: it goes on with another id.
  (rig) => rig.end(true, own(rig)),
  (rig) => rig.admit("a/0", true, own(rig)),
  (rig) => rig.advance(80_000),
];

const ENDED = ["empty", "complete_commit", "complete_abort"];

describe.each([
  ["the older protocol", OLDER, [0, 1]],
  ["the newer protocol", NEWER, [2]],
] as const)("a crash after any record of %s", (_name, steps, levels) => {
  for (const level of levels) {
    test(`is made good, level ${level}`, () => {
      const life = new TransactionRig(level);
      for (const step of steps) step(life);
      const states = new Set<string>();
      for (let count = 0; count <= life.records.length; count++) {
        const next = new TransactionRig(level);
        next.wallMs = life.wallMs;
        next.nextProducerId = 5000;
        next.records.push(...life.records.slice(0, count));
        next.reload();
        const before = next.records.at(-1)?.transaction;
        const where = { count, state: before?.state ?? "none" };
        states.add(where.state);
        next.advance(80_000);
        const after = next.shard.get(ID);
        const state = after?.state ?? "empty";
        expect({ ...where, isOver: ENDED.includes(state) }).toEqual({ ...where, isOver: true });
        // Each partition of what was open or ending has its marker, of the right kind.
        const isCommit = before?.state === "prepare_commit";
        const isOver = before == null || ENDED.includes(before.state);
        const partitions = isOver
          ? []
          : Array.from(before.partitions, ([topic, all]) => [...all].map((p) => `${topic}/${p}`));
        expect(next.markers.written.map((each) => each.partition).sort()).toEqual(
          partitions.flat().sort(),
        );
        for (const { marker } of next.markers.written) expect(marker.isCommit).toBe(isCommit);
        // Whoever comes has what nobody had, and begins.
        const inited = next.init();
        if (typeof inited === "string") throw new Error(`${inited} after ${count}`);
        for (const { transaction } of life.records.slice(0, count)) {
          const isSame = transaction!.producerId === inited.producerId;
          if (isSame) expect(inited.producerEpoch).toBeGreaterThan(transaction!.producerEpoch);
        }
        expect(next.add("z/0", inited)).toBe("ok");
        next.checkReplay();
      }
      const all = ["none", ...ENDED, "ongoing", "prepare_abort", "prepare_commit"];
      expect([...states].sort()).toEqual(all.sort());
    });
  }
});
