// Segment files of grown partitions: named by topic id, partition and base offset, and by how often they
// were cleaned; whole batches back to back, as in Kafka. Open files and indexes are kept in bounded caches.
// Invariant: only the first `settledBytes` of a file are ever read; settling wrote and synced them.

import { Lru } from "../../base/lru.ts";
import type { Logger } from "../../contracts/runtime.ts";
import type { SegmentFile, SegmentStore } from "../../contracts/storage.ts";
import {
  BATCH_HEADER_BYTES,
  baseOffsetAt,
  lastOffsetAt,
  maxTimestampAt,
} from "../../record/batch_header.ts";
import { batchSizeAt } from "../../record/record_batch.ts";
import type { PartitionLog } from "./partition_log.ts";
import type { SegmentInfo } from "./partition_state.ts";
import { hasPlaceMark } from "./place_mark.ts";
import { SegmentIndex } from "./segment_index.ts";

const INDEX_CACHE_BYTES_MAX = 8 * 1024 * 1024;
const HANDLES_MAX = 4096;
const SCAN_BYTES = 256 * 1024;

export function partitionFolder(log: PartitionLog): string {
  return `segments/${log.topic.idHex}/${log.partition}`;
}

/** What names the files of a segment. */
type SegmentName = Pick<SegmentInfo, "baseOffset" | "generation">;
type SegmentToRemove = SegmentName & Pick<SegmentInfo, "abortedCount">;

export function segmentFileName(log: PartitionLog, segment: SegmentName): string {
  return `${stem(log, segment)}.log`;
}

function indexFileName(log: PartitionLog, segment: SegmentName): string {
  return `${stem(log, segment)}.index`;
}

/** Beside it, where transactions were aborted in it: see AbortedIndex. */
export function abortedFileName(log: PartitionLog, segment: SegmentName): string {
  return `${stem(log, segment)}.aborted`;
}

function stem(log: PartitionLog, { baseOffset, generation }: SegmentName): string {
  const name = `${partitionFolder(log)}/${String(baseOffset).padStart(20, "0")}`;
  return generation === 0 ? name : `${name}.${generation}`;
}

/** An open file. It is closed only while nobody uses it. */
interface Handle {
  readonly file: Promise<SegmentFile>;
  /** Opened by somebody who makes the file where it is not there. */
  readonly creates: boolean;
  users: number;
  onIdle: (() => void) | null;
}

export class SegmentFiles {
  readonly #store: SegmentStore;
  readonly #log: Logger;
  readonly #indexes: Lru<string, SegmentIndex>;
  /** Indexes being read or rebuilt, by name and size. */
  readonly #loading = new Map<string, Promise<SegmentIndex>>();
  /** Least recently used first. */
  readonly #handles = new Map<string, Handle>();
  /** Names being closed or removed: a store refuses to open one name twice, or to remove an open one. */
  readonly #retiring = new Map<string, Promise<void>>();

  constructor(store: SegmentStore, log: Logger) {
    this.#store = store;
    this.#log = log;
    this.#indexes = new Lru<string, SegmentIndex>(INDEX_CACHE_BYTES_MAX);
  }

  /** Calls `work` with the segment's file, which stays open and in place until its promise has settled. */
  async use<T>(
    log: PartitionLog,
    segment: SegmentInfo,
    create: boolean,
    work: (file: SegmentFile) => Promise<T>,
  ): Promise<T> {
    return await this.#use(segmentFileName(log, segment), create, work);
  }

  /** The same with the file of what was aborted in the segment. */
  async useAborted<T>(
    log: PartitionLog,
    segment: SegmentInfo,
    create: boolean,
    work: (file: SegmentFile) => Promise<T>,
  ): Promise<T> {
    return await this.#use(abortedFileName(log, segment), create, work);
  }

