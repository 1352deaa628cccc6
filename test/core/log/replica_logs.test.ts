// Logs of a follower: what the leader sent is there, what was cut off is gone and stays gone, whatever comes in between:
// settling, closing. Held against a list of batches.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import { noteProducer } from "../../../src/core/log/follower_append.ts";
import { LeaderEpochs } from "../../../src/core/log/leader_epochs.ts";
import { PartitionLog } from "../../../src/core/log/partition_log.ts";
import {
  BATCH_HEADER_BYTES,
  baseOffsetAt,
  lastOffsetAt,
  leaderEpochAt,
  patchBaseOffset,
  patchCrc,
  patchLeaderEpoch,
} from "../../../src/record/batch_header.ts";
import {
  buildEndTransactionMarker,
  CONTROL_ABORT,
  CONTROL_COMMIT,
} from "../../../src/record/control_record.ts";
import { batchesIn } from "../../../src/record/record_batch.ts";
import { batchOf, LogRig, topic } from "../../support/log_rig.ts";
import { isFullTestRun } from "../../support/test_scale.ts";

const T = topic("t");
const ALL = { replicates: () => true };

function batchAt(
  offset: number,
  epoch: number,
  values: readonly string[],
  options: Parameters<typeof batchOf>[1] = {},
): Uint8Array {
  const bytes = batchOf(values, options);
  patchBaseOffset(bytes, 0, offset);
  patchLeaderEpoch(bytes, 0, epoch);
  return bytes;
}

function joined(batches: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(batches.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const batch of batches) {
    bytes.set(batch, at);
    at += batch.length;
  }
  return bytes;
}

/** Every batch of the log, as text. */
async function all(rig: LogRig, log: PartitionLog): Promise<string[]> {
  const found: string[] = [];
  await rig.logs.journal.flush();
  for (let offset = log.logStartOffset; offset < log.logEndOffset; ) {
    const read = await rig.logs.reader.read(log, offset, log.logEndOffset, 4096, true);
    expect([offset, read.fault, read.buffer === null]).toEqual([offset, null, false]);
    for (const batch of batchesIn(read.batches).batches) {
      expect(batch.check()).toBeNull();
      found.push(textOf(read.batches.subarray(batch.position, batch.position + batch.sizeBytes)));
      offset = batch.lastOffset + 1;
    }
    rig.logs.reader.release(read);
  }
  return found;
}

const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

