// A cluster of three whole brokers: what is acknowledged survives as many losses as min.insync.replicas says, those who return come
// into sync, leaders spread again; and what settings of replication do, seen on the wire between brokers.

import { afterEach, describe, expect, test } from "bun:test";
import { ClusterRig, type RigPartition } from "../support/cluster_rig.ts";

let rig: ClusterRig;
afterEach(() => rig.close());

const inSync = (count: number) => (partitions: readonly RigPartition[]) =>
  partitions.every(({ leaderId, isrNodes }) => leaderId >= 0 && isrNodes.length === count);

/** How many partitions each of the brokers leads. */
function led(partitions: readonly RigPartition[]): number[] {
  return [1, 2, 3].map((id) => partitions.filter(({ leaderId }) => leaderId === id).length);
}

describe("three brokers", () => {
  test("one is killed: others lead, nothing acknowledged is lost; it returns, is in sync, and leads its share", async () => {
    rig = new ClusterRig({ "min.insync.replicas": 2 });
    await rig.start([1, 2, 3]);
    await rig.topic("users", 6, 3);
    const first = await rig.untilPartitions("users", "all are in sync", inSync(3));
    expect(led(first)).toEqual([2, 2, 2]);
    for (let p = 0; p < 6; p++) expect(await rig.produced("users", p, [`a${p}`, `b${p}`])).toBe(0);
    await rig.kill(2);
    for (let p = 0; p < 6; p++) expect(await rig.produced("users", p, [`c${p}`])).toBe(2);
    const without = await rig.untilPartitions("users", "two are in sync", inSync(2));
    expect(led(without)[1]).toBe(0);
    await rig.start([2]);
    await rig.untilPartitions("users", "all are in sync again", inSync(3));
    const last = await rig.untilPartitions(
      "users",
      "leaders are spread again",
      (partitions) => led(partitions).join() === "2,2,2",
    );
    expect(last.map(({ leaderId }) => leaderId)).toEqual(first.map(({ leaderId }) => leaderId));
    for (let p = 0; p < 6; p++) {
      expect(await rig.values("users", p)).toEqual([`a${p}`, `b${p}`, `c${p}`]);
      expect(await rig.produced("users", p, [`d${p}`])).toBe(3);
    }
  });

  test("two are killed: with min.insync.replicas 1 the last goes on, with 2 it refuses acks=all, and takes it when one is back", async () => {
    rig = new ClusterRig();
    await rig.start([1, 2, 3]);
    await rig.topic("one", 3, 3, { "min.insync.replicas": "1" });
    await rig.topic("two", 3, 3, { "min.insync.replicas": "2" });
    for (const name of ["one", "two"]) {
      await rig.untilPartitions(name, "all are in sync", inSync(3));
      for (let p = 0; p < 3; p++) await rig.produced(name, p, [`a${p}`]);
    }
    await rig.kill(1);
    await rig.untilPartitions("two", "two are in sync", inSync(2));
    for (let p = 0; p < 3; p++) expect(await rig.produced("two", p, [`b${p}`])).toBe(1);
    await rig.kill(3);
    await rig.untilPartitions("two", "one is in sync", inSync(1));
    await rig.untilPartitions("one", "one is in sync", inSync(1));
    for (let p = 0; p < 3; p++) {
      expect(await rig.produced("one", p, [`b${p}`])).toBe(1);
      expect(await rig.produce("two", p, ["refused"])).toBe("not_enough_replicas");
    }
    await rig.start([1, 3]);
    for (const name of ["one", "two"]) {
      await rig.untilPartitions(name, "all are in sync again", inSync(3));
      for (let p = 0; p < 3; p++) expect(await rig.produced(name, p, [`c${p}`])).toBe(2);
      await rig.untilPartitions(
        name,
        "leaders are spread again",
        (partitions) => led(partitions).join() === "1,1,1",
      );
      for (let p = 0; p < 3; p++) {
        expect(await rig.values(name, p)).toEqual([`a${p}`, `b${p}`, `c${p}`]);
      }
    }
  });
});