  async #use<T>(
    name: string,
    create: boolean,
    work: (file: SegmentFile) => Promise<T>,
  ): Promise<T> {
    for (let busy = this.#retiring.get(name); busy !== undefined; busy = this.#retiring.get(name)) {
      await busy;
    }
    let handle = this.#handles.get(name);
    if (handle === undefined) {
      if (this.#handles.size >= HANDLES_MAX) this.#closeOldest();
      handle = {
        file: this.#store.open(name, { create }),
        creates: create,
        users: 0,
        onIdle: null,
      };
    } else this.#handles.delete(name);
    this.#handles.set(name, handle);
    handle.users++;
    try {
      let file: SegmentFile;
      try {
        file = await handle.file;
      } catch (error) {
        if (this.#handles.get(name) === handle) this.#handles.delete(name);
        // Who came first looked for a file that was not there; this one makes it.
        if (create && !handle.creates) return await this.#use(name, create, work);
        throw error;
      }
      return await work(file);
    } finally {
      handle.users--;
      if (handle.users === 0) handle.onIdle?.();
    }
  }

  /** The index of the settled part of a segment: from memory, from its file, or by walking the segment. */
  async index(log: PartitionLog, segment: SegmentInfo): Promise<SegmentIndex> {
    return (
      this.#cached(log, segment) ??
      (await this.use(log, segment, false, (file) => this.indexIn(log, segment, file)))
    );
  }

  /** The same for who uses the file already. */
  async indexIn(log: PartitionLog, segment: SegmentInfo, file: SegmentFile): Promise<SegmentIndex> {
    const cached = this.#cached(log, segment);
    if (cached !== null) return cached;
    const key = `${segmentFileName(log, segment)}@${segment.settledBytes}`;
    let loading = this.#loading.get(key);
    if (loading === undefined) {
      loading = this.#load(log, segment, file);
      this.#loading.set(key, loading);
    }
    try {
      return await loading;
    } finally {
      this.#loading.delete(key);
    }
  }

  #cached(log: PartitionLog, segment: SegmentInfo): SegmentIndex | null {
    const cached = this.#indexes.get(segmentFileName(log, segment));
    return cached !== undefined && cached.coveredBytes >= segment.settledBytes ? cached : null;
  }

  async #load(log: PartitionLog, segment: SegmentInfo, file: SegmentFile): Promise<SegmentIndex> {
    const index =
      (await this.#readIndex(log, segment)) ?? (await this.#rebuildIndex(log, segment, file));
    this.keepIndex(log, segment, index);
    return index;
  }

  keepIndex(log: PartitionLog, segment: SegmentInfo, index: SegmentIndex): void {
    this.#indexes.set(segmentFileName(log, segment), index, index.sizeBytes);
  }

  /** Writes the index down next to a segment that will not grow; it may be lost, it is only a shortcut. */
  async writeIndex(log: PartitionLog, segment: SegmentInfo, index: SegmentIndex): Promise<void> {
    const name = indexFileName(log, segment);
    try {
      await this.use(log, segment, false, async () => {
        const file = await this.#store.open(name, { create: true });
        try {
          if (file.sizeBytes > 0) await file.truncate(0);
          await file.append([index.encode()]);
        } finally {
          await file.close();
        }
      });
    } catch (error) {
      this.#log.warn("index_not_written", { name, error: String(error) });
    }
  }

  /** Removes a segment and what lies beside it, durably. */
  async remove(log: PartitionLog, segment: SegmentToRemove): Promise<void> {
    const name = segmentFileName(log, segment);
    await this.#retire(name, async () => {
      this.#indexes.delete(name);
      await this.#store.remove(name);
      await this.#store.remove(indexFileName(log, segment));
    });
    const aborted = abortedFileName(log, segment);
    if (segment.abortedCount === 0 && !this.#handles.has(aborted)) return;
    await this.#retire(aborted, () => this.#store.remove(aborted));
  }

  /** Forgets the index of a segment whose end is cut off, in memory and beside the segment. */
  async forgetIndex(log: PartitionLog, segment: SegmentInfo): Promise<void> {
    const name = segmentFileName(log, segment);
    await this.#retire(name, async () => {
      this.#indexes.delete(name);
      await this.#store.remove(indexFileName(log, segment));
    });
  }

  /** Forgets the open files of a segment, after a write to one failed: the next use opens it anew. */
  async reopen(log: PartitionLog, segment: SegmentInfo): Promise<void> {
    const name = segmentFileName(log, segment);
    await this.#retire(name, async () => {
      this.#indexes.delete(name);
    });
    const aborted = abortedFileName(log, segment);
    if (this.#handles.has(aborted)) await this.#retire(aborted, async () => {});
  }

  async close(): Promise<void> {
    await Promise.all([...this.#handles.keys()].map((name) => this.#retire(name, async () => {})));
  }

  /** Closes a file once nobody uses it, then does `work` before anybody may open it again. */
  #retire(name: string, work: () => Promise<void>): Promise<void> {
    const before = this.#retiring.get(name);
    const retiring = this.#closeThen(name, before, work);
    const settled = retiring
      .catch(() => {})
      .then(() => {
        if (this.#retiring.get(name) === settled) this.#retiring.delete(name);
      });
    this.#retiring.set(name, settled);
    return retiring;
  }

  async #closeThen(
    name: string,
    before: Promise<void> | undefined,
    work: () => Promise<void>,
  ): Promise<void> {
    await before;
    const handle = this.#handles.get(name);
    this.#handles.delete(name);
    if (handle !== undefined) {
      if (handle.users > 0) {
        await new Promise<void>((resolve) => {
          handle.onIdle = resolve;
        });
      }
      const file = await handle.file.catch(() => null);
      await file?.close();
    }
    await work();
  }

  #closeOldest(): void {
    for (const [name, handle] of this.#handles) {
      if (handle.users > 0) continue;
      this.#retire(name, async () => {}).catch((error: unknown) => {
        this.#log.warn("segment_not_closed", { name, error: String(error) });
      });
      return;
    }
  }

  async #readIndex(log: PartitionLog, segment: SegmentInfo): Promise<SegmentIndex | null> {
    const name = indexFileName(log, segment);
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

  /**
   * Walks the segment. A base offset lies outside the batch's checksum: where it does not follow from
   * the batch before, the batch gets no entry, so that no look-up begins there.
   */
  async #rebuildIndex(
    log: PartitionLog,
    segment: SegmentInfo,
    file: SegmentFile,
  ): Promise<SegmentIndex> {
    const index = new SegmentIndex(segment.baseOffset);
    const { indexIntervalBytes } = log.topic.settings;
    const settledBytes = segment.settledBytes;
    const window = new Uint8Array(SCAN_BYTES);
    let expected = segment.baseOffset;
    while (index.coveredBytes < settledBytes) {
      const start = index.coveredBytes;
      const lengthMax = Math.min(window.length, settledBytes - start);
      const count = await file.readInto(window.subarray(0, lengthMax), start);
      let at = 0;
      while (count - at >= BATCH_HEADER_BYTES) {
        const sizeBytes = batchSizeAt(window, at, Number.MAX_SAFE_INTEGER);
        if (sizeBytes < 0) return index.endingAt(settledBytes);
        const baseOffset = baseOffsetAt(window, at);
        const isSure =
          segment.generation === 0
            ? baseOffset === expected
            : baseOffset >= expected && hasPlaceMark(window, at);
        index.add(baseOffset, sizeBytes, maxTimestampAt(window, at), indexIntervalBytes, isSure);
        if (segment.generation === 0 || isSure) expected = lastOffsetAt(window, at) + 1;
        at += sizeBytes;
      }
      if (at === 0) return index.endingAt(settledBytes);
    }
    return index;
  }
}