describe("a follower's log", () => {
  test("takes batches as they are, and stands empty ones for what was cleaned away", async () => {
    const rig = await LogRig.open(storageMemory(), ALL);
    const log = rig.logs.log(T.id, 0)!;
    const replicas = await rig.logs.replicaLogs();
    const first = batchAt(0, 3, ["a", "b"]);
    const second = batchAt(7, 4, ["c"]);
    const verdict = replicas.append(log, joined([first, second]));
    expect(verdict.kind).toBe("appended");
    if (verdict.kind !== "appended") return;
    expect(verdict.endOffset).toBe(8);
    expect(await verdict.group!.settled()).toBe(true);
    expect([log.syncedEnd, log.highWatermark]).toEqual([8, 0]);
    log.advanceHighWatermark(100);
    expect(log.highWatermark).toBe(8);
    const found = (await all(rig, log)).map((text) => new Uint8Array(Buffer.from(text, "base64")));
    expect(found.map((bytes) => [baseOffsetAt(bytes, 0), lastOffsetAt(bytes, 0)])).toEqual([
      [0, 1],
      [2, 6],
      [7, 7],
    ]);
    expect(log.epochs.starts).toEqual([
      { epoch: 3, startOffset: 0 },
      { epoch: 4, startOffset: 7 },
    ]);
    await rig.close();
  });

  test("refuses what is damaged, and what does not follow; takes what stands before damage", async () => {
    const rig = await LogRig.open(storageMemory(), ALL);
    const log = rig.logs.log(T.id, 0)!;
    const replicas = await rig.logs.replicaLogs();
    const damaged = batchAt(1, 0, ["b"]);
    damaged[damaged.length - 1]! ^= 1;
    expect(replicas.append(log, damaged).kind).toBe("corrupt");
    expect(replicas.append(log, damaged.subarray(0, 30)).kind).toBe("corrupt");
    const verdict = replicas.append(log, joined([batchAt(0, 0, ["a"]), damaged]));
    expect(verdict).toMatchObject({ kind: "appended", endOffset: 1 });
    expect(replicas.append(log, batchAt(0, 0, ["a"]))).toEqual({
      kind: "out_of_order",
      expectedOffset: 1,
      foundOffset: 0,
    });
    await rig.close();
  });

  test("begins within a batch where its leader's does", async () => {
    const plugin = storageMemory();
    let rig = await LogRig.open(plugin, ALL);
    let log = rig.logs.log(T.id, 0)!;
    const replicas = await rig.logs.replicaLogs();
    replicas.append(log, batchAt(0, 0, ["x"]));
    expect(await replicas.startAnewAt(log, 12)).toEqual({ kind: "cut", endOffset: 12 });
    expect(replicas.append(log, batchAt(10, 2, ["a", "b", "c", "d"])).kind).toBe("appended");
    log.advanceHighWatermark(14);
    expect(await rig.logs.followStart(log, 12)).toBe(true);
    await rig.close();
    rig = await LogRig.open(plugin, ALL);
    log = rig.logs.log(T.id, 0)!;
    expect([log.logStartOffset, log.logEndOffset, log.highWatermark]).toEqual([12, 14, 12]);
    expect((await all(rig, log)).length).toBe(1);
    await rig.close();
  });

  // After a restart the batch counted for the two records that are left: the producer's next one was out of order.
  test("knows a producer's last sequence after a restart, also of batches that the leader has cleaned", async () => {
    const plugin = storageMemory();
    const producer = { producerId: 7, producerEpoch: 0, baseSequence: 0 };
    // Of five records, the second and the last were kept; of three in a transaction, none.
    const kept = batchAt(0, 1, ["b", "e"], producer);
    new DataView(kept.buffer, kept.byteOffset).setInt32(23, 4);
    patchCrc(kept, 0, kept.length);
    const options = { ...producer, producerId: 8, isTransactional: true };
    const emptied = batchAt(5, 1, ["x"], options).slice(0, BATCH_HEADER_BYTES);
    const header = new DataView(emptied.buffer);
    header.setInt32(8, BATCH_HEADER_BYTES - 12);
    header.setInt32(23, 2);
    header.setInt32(57, 0);
    patchCrc(emptied, 0, emptied.length);
    let rig = await LogRig.open(plugin, ALL);
    (await rig.logs.replicaLogs()).append(rig.logs.log(T.id, 0)!, joined([kept, emptied]));
    const stateOf = () => {
      const { producers } = rig.logs.log(T.id, 0)!;
      return [7, 8].map((id) => {
        const { batches, transactionStartOffset } = producers!.get(id)!;
        return [batches.at(-1)!.lastSequence, transactionStartOffset];
      });
    };
    const before = stateOf();
    expect(before).toEqual([
      [4, -1],
      [2, -1],
    ]);
    await rig.close();
    rig = await LogRig.open(plugin, ALL);
    expect(stateOf()).toEqual(before);
    await rig.close();
  });

  test("remembers a leader epoch under which nothing was written", async () => {
    const plugin = storageMemory();
    let rig = await LogRig.open(plugin, ALL);
    const log = rig.logs.log(T.id, 0)!;
    (await rig.logs.replicaLogs()).append(log, batchAt(0, 1, ["a"]));
    log.beginEpoch(5);
    await rig.close();
    rig = await LogRig.open(plugin, ALL);
    expect(rig.logs.log(T.id, 0)!.epochs.starts).toEqual([
      { epoch: 1, startOffset: 0 },
      { epoch: 5, startOffset: 1 },
    ]);
    await rig.close();
  });

  test("that was dropped does not come back", async () => {
    const plugin = storageMemory();
    let rig = await LogRig.open(plugin, ALL);
    const replicas = await rig.logs.replicaLogs();
    const log = rig.logs.log(T.id, 0)!;
    replicas.append(log, batchAt(0, 1, ["a"]));
    await rig.logs.partitionDropped(T.id, 0);
    expect(log.topic.isDeleted).toBe(true);
    const again = rig.logs.log(T.id, 0)!;
    expect([again === log, again.logEndOffset]).toEqual([false, 0]);
    const bytes = batchAt(0, 2, ["b"]);
    replicas.append(again, bytes);
    await rig.close();
    rig = await LogRig.open(plugin, ALL);
    expect(await all(rig, rig.logs.log(T.id, 0)!)).toEqual([textOf(bytes)]);
    await rig.close();
  });

  test("that was dropped leaves no segment files, whether settling is under way or not", async () => {
    for (const isSettling of [false, true]) {
      const plugin = storageMemory();
      const options = {
        ...ALL,
        journalFileBytes: 2048,
        journalBytesMax: 0,
        grownBytes: 600,
        topics: [topic("t", 1, { "internal.segment.bytes": "2048" })],
      };
      const rig = await LogRig.open(plugin, options);
      const replicas = await rig.logs.replicaLogs();
      const fill = async (log: PartitionLog) => {
        for (let i = 0; i < 60; i++) {
          replicas.append(log, batchAt(log.logEndOffset, 1, [`${i} ${"x".repeat(100)}`]));
        }
        await rig.logs.journal.flush();
        log.advanceHighWatermark(log.logEndOffset);
      };
      const files = async () => (await rig.storage.segments!.list("segments/")).length;
      const log = rig.logs.log(T.id, 0)!;
      await fill(log);
      let settling: Promise<void> | null = null;
      if (isSettling) {
        settling = rig.logs.maintain(false);
        for (let turns = 0; turns < 40; turns++) await Promise.resolve();
      } else {
        await rig.logs.maintain(false);
        expect(await files()).toBeGreaterThan(2);
      }
      const dropping = rig.logs.partitionDropped(T.id, 0);
      expect(rig.logs.log(T.id, 0)).toBeNull();
      await dropping;
      await settling;
      expect(await files()).toBe(0);
      // It comes back, and has nothing of what was.
      const again = rig.logs.log(T.id, 0)!;
      await fill(again);
      await rig.logs.maintain(false);
      expect(again.settledEnd).toBeGreaterThan(0);
      const wanted = await all(rig, again);
      expect(wanted.length).toBe(60);
      await rig.close();
      const next = await LogRig.open(plugin, options);
      expect(await all(next, next.logs.log(T.id, 0)!)).toEqual(wanted);
      await next.close();
    }
  });

  test("is what its batches make it after any cuts, settlings and restarts", async () => {
    for (let seed = 0; seed < (isFullTestRun ? 600 : 40); seed++) await live(seed);
  }, 120_000);
});

