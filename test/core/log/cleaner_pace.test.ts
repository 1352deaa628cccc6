// When the cleaner looks and how fast it may go, by log.cleaner.backoff.ms and log.cleaner.io.max.bytes.per.second, also
// where they are changed meanwhile.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import type { CLEANER_DEFAULTS } from "../../../src/core/partition/lazy_cleaner.ts";
import {
  CompactedModel,
  compacted,
  logOf,
  overwrite,
  readRows,
} from "../../support/compacted_log.ts";
import { LogRig } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";

/** One large segment, to be cleaned as a whole. */
async function dirtyLog(cleaner: Partial<typeof CLEANER_DEFAULTS>) {
  const configs = { "internal.segment.bytes": "900000" };
  const rig = await LogRig.open(storageMemory(), {
    ...compacted(configs),
    journalFileBytes: 4 * 1024 * 1024,
    cleaner,
  });
  const model = new CompactedModel();
  await overwrite(rig, model, 50, 140);
  logOf(rig).roll(rig.test.wallMs);
  const sizeBytes = logOf(rig).segments[0]!.sizeBytes;
  return { rig, model, sizeBytes };
}

/** Milliseconds until `work` is done. */
async function turnUntil(rig: LogRig, work: Promise<unknown>, onTurn = () => {}): Promise<number> {
  const startedMs = rig.test.monotonicMs;
  let isDone = false;
  void work.then(() => {
    isDone = true;
  });
  while (!isDone) {
    await rig.test.advance(250);
    await settle();
    onTurn();
  }
  return rig.test.monotonicMs - startedMs;
}

describe("the cleaner", () => {
  test("keeps to log.cleaner.io.max.bytes.per.second, however little that is of a slice", async () => {
    const { rig, model, sizeBytes } = await dirtyLog({ bytesPerSecond: 20_000 });
    const tookMs = await turnUntil(rig, rig.logs.clean());
    // Read for its keys, and read once more; little is left to be written.
    const owedMs = ((sizeBytes * 2) / 20_000) * 1000;
    expect(tookMs).toBeGreaterThan(owedMs * 0.85);
    expect(tookMs).toBeLessThan(owedMs * 1.15);
    expect(model.wrongIn(await readRows(rig))).toBe(null);
    await rig.close();
  });

  test("goes on at another pace at once, and owes nothing for what it did before", async () => {
    const cleaner = { bytesPerSecond: 1000 };
    const slow = await dirtyLog(cleaner);
    const tookMs = await turnUntil(slow.rig, slow.rig.logs.clean(), () => {
      cleaner.bytesPerSecond = Number.POSITIVE_INFINITY;
    });
    expect(tookMs).toBeLessThan(2000);
    await slow.rig.close();

    // Most of it at any pace, and the rest at one that what was done already has not to make up for.
    let asked = 0;
    const { rig, sizeBytes } = await dirtyLog({
      get bytesPerSecond() {
        return asked++ < 8 ? 1e9 : 100_000;
      },
    });
    const laterMs = await turnUntil(rig, rig.logs.clean());
    expect(laterMs).toBeGreaterThan(250);
    expect(laterMs).toBeLessThan(((sizeBytes * 2) / 100_000) * 1000 * 0.7);
    await rig.close();
  });

  test("ends at once while it waits for that", async () => {
    const { rig } = await dirtyLog({ bytesPerSecond: 1 });
    const cleaning = rig.logs.clean();
    for (let turn = 0; turn < 20; turn++) await rig.test.advance(250);
    let isClosed = false;
    const closing = rig.close().then(() => {
      isClosed = true;
    });
    await rig.test.advance(250);
    for (let turn = 0; turn < 20; turn++) await settle();
    expect(isClosed).toBe(true);
    await Promise.all([cleaning, closing]);
  });

  test("waits by log.cleaner.backoff.ms as it is now, not as it was when the wait began", async () => {
    const cleaner = { backoffMs: 3_600_000 };
    const { rig, model } = await dirtyLog(cleaner);
    await rig.test.advance(60_000);
    expect(rig.test.events("segments_cleaned").length).toBe(0);
    cleaner.backoffMs = 1000;
    await rig.test.advance(3000);
    for (let turn = 0; turn < 20; turn++) await settle();
    expect(rig.test.events("segments_cleaned").length).toBe(1);
    expect(rig.test.failures).toEqual([]);
    expect(model.wrongIn(await readRows(rig))).toBe(null);
    await rig.close();
  });
});
