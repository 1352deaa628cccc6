// What cleaning waits for. A marker stays for delete.retention.ms once nothing of its transaction is left, so that whoever
// reads just now gets to see it, and while nothing else says how far its producer's epoch has come; files stay until what
// takes their place is on disk.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { ok } from "../../../src/base/outcome.ts";
import { batchesIn, type RecordBatch } from "../../../src/record/record_batch.ts";
import { compacted, keyedBatch, logOf } from "../../support/compacted_log.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { caller, LogRig, type RigOptions } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";

const RETENTION_MS = 5000;
const OPTIONS: RigOptions = {
  ...compacted({ "delete.retention.ms": `${RETENTION_MS}`, "internal.segment.bytes": "100000" }),
  gate: { admit: () => ok(null) },
};

async function send(rig: LogRig, producerId: number, producerEpoch: number, key: string) {
  const of = { producerId, producerEpoch, baseSequence: 0, isTransactional: true };
  const [outcome] = await rig.api.append(caller, {
    acks: -1,
    timeoutMs: 1000,
    transactionalId: "tx",
    addsToTransaction: true,
    partitions: [{ topic: "t", partition: 0, batches: keyedBatch([{ key, value: "v" }], of) }],
  });
  if (!outcome!.ok) throw new Error(outcome!.error.code);
}

async function end(rig: LogRig, producerId: number, epoch: number, isCommit: boolean) {
  const marker = { producerId, producerEpoch: epoch, coordinatorEpoch: 0, isCommit };
  const verdict = logOf(rig).appendMarker({ ...marker, transactionVersion: 2 }, rig.test.wallMs);
  if (verdict.kind !== "appended") throw new Error(verdict.kind);
  await verdict.group.settled();
}

/** Cleans all that there is, with a record more so that there is something. */
async function clean(rig: LogRig): Promise<void> {
  await rig.append(keyedBatch([{ key: "filler", value: "f".repeat(500) }]));
  logOf(rig).roll(rig.test.wallMs);
  expect(await rig.logs.clean()).toBe(1);
}

async function markersIn(rig: LogRig): Promise<RecordBatch[]> {
  const found: RecordBatch[] = [];
  for (let next = 0; next < logOf(rig).highWatermark; ) {
    const response = await rig.fetch(next);
    const [outcome] = response.partitions;
    if (!outcome!.ok) throw new Error(outcome!.error.code);
    found.push(...batchesIn(outcome!.value.batches[0]!.slice()).batches);
    response.release();
    next = found.at(-1)!.lastOffset + 1;
  }
  return found.filter(({ isControl }) => isControl);
}

const offsetsOf = async (rig: LogRig) => (await markersIn(rig)).map(({ baseOffset }) => baseOffset);

