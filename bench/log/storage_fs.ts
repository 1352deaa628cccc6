// Micro benchmark of storage-fs: appends of a group, each group followed by a sync that the next group's
// append overlaps, as the core's group commit does. Prints one line a cell; medians of 3 rounds.
//   bun bench/log/storage_fs.ts [FOLDER]
//   deno run -A bench/log/storage_fs.ts [FOLDER]

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { storageFs } from "../../plugins/storage-fs/mod.ts";
import { answerHelp } from "../../scripts/usage.ts";
import type { SegmentFile, SegmentStore } from "../../src/contracts/storage.ts";
import { pluginContext } from "../../src/testing/conformance/plugin_context.ts";

answerHelp(import.meta.url);

interface Cell {
  readonly label: string;
  readonly chunkBytes: number;
  readonly chunkCount: number;
}

const ROUNDS = 3;
const ROUND_MS = 700;
/** A file is reused from here on, so that a round does not fill the disk. */
const FILE_BYTES_MAX = 64 * 1024 * 1024;

const cells: readonly Cell[] = [
  ...[1, 4, 16, 64, 256].map((count) => ({
    label: `1 KiB x ${count}`,
    chunkBytes: 1024,
    chunkCount: count,
  })),
  { label: "16 KiB x 20", chunkBytes: 16 * 1024, chunkCount: 20 },
  { label: "64 KiB", chunkBytes: 64 * 1024, chunkCount: 1 },
  { label: "256 KiB x 4", chunkBytes: 256 * 1024, chunkCount: 4 },
  { label: "1 MiB", chunkBytes: 1024 * 1024, chunkCount: 1 },
];

const runtime = "Deno" in globalThis ? "deno" : "bun";
const folder = process.argv[2] ?? os.tmpdir();
const directory = fs.mkdtempSync(path.join(folder, "millrace-bench-"));
try {
  const storage = await storageFs({ directory }).open(pluginContext());
  const store = storage.segments!;
  console.log(
    "runtime  cell            append only MB/s   append µs   sync p50 ms   overlapped: groups/s   MB/s   loop stalls p99 ms",
  );
  for (const cell of cells) await measure(store, cell);
  await handles(store);
  await storage.close();
} finally {
  fs.rmSync(directory, { recursive: true });
}

async function measure(store: SegmentStore, cell: Cell): Promise<void> {
  const chunks = Array.from({ length: cell.chunkCount }, (_, i) =>
    new Uint8Array(cell.chunkBytes).fill(i + 1),
  );
  const groupBytes = cell.chunkBytes * cell.chunkCount;
  const appends: number[] = [];
  const syncs: number[] = [];
  const groups: number[] = [];
  const stalls: number[] = [];
  let file = await store.open("bench", { create: true });
  for (let round = 0; round < ROUNDS; round++) {
    file = await reused(store, file);
    appends.push(await appendOnly(file, chunks, groupBytes));
    await file.sync();
    file = await reused(store, file);
    syncs.push(await syncMs(file, chunks));
    const overlapped = await overlap(store, file, chunks);
    file = overlapped.file;
    groups.push(overlapped.groupsPerS);
    stalls.push(overlapped.stallMs);
  }
  await file.close();
  await store.remove(file.name);
  const appendUs = median(appends);
  const perS = median(groups);
  console.log(
    [
      runtime.padEnd(8),
      cell.label.padEnd(14),
      (groupBytes / appendUs).toFixed(0).padStart(17),
      appendUs.toFixed(1).padStart(11),
      median(syncs).toFixed(3).padStart(13),
      perS.toFixed(0).padStart(22),
      ((perS * groupBytes) / 1e6).toFixed(1).padStart(8),
      median(stalls).toFixed(2).padStart(14),
    ].join(" "),
  );
}

/** Microseconds an append, without syncs, within the file's warm pages. */
async function appendOnly(
  file: SegmentFile,
  chunks: readonly Uint8Array[],
  groupBytes: number,
): Promise<number> {
  const count = Math.min(2_000, Math.floor(FILE_BYTES_MAX / 2 / groupBytes));
  const startedAt = performance.now();
  for (let i = 0; i < count; i++) await file.append(chunks);
  return ((performance.now() - startedAt) * 1000) / count;
}

/** Median of an append and its sync, one after the other. */
async function syncMs(file: SegmentFile, chunks: readonly Uint8Array[]): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 30; i++) {
    await file.append(chunks);
    const startedAt = performance.now();
    await file.sync();
    times.push(performance.now() - startedAt);
  }
  return median(times);
}

/** Groups a second when each group is appended while the one before it is synced. */
async function overlap(
  store: SegmentStore,
  opened: SegmentFile,
  chunks: readonly Uint8Array[],
): Promise<{ groupsPerS: number; stallMs: number; file: SegmentFile }> {
  let file = opened;
  const stalls: number[] = [];
  let lastTick = performance.now();
  const ticker = setInterval(() => {
    const now = performance.now();
    stalls.push(now - lastTick);
    lastTick = now;
  }, 1);
  const startedAt = performance.now();
  let count = 0;
  let running: Promise<void> = Promise.resolve();
  while (performance.now() - startedAt < ROUND_MS) {
    await file.append(chunks);
    await running;
    if (file.sizeBytes > FILE_BYTES_MAX) file = await reused(store, file);
    else running = file.sync();
    count++;
  }
  await running;
  const elapsedS = (performance.now() - startedAt) / 1000;
  clearInterval(ticker);
  stalls.sort((a, b) => a - b);
  return {
    groupsPerS: count / elapsedS,
    stallMs: stalls[Math.floor(stalls.length * 0.99)] ?? 0,
    file,
  };
}

async function reused(store: SegmentStore, file: SegmentFile): Promise<SegmentFile> {
  await file.close();
  return await store.recycle(file.name, file.name === "bench" ? "bench2" : "bench");
}

/** 10,000 files open at once over 512 handles; 2,000 of them are written, so handles move about. */
async function handles(store: SegmentStore): Promise<void> {
  const count = 10_000;
  const files: SegmentFile[] = [];
  const openMs = await timedMs(async () => {
    for (let i = 0; i < count; i++) files.push(await store.open(`many/${i}`, { create: true }));
  });
  const written = files.filter((_, i) => i % 5 === 0);
  const chunk = [new Uint8Array(1024)];
  const appendMs = await timedMs(async () => {
    for (const file of written) await file.append(chunk);
    await Promise.all(written.map((file) => file.sync()));
  });
  const target = new Uint8Array(1024);
  const readMs = await timedMs(async () => {
    for (const file of written) await file.readInto(target, 0);
  });
  const listMs = await timedMs(async () => void (await store.list("many/")));
  await Promise.all(files.map((file) => file.close()));
  console.log(
    `${runtime}: ${count} files: open ${openMs.toFixed(0)} ms, list ${listMs.toFixed(0)} ms; ` +
      `${written.length} of them: append and sync ${appendMs.toFixed(0)} ms, read ${readMs.toFixed(0)} ms`,
  );
}

async function timedMs(act: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await act();
  return performance.now() - startedAt;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
