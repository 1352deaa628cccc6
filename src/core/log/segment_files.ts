// Segment files of grown partitions: named by topic id, partition and base offset; whole batches
// back to back, as in Kafka. Handles and indexes are kept in bounded caches.
// Invariant: only the first `settledBytes` of a file are ever read; settling wrote and synced them.

import { Lru } from "../../base/lru.ts";
import type { SegmentFile, SegmentStore } from "../../contracts/storage.ts";
import { baseOffsetAt, maxTimestampAt } from "../../record/batch_header.ts";
import { batchSizeAt } from "../../record/record_batch.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { SegmentInfo } from "./partition_state.ts";
import { SegmentIndex } from "./segment_index.ts";

const INDEX_CACHE_BYTES_MAX = 8 * 1024 * 1024;
const HANDLES_MAX = 4096;
const SCAN_BYTES = 256 * 1024;

export function partitionFolder(log: PartitionLog): string {
  return `segments/${log.topic.idHex}/${log.partition}`;
}

export function segmentFileName(log: PartitionLog, baseOffset: number): string {
  return `${partitionFolder(log)}/${String(baseOffset).padStart(20, "0")}.log`;
}

function indexFileName(log: PartitionLog, baseOffset: number): string {
  return `${partitionFolder(log)}/${String(baseOffset).padStart(20, "0")}.index`;
}

export class SegmentFiles {
  readonly #store: SegmentStore;
  readonly #indexes: Lru<string, SegmentIndex>;
  /** Promises, since a store refuses to open one name twice. */
  readonly #handles = new Map<string, Promise<SegmentFile>>();

  constructor(store: SegmentStore) {
    this.#store = store;
    this.#indexes = new Lru<string, SegmentIndex>(INDEX_CACHE_BYTES_MAX);
  }

  get store(): SegmentStore {
    return this.#store;
  }

  async open(log: PartitionLog, segment: SegmentInfo, create: boolean): Promise<SegmentFile> {
    const name = segmentFileName(log, segment.baseOffset);
    const known = this.#handles.get(name);
    if (known !== undefined) return await known;
    if (this.#handles.size >= HANDLES_MAX) await this.#closeOldest();
    const opening = this.#store.open(name, { create });
    this.#handles.set(name, opening);
    try {
      return await opening;
    } catch (error) {
      this.#handles.delete(name);
      throw error;
    }
  }

  /** The index of the settled part of a segment: from memory, from its file, or by walking the segment. */
  async index(log: PartitionLog, segment: SegmentInfo): Promise<SegmentIndex> {
    const name = segmentFileName(log, segment.baseOffset);
    const cached = this.#indexes.get(name);
    if (cached !== undefined && cached.coveredBytes >= segment.settledBytes) return cached;
    const index =
      (await this.#readIndex(log, segment)) ?? (await this.#rebuildIndex(log, segment, cached));
    this.keepIndex(log, index);
    return index;
  }

  keepIndex(log: PartitionLog, index: SegmentIndex): void {
    this.#indexes.set(segmentFileName(log, index.baseOffset), index, index.sizeBytes);
  }

  /** Writes the index down next to a segment that will not grow; it may be lost, it is only a shortcut. */
  async writeIndex(log: PartitionLog, index: SegmentIndex): Promise<void> {
    const file = await this.#store.open(indexFileName(log, index.baseOffset), { create: true });
    try {
      if (file.sizeBytes > 0) await file.truncate(0);
      await file.append([index.encode()]);
    } finally {
      await file.close();
    }
  }

  async remove(log: PartitionLog, baseOffset: number): Promise<void> {
    const name = segmentFileName(log, baseOffset);
    this.#indexes.delete(name);
    const handle = this.#handles.get(name);
    this.#handles.delete(name);
    if (handle !== undefined) await (await handle).close();
    await this.#store.remove(name);
    await this.#store.remove(indexFileName(log, baseOffset));
  }

  async close(): Promise<void> {
    for (const handle of this.#handles.values()) await (await handle).close();
    this.#handles.clear();
  }

  async #closeOldest(): Promise<void> {
    for (const [name, handle] of this.#handles) {
      this.#handles.delete(name);
      await (await handle).close();
      return;
    }
  }

  async #readIndex(log: PartitionLog, segment: SegmentInfo): Promise<SegmentIndex | null> {
    const name = indexFileName(log, segment.baseOffset);
    let file: SegmentFile;
    try {
      file = await this.#store.open(name, { create: false });
    } catch {
      // Absent, or not readable: the segment itself is the truth, and is walked.
      return null;
    }
    try {
      const bytes = new Uint8Array(file.sizeBytes);
      const count = await file.readInto(bytes, 0);
      return SegmentIndex.decode(
        bytes.subarray(0, count),
        segment.baseOffset,
        segment.settledBytes,
      );
    } finally {
      await file.close();
    }
  }

  async #rebuildIndex(
    log: PartitionLog,
    segment: SegmentInfo,
    known: SegmentIndex | undefined,
  ): Promise<SegmentIndex> {
    const index = known ?? new SegmentIndex(segment.baseOffset);
    const file = await this.open(log, segment, false);
    const window = new Uint8Array(SCAN_BYTES);
    while (index.coveredBytes < segment.settledBytes) {
      const start = index.coveredBytes;
      const lengthMax = Math.min(window.length, segment.settledBytes - start);
      const count = await file.readInto(window.subarray(0, lengthMax), start);
      let at = 0;
      while (count - at >= 61) {
        const sizeBytes = batchLengthIn(window, at);
        if (sizeBytes < 61) return index;
        index.add(
          baseOffsetAt(window, at),
          sizeBytes,
          maxTimestampAt(window, at),
          log.topic.settings.indexIntervalBytes,
        );
        at += sizeBytes;
      }
      if (at === 0) return index;
    }
    return index;
  }
}

/** Size of the batch at `at` from its header, whether or not it lies wholly in the window. */
function batchLengthIn(window: Uint8Array, at: number): number {
  return batchSizeAt(window, at, Number.MAX_SAFE_INTEGER);
}
