// Producers that do anything at any time, some of them twice, over crashes, lost answers and markers that fail: what was answered
// holds, no transaction is both committed and aborted, epochs only grow, and everything comes to an end.

import { expect, test } from "bun:test";
import { SeededRandom } from "../../../../src/base/prng.ts";
import type { Outcome } from "../../../../src/protocol/errors.ts";
import { OK, TransactionRig } from "./transaction_rig.ts";

interface Believed {
  producerId: number;
  producerEpoch: number;
}

const PARTITIONS = ["a/0", "a/1", "b/0", "b/1", "c/0"];
const SEEDS = 150;
const STEPS = 120;

test(`${SEEDS} seeds`, async () => {
  for (let seed = 0; seed < SEEDS; seed++) await run(seed);
});

async function run(seed: number): Promise<void> {
  const random = SeededRandom.of(`transactions ${seed}`);
  const version = random.uint32() % 3;
  const rig = new TransactionRig(version);
  const pick = <T>(list: readonly T[]): T => list[random.uint32() % list.length]!;
  const chance = (percent: number) => random.uint32() % 100 < percent;
  /** How each transaction ended, by producer id and the epoch of its markers, which the older protocol uses again. */
  const ends = new Map<string, boolean>();
  rig.markers.onWrite = (marker, partition) => {
    // The decision is in the log, it is the last word on the id, and the partition is part of it.
    const last = rig.records.at(-1)!.transaction!;
    const known = rig.shard.get("t")!;
    expect({ seed, last }).toEqual({ seed, last: known });
    expect(known.state).toBe(marker.isCommit ? "prepare_commit" : "prepare_abort");
    expect(known.partitions.get(partition.topic)?.has(partition.partition)).toBe(true);
    expect([marker.producerId, marker.producerEpoch]).toEqual([
      known.producerId,
      known.producerEpoch,
    ]);
    if (marker.transactionVersion < 2) return;
    const key = `${marker.producerId}/${marker.producerEpoch}`;
    expect({ seed, key, isCommit: ends.get(key) ?? marker.isCommit }).toEqual({
      seed,
      key,
      isCommit: marker.isCommit,
    });
    ends.set(key, marker.isCommit);
  };
  if (chance(50)) rig.markers.waits.add("b");
  if (chance(30)) rig.markers.unordered.add("c");
  if (chance(30)) rig.put({ producerEpoch: 32_760 });
  const believed: Believed[] = [];
  let highest = "";
  for (let step = 0; step < STEPS; step++) {
    const own = believed.length === 0 ? null : chance(80) ? believed.at(-1)! : pick(believed);
    switch (random.uint32() % 9) {
      case 0: {
        const got = rig.init(own !== null && chance(50) ? own : null);
        if (typeof got !== "string") believed.push(got);
        break;
      }
      case 1:
      case 2:
        if (own !== null) rig.add(pick(PARTITIONS), own);
        break;
      case 3:
        if (own !== null) rig.admit(pick(PARTITIONS), chance(70), own);
        break;
      case 4:
      case 5: {
        if (own === null) break;
        const isCommit = chance(60);
        const before = rig.shard.get("t")!;
        const got = chance(50) ? rig.end(isCommit, own) : rig.endOld(isCommit, own);
        if (typeof got === "string") break;
        if (before.state === "ongoing") {
          expect(rig.shard.get("t")!.state).toEndWith(isCommit ? "commit" : "abort");
        }
        // Some answers are lost.
        if (chance(80)) believed.push(got);
        break;
      }
      case 6:
        await rig.markers.answer(
          chance(60) ? OK : pick(["not_leader_or_follower", "request_timed_out"] as const),
        );
        break;
      case 7:
        rig.advance(pick([0, 20, 1000, 61_000]));
        break;
      default:
        if (chance(30)) rig.reload();
    }
    const { producerId, producerEpoch } = rig.shard.get("t") ?? {
      producerId: 0,
      producerEpoch: -1,
    };
    const now = `${String(producerId).padStart(6, "0")}/${String(producerEpoch).padStart(6, "0")}`;
    expect({ seed, step, grows: now >= highest }).toEqual({ seed, step, grows: true });
    highest = now;
  }
  for (let i = 0; i < 50; i++) {
    await rig.markers.answer(OK as Outcome<null>);
    rig.advance(10_000);
  }
  const end = rig.shard.get("t");
  expect(["none", "empty", "complete_commit", "complete_abort"]).toContain(end?.state ?? "none");
  rig.checkReplay();
}