describe("a marker whose transaction is gone", () => {
  for (const isCommit of [true, false]) {
    test(`stays for delete.retention.ms, also over a restart: ${isCommit ? "commit" : "abort"}`, async () => {
      const plugin = storageMemory();
      let rig = await LogRig.open(plugin, OPTIONS);
      await send(rig, 1, 0, "a");
      await end(rig, 1, 1, isCommit);
      // What it wrote is written again, and the producer goes on.
      await send(rig, 1, 1, "a");
      await end(rig, 1, 2, true);
      await send(rig, 1, 2, "b");
      await end(rig, 1, 3, true);
      // This cleaning still meets its batch.
      await clean(rig);
      expect(await offsetsOf(rig)).toEqual([1, 3, 5]);
      rig.test.wallMs += 100;
      await clean(rig);
      const [first] = await markersIn(rig);
      expect([first!.baseOffset, first!.hasDeleteHorizon]).toEqual([1, true]);
      expect(first!.baseTimestampMs).toBe(rig.test.wallMs + RETENTION_MS);
      const { test: runtime } = rig;
      await rig.close();
      rig = await LogRig.open(plugin, { ...OPTIONS, test: runtime });
      rig.test.wallMs += RETENTION_MS - 1;
      await clean(rig);
      expect(await offsetsOf(rig)).toEqual([1, 3, 5]);
      rig.test.wallMs += 1;
      await clean(rig);
      expect(await offsetsOf(rig)).toEqual([3, 5]);
      await rig.close();
    });
  }

  test("does not stay for batches of the producer's transactions before it", async () => {
    const rig = await LogRig.open(storageMemory(), OPTIONS);
    for (const [epoch, key] of ["stays", "a", "b", "c"].entries()) {
      await send(rig, 1, epoch, key);
      await end(rig, 1, epoch + 1, true);
    }
    await send(rig, 1, 4, "d");
    await end(rig, 1, 5, false);
    await send(rig, 1, 5, "e");
    await end(rig, 1, 6, true);
    for (const key of ["a", "b", "c"]) await rig.append(keyedBatch([{ key, value: "again" }]));
    for (let round = 0; round < 3; round++) {
      await clean(rig);
      rig.test.wallMs += RETENTION_MS + 1;
    }
    // Of what stays, and of the last one.
    expect(await offsetsOf(rig)).toEqual([1, 11]);
    await rig.close();
  });

  test("stays while its producer has written nothing since: it says how far the epoch has come", async () => {
    const rig = await LogRig.open(storageMemory(), OPTIONS);
    await send(rig, 1, 0, "a");
    await end(rig, 1, 1, false);
    for (let round = 0; round < 4; round++) {
      await clean(rig);
      rig.test.wallMs += RETENTION_MS + 1;
      expect(await offsetsOf(rig)).toEqual([1]);
    }
    expect(await markersIn(rig)).toMatchObject([{ producerEpoch: 1, hasDeleteHorizon: false }]);
    await send(rig, 1, 1, "b");
    await end(rig, 1, 2, true);
    for (const isLeft of [true, false]) {
      await clean(rig);
      rig.test.wallMs += RETENTION_MS + 1;
      expect((await offsetsOf(rig)).includes(1)).toBe(isLeft);
    }
    await rig.close();
  });
});

test("nothing is cleaned that is not on disk yet", async () => {
  let release: (() => void) | null = null;
  let isHeld = false;
  const plugin = hookedStorage(storageMemory(), (call, name) => {
    if (!isHeld || call !== "sync" || !name.startsWith("journal/")) return undefined;
    return new Promise((resolve) => {
      release = resolve;
    });
  });
  const rig = await LogRig.open(plugin, OPTIONS);
  isHeld = true;
  const appending = rig.append(keyedBatch([{ key: "a", value: "v" }]));
  for (let turn = 0; turn < 50 && release === null; turn++) await settle();
  logOf(rig).roll(rig.test.wallMs);
  expect([logOf(rig).logEndOffset, logOf(rig).highWatermark]).toEqual([1, 0]);
  const cleaning = rig.logs.clean();
  for (let turn = 0; turn < 5; turn++) await settle();
  expect(await rig.storage.segments!.list("segments/")).toEqual([]);
  isHeld = false;
  release!();
  await appending;
  expect(await cleaning).toBe(0);
  expect(await rig.logs.clean()).toBe(1);
  await rig.close();
});

test("old segments go only once the state that speaks of the new one is on disk", async () => {
  let release: (() => void) | null = null;
  let isHeld = false;
  const removed: string[] = [];
  const plugin = hookedStorage(storageMemory(), (call, name) => {
    if (call === "remove") removed.push(name.slice(name.lastIndexOf("/") + 1));
    if (!isHeld || call !== "sync" || !name.startsWith("journal/")) return undefined;
    return new Promise((resolve) => {
      release = resolve;
    });
  });
  const rig = await LogRig.open(plugin, OPTIONS);
  await clean(rig);
  await rig.append(keyedBatch([{ key: "filler", value: "f".repeat(500) }]));
  logOf(rig).roll(rig.test.wallMs);
  removed.length = 0;
  isHeld = true;
  const cleaning = rig.logs.clean();
  for (let turn = 0; turn < 50 && release === null; turn++) await settle();
  for (let turn = 0; turn < 5; turn++) await settle();
  expect(release).not.toBe(null);
  expect(removed).toEqual([]);
  isHeld = false;
  release!();
  expect(await cleaning).toBe(1);
  expect(removed).toContain("00000000000000000000.1.log");
  await rig.close();
});
