// Records of v2 batches: building, the validating walk, the cursor, and reading to values.
// `bun bench/micro/records.ts` or `deno run -A bench/micro/records.ts`. GB/s and millions of records/s.

import { answerHelp } from "../../scripts/usage.ts";
import { isCrcValid, patchBaseOffset } from "../../src/record/batch_header.ts";
import { batchSizeAt, RecordBatch } from "../../src/record/record_batch.ts";
import { openRecords } from "../../src/record/record_block.ts";
import { RecordBatchBuilder } from "../../src/record/record_builder.ts";
import { RecordCursor, readRecords } from "../../src/record/record_reader.ts";
import { recordWalkFindings, walkRecords } from "../../src/record/record_walk.ts";
import { hostCompression } from "../../src/runtime/compression.ts";
import { callsPerSecond, jsonLike } from "./measure.ts";

answerHelp(import.meta.url);

const open = { compression: hostCompression, sizeBytesMax: 1 << 24 };
const key = jsonLike(12);
let sink = 0;

for (const [count, valueBytes] of [
  [1, 1024],
  [16, 1024],
  [1000, 1024],
  [1000, 100],
] as const) {
  const value = jsonLike(valueBytes);
  const build = () => {
    const builder = new RecordBatchBuilder({ sizeBytesHint: 200 + count * (valueBytes + 32) });
    for (let i = 0; i < count; i++) builder.append(1735689600000 + i, key, value);
    return builder.build();
  };
  const bytes = build();
  const batch = new RecordBatch(bytes, 0, bytes.length);
  const findings = recordWalkFindings();
  const row = (what: string, act: () => void) => {
    const calls = callsPerSecond(act);
    const rate = ((calls * bytes.length) / 1e9).toFixed(2).padStart(8);
    const records = ((calls * count) / 1e6).toFixed(2).padStart(8);
    const micros = (1e6 / calls).toFixed(3).padStart(9);
    console.log(`  ${what.padEnd(34)}${rate} GB/s ${records} M records/s ${micros} µs a batch`);
  };
  console.log(`${count} records of ${valueBytes} B: batch of ${bytes.length} B`);
  row("build (with checksum)", () => {
    sink ^= build().length;
  });
  row("header: size, checksum, patch", () => {
    if (isCrcValid(bytes, 0, batchSizeAt(bytes, 0, bytes.length))) patchBaseOffset(bytes, 0, 7);
  });
  row("walk", () => {
    const block = openRecords(batch, open);
    if (typeof block !== "string" && walkRecords(block, true, findings) !== null) sink++;
  });
  row("cursor with key and value views", () => {
    const block = openRecords(batch, open);
    if (typeof block === "string") return;
    const cursor = new RecordCursor(block);
    while (cursor.next()) sink ^= cursor.key()!.length + cursor.value()!.length;
  });
  row("read to values", () => {
    sink ^= readRecords(batch, open).records.length;
  });
}
if (sink === 1) console.log(sink);
