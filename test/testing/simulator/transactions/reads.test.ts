// What answers about stable offsets are held against.

import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../../src/base/prng.ts";
import { ListOffsets } from "../../../../src/protocol/messages/02_list_offsets.ts";
import type { SimConnection } from "../../../../src/testing/simulator/sim_client.ts";
import { Trace } from "../../../../src/testing/simulator/trace.ts";
import { TransactionModel } from "../../../../src/testing/simulator/transactions/model.ts";
import {
  fetchFrom,
  LATEST,
  listOffsetOf,
  READ_COMMITTED,
} from "../../../../src/testing/simulator/transactions/reads.ts";
import { World } from "../../../../src/testing/simulator/world.ts";

/** A fetch that says where the partition is stable, of where it ends, from where it starts; a number: a look-up of the end. */
type Said = readonly [stable: number, end: number, start: number] | number;

/** @returns What contradicts what was said before; null when nothing does */
async function judge(expires: boolean, said: readonly Said[]): Promise<string | null> {
  const world = new World(SeededRandom.of(1), new Trace(false));
  const model = new TransactionModel({
    world,
    timesOutEarly: false,
    idsExpire: false,
    producersExpire: false,
  });
  const shape = { name: "t", partitionCount: 1, isCompacted: false, expires };
  const partition = model.addTopic(shape, 1000).partitions[0]!;
  const versionOf = ({ highestStable }: { readonly highestStable: number }) => highestStable;
  for (const each of said) {
    const request = async (api: object): Promise<unknown> => {
      if (api === ListOffsets) {
        return { topics: [{ partitions: [{ partitionIndex: 0, errorCode: 0, offset: each }] }] };
      }
      const [lastStableOffset, highWatermark, logStartOffset] = each as [number, number, number];
      const ends = { lastStableOffset, highWatermark, logStartOffset };
      const answer = { partitionIndex: 0, errorCode: 0, ...ends, records: null };
      return { responses: [{ topicId: "", partitions: [answer] }] };
    };
    const connection = { versionOf, request } as unknown as SimConnection;
    if (typeof each === "number") {
      await listOffsetOf(connection, model, partition, LATEST, READ_COMMITTED);
    } else {
      const how = { isolation: READ_COMMITTED, maxWaitMs: 0, bytesMax: 1 } as const;
      await fetchFrom(connection, model, [{ partition, offset: each[0] }], how);
    }
  }
  return world.failure?.message ?? null;
}

describe("the stable offset of a partition", () => {
  // Seed 12438: retention took an open transaction, and the broker was killed before that start was synced.
  test("may fall back with a start that lifted it over an open transaction", async () => {
    expect(await judge(true, [[22, 22, 8], [24, 24, 24], 24, [22, 25, 10]])).toBeNull();
    expect(await judge(true, [[22, 22, 8], [24, 24, 24], [22, 25, 10], 22])).toBeNull();
  });

  test("falls back for no other reason", async () => {
    const back = "stable up to 22 after 24";
    expect(
      await judge(true, [
        [24, 24, 8],
        [22, 25, 10],
      ]),
    ).toContain(back);
    expect(await judge(true, [[24, 24, 8], [25, 25, 25], 22])).toContain("offset 22 after 24");
    expect(await judge(false, [24, [22, 25, 0]])).toContain(back);
    expect(await judge(false, [[24, 24, 0], 22])).toContain("offset 22 after 24");
  });
});
