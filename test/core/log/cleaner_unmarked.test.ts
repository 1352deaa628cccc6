// Cleaning of what is hidden without a marker: of a transaction whose end is lost nothing in the log says that it was
// aborted, so that what the index says of it has to stay as long as a batch that it hides.

import { expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { ok } from "../../../src/base/outcome.ts";
import { compacted, type Entry, keyedBatch, logOf, rowsIn } from "../../support/compacted_log.ts";
import { caller, LogRig, type RigOptions } from "../../support/log_rig.ts";
import { fetchCommitted, visibleBatches } from "../../support/transaction_model.ts";

const PRODUCERS = [1, 2];

async function send(rig: LogRig, producerId: number, baseSequence: number, entry: Entry) {
  const of = { producerId, producerEpoch: 0, baseSequence, isTransactional: producerId > 0 };
  const [outcome] = await rig.api.append(caller, {
    acks: -1,
    timeoutMs: 1000,
    transactionalId: producerId > 0 ? "tx" : null,
    addsToTransaction: true,
    partitions: [
      { topic: "t", partition: 0, batches: keyedBatch([entry], producerId > 0 ? of : {}) },
    ],
  });
  if (!outcome!.ok) throw new Error(outcome!.error.code);
}

async function visibleKeys(rig: LogRig): Promise<Set<string>> {
  const keys = new Set<string>();
  for (let next = 0; next < logOf(rig).lastStableOffset; ) {
    const fetched = await fetchCommitted(rig, next, 3000);
    for (const batch of visibleBatches(fetched)) {
      for (const { key } of rowsIn(batch.view())) keys.add(key!);
    }
    next = fetched.endOffset;
  }
  return keys;
}

// It went with the first cleaning that came to its end in the middle of the transaction: what was left was shown.
test("an entry without a marker outlives cleanings that end in the middle of what it hides", async () => {
  for (const isSettled of [false, true]) {
    const plugin = storageMemory();
    const options: RigOptions = {
      ...compacted({ "internal.segment.bytes": "100000" }),
      journalFileBytes: 16 * 1024,
      journalBytesMax: isSettled ? 0 : 1_000_000,
      grownBytes: 2000,
      gate: { admit: () => ok(null) },
      // For some 15 keys at a time.
      cleaner: { keysBytesMax: 3000 },
    };
    let rig = await LogRig.open(plugin, options);
    for (let i = 0; i < 80; i++) {
      for (const producerId of [...PRODUCERS, 0]) {
        await send(rig, producerId, i, { key: `${producerId} ${i}`, value: "x".repeat(100) });
      }
    }
    const lastOffset = logOf(rig).logEndOffset - 1;
    for (const producerId of PRODUCERS) {
      const marker = { producerId, producerEpoch: 0, coordinatorEpoch: 0, isCommit: true };
      const verdict = logOf(rig).appendMarker({ ...marker, transactionVersion: 1 }, 0);
      if (verdict.kind === "appended") await verdict.group.settled();
      // As where the one that aborted it is lost, and this is the next one's.
      const hidden = { producerId, firstOffset: producerId - 1, lastOffset };
      logOf(rig).transactions!.aborted.insert({ ...hidden, lastStableOffset: lastOffset + 1 });
    }
    for (let i = 0; i < 2; i++) await send(rig, 0, 0, { key: "end", value: "y".repeat(20_000) });
    await rig.logs.maintain(false);
    expect(logOf(rig).settledEnd > lastOffset).toBe(isSettled);
    logOf(rig).roll(rig.test.wallMs);
    const isTheirs = (key: string) => !key.startsWith("0 ") && key !== "end";
    let cleanings = 0;
    for (; (await rig.logs.clean()) === 1; cleanings++) {
      expect([...(await visibleKeys(rig))].filter(isTheirs)).toEqual([]);
      if (cleanings % 3 !== 0) continue;
      await rig.close();
      rig = await LogRig.open(plugin, options);
      expect([...(await visibleKeys(rig))].filter(isTheirs)).toEqual([]);
    }
    expect(cleanings).toBeGreaterThan(4);
    expect((await visibleKeys(rig)).size).toBe(81);
    // With the last of what it hides it goes.
    expect(logOf(rig).segments[0]!.abortedCount).toBe(0);
    expect(rig.test.lines.filter(({ level }) => level === "error")).toEqual([]);
    await rig.close();
  }
});

test("what is left of an aborted transaction has its entry once, in the segment where it ends", async () => {
  for (const isMarked of [true, false]) {
    const rig = await LogRig.open(storageMemory(), {
      ...compacted({ "internal.segment.bytes": "100000" }),
      gate: { admit: () => ok(null) },
      cleaner: { keysBytesMax: 3000 },
    });
    for (let i = 0; i < 60; i++) {
      for (const producerId of [1, 0]) {
        await send(rig, producerId, i, { key: `${producerId} ${i}`, value: "x".repeat(100) });
      }
      // Two segments, and it ends in the second.
      if (i === 40) logOf(rig).roll(rig.test.wallMs);
    }
    const lastOffset = logOf(rig).logEndOffset;
    const marker = { producerId: 1, producerEpoch: 0, coordinatorEpoch: 0, isCommit: !isMarked };
    const verdict = logOf(rig).appendMarker({ ...marker, transactionVersion: 1 }, 0);
    if (verdict.kind === "appended") await verdict.group.settled();
    if (!isMarked) {
      const hidden = { producerId: 1, firstOffset: 0, lastOffset };
      logOf(rig).transactions!.aborted.insert({ ...hidden, lastStableOffset: lastOffset + 1 });
    }
    await send(rig, 0, 0, { key: "end", value: "y" });
    logOf(rig).roll(rig.test.wallMs);
    let cleanings = 0;
    for (; (await rig.logs.clean()) === 1; cleanings++) {
      expect([...(await visibleKeys(rig))].filter((key) => key.startsWith("1 "))).toEqual([]);
      const { segments, transactions } = logOf(rig);
      const entries = segments.map(({ abortedCount }) => abortedCount);
      const endsIn = logOf(rig).segmentIndexOf(lastOffset);
      expect(entries.filter((each, i) => each > 0 && i !== endsIn)).toEqual([]);
      const count = entries.reduce((sum, each) => sum + each, transactions!.aborted.count);
      expect(count).toBeLessThanOrEqual(1);
      if (logOf(rig).cleanedEnd < lastOffset - 1) expect(count).toBe(1);
    }
    expect(cleanings).toBeGreaterThan(3);
    expect(rig.test.events("aborted_index_rebuilt")).toEqual([]);
    await rig.close();
  }
});
