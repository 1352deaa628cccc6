// A follower's fetch gets what is appended while the leader's own sync of it is under way, and none of it is committed
// before both have it.

import { expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import type { FetchRequest } from "../../../src/contracts/broker.ts";
import { ReplicaFetch } from "../../../src/core/broker/replica_fetch.ts";
import type { PartitionImage } from "../../../src/core/cluster/image.ts";
import type { PartitionLog } from "../../../src/core/log/partition_log.ts";
import { PartitionLeader } from "../../../src/core/partition/partition_leader.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { batchOf, caller, LogRig, topic } from "../../support/log_rig.ts";

const T = topic("t");
const IMAGE: PartitionImage = {
  replicas: [1, 2],
  isr: [1, 2],
  leader: 1,
  leaderEpoch: 4,
  partitionEpoch: 7,
} as unknown as PartitionImage;

function leaderOf(log: PartitionLog, rig: LogRig): PartitionLeader {
  const { clock, scheduler } = rig.test.runtime;
  const leader = new PartitionLeader(
    {
      log,
      brokerId: 1,
      nowMs: () => clock.monotonicMs(),
      lagMsMax: () => 30_000,
      minInSync: () => 1,
      registration: () => ({ epoch: 9, isStopping: false }),
      propose: () => Promise.resolve({ kind: "unknown" }),
      after: (delayMs, label, task) => scheduler.after(delayMs, label, task),
    },
    IMAGE,
  );
  log.role = leader;
  return leader;
}

function question(fetchOffset: number, syncedEnd: number): FetchRequest {
  return {
    isolation: "read_uncommitted",
    waitMsMax: 60_000,
    bytesMin: 1,
    bytesMax: 1 << 20,
    replica: { id: 2, epoch: 9 },
    partitions: [
      {
        topic: "t",
        topicId: T.id,
        partition: 0,
        fetchOffset,
        bytesMax: 1 << 20,
        leaderEpoch: 4,
        follower: { lastFetchedEpoch: -1, syncedEnd, highWatermark: 0, logStartOffset: 0 },
      },
    ],
  } as FetchRequest;
}

test("a follower is sent what its leader has not synced yet, and nothing is committed before both have", async () => {
  let gate: Promise<void> | undefined;
  let openGate = () => {};
  const plugin = hookedStorage(storageMemory(), (call, name) =>
    (call === "append" || call === "sync") && name.startsWith("journal/") ? gate : undefined,
  );
  const rig = await LogRig.open(plugin, { replicates: () => true });
  const log = rig.logs.log(T.id, 0)!;
  const leader = leaderOf(log, rig);
  const options = {
    logs: rig.logs,
    runtime: rig.test.runtime,
    leaderOf: () => leader,
    isHeld: () => true,
  };
  gate = new Promise((resolve) => {
    openGate = resolve;
  });
  // Parked first: the append wakes it, not the sync.
  const parked = new ReplicaFetch(options, caller, question(0, 0)).run();
  const appended = rig.append(batchOf(["a", "b"]));
  const response = await parked;
  const outcome = response.partitions[0]!;
  expect(outcome.ok && outcome.value.sizeBytes).toBeGreaterThan(0);
  response.release();
  expect([log.syncedEnd, log.highWatermark, log.logEndOffset]).toEqual([0, 0, 2]);

  // The follower has synced it before its leader has: that is not committed.
  const second = new ReplicaFetch(options, caller, question(2, 2)).run();
  expect(leader.follower(2)!.syncedEnd).toBe(2);
  expect(log.highWatermark).toBe(0);
  gate = undefined;
  openGate();
  await rig.logs.journal.flush();
  expect([log.syncedEnd, log.highWatermark]).toEqual([2, 2]);
  expect((await appended).ok).toBe(true);
  // And the follower hears of it at once.
  const told = (await second).partitions[0]!;
  expect(told.ok && told.value.highWatermark).toBe(2);
  leader.end();
  await rig.close();
});
