// An open transaction at the beginning of a log that has grown large: what a start reads, and holds, does not grow with it.

import { expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { ok } from "../../../src/base/outcome.ts";
import { PartitionLog } from "../../../src/core/log/partition_log.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { batchOf, caller, LogRig, type RigOptions, topic } from "../../support/log_rig.ts";
import { readCommitted } from "../../support/transaction_model.ts";

const OPTIONS: RigOptions = {
  topics: [topic("t", 1, { "internal.segment.bytes": "50000", "retention.bytes": "-1" })],
  journalFileBytes: 16 * 1024,
  journalBytesMax: 0,
  grownBytes: 2000,
  gate: { admit: () => ok(null) },
};
const logOf = (rig: LogRig) => rig.logs.logIn(rig.logs.topicNamed("t")!, 0)!;
const OPEN_ID = 7;

async function send(rig: LogRig, producerId: number, epoch: number, values: readonly string[]) {
  const options = { producerId, producerEpoch: epoch, baseSequence: 0, isTransactional: true };
  const request = { acks: -1, timeoutMs: 1000, transactionalId: "tx", addsToTransaction: true };
  const [outcome] = await rig.api.append(caller, {
    ...request,
    acks: -1,
    partitions: [{ topic: "t", partition: 0, batches: batchOf(values, options) }],
  });
  if (!outcome!.ok) throw new Error(outcome!.error.message);
}

async function end(rig: LogRig, producerId: number, producerEpoch: number, isCommit: boolean) {
  const marker = {
    producerId,
    producerEpoch,
    coordinatorEpoch: 0,
    isCommit,
    transactionVersion: 2,
  };
  const verdict = logOf(rig).appendMarker(marker, rig.test.wallMs);
  if (verdict.kind !== "appended") throw new Error(verdict.kind);
  await verdict.group.settled();
}

/** A log with an open transaction, and `count` transactions behind it, every third of them aborted. */
async function grown(count: number) {
  const plugin = storageMemory();
  const rig = await LogRig.open(plugin, OPTIONS);
  await send(rig, OPEN_ID, 0, ["open"]);
  for (let i = 0; i < count; i++) {
    await send(rig, 8, i, [`${i} ${"x".repeat(200)}`]);
    await end(rig, 8, i + 1, i % 3 !== 0);
    if (i % 50 === 0) await rig.logs.maintain(false);
  }
  await rig.logs.maintain(false);
  await rig.close();
  return plugin;
}

test("is found by what a start reads of the journal alone", async () => {
  const entries: number[] = [];
  for (const count of [200, 1200]) {
    const plugin = await grown(count);
    const reads: string[] = [];
    const hooked = hookedStorage(plugin, (call, name) => {
      if (call === "read" && name.startsWith("segments/")) reads.push(name);
      return undefined;
    });
    const rig = await LogRig.open(hooked, OPTIONS);
    const log = logOf(rig);
    expect(reads).toEqual([]);
    entries.push(Number(rig.test.events("logs_opened")[0]!.fields["entries"]));
    expect(log.logEndOffset).toBe(1 + 2 * count);
    expect(log.lastStableOffset).toBe(0);
    expect(log.transactions!.openCount).toBe(1);
    // What was aborted is in files; what of it is in memory lies in the journal still.
    expect(log.transactions!.aborted.count).toBeLessThan(100);
    await end(rig, OPEN_ID, 1, false);
    expect(log.lastStableOffset).toBe(log.logEndOffset);
    expect((await readCommitted(rig, 0, 100_000)).length).toBe(count - Math.ceil(count / 3));
    await rig.close();
  }
  // Six times the log, and no more to read: a journal file or two.
  expect(entries[1]!).toBeLessThan(entries[0]! + 200);
}, 30_000);

test("is not held in memory by a start that goes through many files of ended transactions", async () => {
  const plugin = storageMemory();
  // Nothing is given up: all of it is replayed.
  const options = { ...OPTIONS, journalBytesMax: 10_000_000 };
  const rig = await LogRig.open(plugin, options);
  const count = 600;
  for (let i = 0; i < count; i++) {
    await send(rig, 8, i, ["x"]);
    await end(rig, 8, i + 1, i % 3 !== 0);
  }
  await rig.close();
  const { applyMarker } = PartitionLog.prototype;
  let replayed = 0;
  let endedMax = 0;
  PartitionLog.prototype.applyMarker = function (...marker) {
    applyMarker.apply(this, marker);
    replayed++;
    endedMax = Math.max(endedMax, this.transactions!.endedCount);
  };
  try {
    const again = await LogRig.open(plugin, options);
    expect(replayed).toBe(count);
    // As many as one file of the journal holds.
    expect(endedMax).toBeLessThan(100);
    expect(logOf(again).lastStableOffset).toBe(2 * count);
    await again.close();
  } finally {
    PartitionLog.prototype.applyMarker = applyMarker;
  }
});
