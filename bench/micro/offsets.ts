// Committed offsets of groups: bytes of memory each, and how fast a log of them is loaded, from batches to the table.
// `bun bench/micro/offsets.ts`, `deno run -A --v8-flags=--expose-gc bench/micro/offsets.ts` or
// `node --expose-gc bench/micro/offsets.ts`.

import { answerHelp } from "../../scripts/usage.ts";
import { SeededRandom } from "../../src/base/prng.ts";
import { randomUuid } from "../../src/base/uuid.ts";
import type { Runtime } from "../../src/contracts/runtime.ts";
import type { GroupRecord } from "../../src/core/coordinator/group/group_record.ts";
import { groupRecordSerde } from "../../src/core/coordinator/group/group_record_serde.ts";
import { OffsetTable } from "../../src/core/coordinator/group/offsets_table.ts";
import type { CoordinatorLog } from "../../src/core/coordinator/runtime/coordinator_log.ts";
import { loadShard } from "../../src/core/coordinator/runtime/loader.ts";
import { NO_DECISION } from "../../src/core/coordinator/runtime/shard.ts";
import { patchBaseOffset } from "../../src/record/batch_header.ts";
import { RecordBatchBuilder } from "../../src/record/record_builder.ts";
import { hostCompression } from "../../src/runtime/compression.ts";

answerHelp(import.meta.url);

/** Groups, topics of each, partitions of each. */
const SHAPES = [
  [100, 10, 100],
  [100, 100, 100],
  [1000, 10, 100],
  [10_000, 10, 10],
  [100_000, 1, 10],
  [250_000, 1, 4],
  [1_000_000, 1, 1],
] as const;
const BATCH_RECORDS = 200;
const READ_BYTES = 256 * 1024;
const random = SeededRandom.of("offsets bench");

/** The log of commits of that shape, a batch for so many records. */
function logOf(groups: number, topics: number, partitions: number): CoordinatorLog {
  const ids = Array.from({ length: topics }, () => randomUuid(random));
  const batches: Uint8Array[] = [];
  let builder = new RecordBatchBuilder({ sizeBytesHint: 100 * BATCH_RECORDS });
  let nextOffset = 0;
  const flush = () => {
    if (builder.count === 0) return;
    const count = builder.count;
    const batch = builder.build();
    patchBaseOffset(batch, 0, nextOffset);
    nextOffset += count;
    batches.push(batch);
    builder = new RecordBatchBuilder({ sizeBytesHint: 100 * BATCH_RECORDS });
  };
  for (let group = 0; group < groups; group++) {
    for (let topic = 0; topic < topics; topic++) {
      for (let partition = 0; partition < partitions; partition++) {
        const { key, value } = groupRecordSerde.encode({
          kind: "offset_commit",
          key: { group: `application-${group}`, topic: `topic-of-it-${topic}`, partition },
          value: {
            // Beyond what fits into 32 bits, as in logs that have been written to for long.
            offset: 10_000_000_000 + random.below(1_000_000_000),
            leaderEpoch: 5,
            metadata: "",
            commitTimestamp: 1_735_689_600_000 + random.below(1_000_000_000),
            expireTimestamp: -1,
            topicId: ids[topic]!,
          },
        });
        builder.append(1_735_689_600_000, key, value);
        if (builder.count === BATCH_RECORDS) flush();
      }
    }
  }
  flush();
  let at = 0;
  return {
    partition: 0,
    leaderEpoch: 0,
    isOnline: true,
    logStartOffset: 0,
    logEndOffset: nextOffset,
    highWatermark: nextOffset,
    batchBytesMax: 1_048_588,
    append: () => null,
    appendMarker: () => null,
    refusalOf: () => null,
    refusalOfMarker: () => null,
    isOpen: () => false,
    settled: async () => true,
    async read() {
      const found: Uint8Array[] = [];
      for (let sizeBytes = 0; at < batches.length && sizeBytes < READ_BYTES; at++) {
        sizeBytes += batches[at]!.length;
        found.push(batches[at]!);
      }
      const joined = new Uint8Array(found.reduce((sum, each) => sum + each.length, 0));
      let end = 0;
      for (const each of found) {
        joined.set(each, end);
        end += each.length;
      }
      return { ok: true, batches: joined, release() {} };
    },
  };
}

async function heapBytes(): Promise<number> {
  const host = globalThis as { Bun?: { gc(force: boolean): void }; gc?: () => void };
  for (let i = 0; i < 3; i++) {
    if (host.Bun !== undefined) host.Bun.gc(true);
    else host.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return process.memoryUsage().heapUsed;
}

const runtime = {
  compression: hostCompression,
  scheduler: { yieldNow: () => new Promise<void>((resolve) => setTimeout(resolve, 0)) },
} as unknown as Runtime;

for (const [groups, topics, partitions] of SHAPES) {
  const log = logOf(groups, topics, partitions);
  const before = await heapBytes();
  const table = new OffsetTable();
  const start = performance.now();
  const outcome = await loadShard<GroupRecord>({
    log,
    serde: groupRecordSerde,
    runtime,
    fromOffset: 0,
    isWanted: () => true,
    shard: {
      replay({ kind, key, value }, offset) {
        if (kind !== "offset_commit" || value === null) return;
        table.put(key.group, key.topic, key.partition, value, offset);
      },
      loaded: () => NO_DECISION,
      dropped() {},
    },
  });
  const tookMs = performance.now() - start;
  const after = await heapBytes();
  if (!outcome.ok) throw new Error(outcome.reason);
  const count = table.size;
  const each = ((after - before) / count).toFixed(0).padStart(5);
  const rate = ((count / tookMs) * 1000).toFixed(0).padStart(9);
  const shape = `${groups} groups × ${topics} topics × ${partitions} partitions`;
  console.log(`${shape.padEnd(50)} ${each} B an offset, ${rate} loaded/s, ${tookMs.toFixed(0)} ms`);
}