/** Appends, cuts, settles and closes at random, and compares after each. */
async function live(seed: number): Promise<void> {
  const random = SeededRandom.of(`follower ${seed}`);
  const options = {
    ...ALL,
    journalFileBytes: 2048,
    journalBytesMax: 0,
    grownBytes: 600,
    topics: [topic("t", 1, { "segment.bytes": "2048" })],
  };
  const plugin = storageMemory();
  let rig = await LogRig.open(plugin, options);
  let log = rig.logs.log(T.id, 0)!;
  let replicas = await rig.logs.replicaLogs();
  let kept: Uint8Array[] = [];
  let epoch = 0;
  const steps: string[] = [];
  const sequences = new Map<number, number>();
  for (let step = 0; step < 60; step++) {
    const draw = random.below(20);
    steps.push(`${draw}@${log.logEndOffset}/${log.highWatermark}/${log.settledEnd}`);
    if (draw < 11) {
      const batches: Uint8Array[] = [];
      let offset = log.logEndOffset;
      for (let left = 1 + random.below(4); left > 0; left--) {
        const producerId = random.below(4) - 1;
        const baseSequence = sequences.get(producerId) ?? 0;
        const values = Array.from(
          { length: 1 + random.below(3) },
          (_, i) => `${seed} ${step} ${i}`,
        );
        const isMarker = producerId > 0 && random.below(3) === 0;
        const bytes = isMarker
          ? buildEndTransactionMarker({
              type: random.below(2) === 0 ? CONTROL_ABORT : CONTROL_COMMIT,
              producerId,
              producerEpoch: 0,
              coordinatorEpoch: 0,
              timestampMs: 1,
              baseOffset: offset,
              leaderEpoch: epoch,
            })
          : producerId < 0
            ? batchAt(offset, epoch, values)
            : batchAt(offset, epoch, values, {
                producerId,
                producerEpoch: 0,
                baseSequence,
                isTransactional: producerId > 0,
              });
        if (!isMarker && producerId >= 0) sequences.set(producerId, baseSequence + values.length);
        batches.push(bytes);
        offset = lastOffsetAt(bytes, 0) + 1;
      }
      const verdict = replicas.append(log, joined(batches));
      expect([steps, verdict.kind]).toEqual([steps, "appended"]);
      kept.push(...batches);
      if (random.below(2) === 0 && verdict.kind === "appended") await verdict.group!.settled();
    } else if (draw < 14) {
      log.advanceHighWatermark(log.highWatermark + random.below(20));
    } else if (draw < 16) {
      await rig.logs.maintain(false);
    } else if (draw < 18) {
      const { highWatermark, logEndOffset } = log;
      const lowest = random.below(3) === 0 ? 0 : highWatermark;
      const cut = lowest + random.below(logEndOffset - lowest + 1);
      epoch++;
      const verdict = await replicas.truncateTo(log, cut);
      kept = kept.filter((bytes) => lastOffsetAt(bytes, 0) < cut);
      expect([steps, verdict]).toEqual([steps, { kind: "cut", endOffset: endOf(kept) }]);
    } else {
      await rig.close();
      rig = await LogRig.open(plugin, options);
      log = rig.logs.log(T.id, 0)!;
      replicas = await rig.logs.replicaLogs();
      expect([steps, log.highWatermark]).toEqual([steps, log.settledEnd]);
    }
    if (draw < 11 && random.below(2) === 0) continue;
    expect([steps, log.logEndOffset, await all(rig, log)]).toEqual([
      steps,
      endOf(kept),
      kept.map(textOf),
    ]);
    expect([steps, seen(log)]).toEqual([steps, seen(wanted(rig, kept))]);
    const epochs = new LeaderEpochs();
    for (const bytes of kept) epochs.assign(leaderEpochAt(bytes, 0), baseOffsetAt(bytes, 0));
    expect([steps, log.epochs.starts]).toEqual([steps, epochs.starts]);
  }
  await rig.logs.journal.flush();
  expect(log.syncedEnd).toBe(log.logEndOffset);
  await rig.close();
}

const endOf = (batches: readonly Uint8Array[]) => {
  const last = batches.at(-1);
  return last === undefined ? 0 : lastOffsetAt(last, 0) + 1;
};

/** A log that has heard of these batches and of nothing else. */
function wanted(rig: LogRig, batches: readonly Uint8Array[]): PartitionLog {
  const log = new PartitionLog(rig.logs.journal, rig.logs.topicWithId(T.id)!.context, 0);
  for (const bytes of batches) noteProducer(log, bytes, 0);
  return log;
}

/** What producers are judged by, and which transactions are open. */
function seen(log: PartitionLog) {
  return [...(log.producers?.entries() ?? [])]
    .filter(
      ([, { batches, transactionStartOffset }]) =>
        batches.length > 0 || transactionStartOffset >= 0,
    )
    .map(([id, { epoch, batches, transactionStartOffset }]) => ({
      id,
      epoch,
      transactionStartOffset,
      last: batches.slice(-5).map(({ lastSequence, lastOffset }) => [lastSequence, lastOffset]),
    }))
    .sort((a, b) => a.id - b.id);
}
