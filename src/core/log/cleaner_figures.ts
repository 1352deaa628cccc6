// What the cleaner can say of a log to whoever asks: how much of it is dirty, what the last cleaning came to, how far one
// under way has come, and why a log is left as it is. Kept in memory, since this start.
// Kafka: the gauges of LogCleaner and LogCleanerManager, LogCleaner.recordStats.

import { LeftLogs } from "./cleaner_left.ts";
import { cleanableOf } from "./cleaner_plan.ts";
import type { PartitionLog } from "./partition_log.ts";

/** One cleaning that came to an end. Offsets that end a range are exclusive. */
export interface PastCleaning {
  readonly endedMs: number;
  readonly tookMs: number;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly segmentsBefore: number;
  readonly segmentsAfter: number;
  /** Of the whole partition; what was appended meanwhile is in the second. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Records of the segments that were gone through, and those of them that stayed. */
  readonly recordsBefore: number;
  readonly recordsAfter: number;
  readonly tombstonesRemoved: number;
}

/** One under way. It goes through the dirty part for keys, and then through all from the start. */
export interface RunningCleaning {
  readonly startedMs: number;
  readonly phase: "keys" | "rewrite";
  /** How far this phase has come. */
  readonly offset: number;
  /** How far it is to come. */
  readonly endOffset: number;
}

/** What is known of one partition. Times are of the wall clock, in milliseconds. */
export interface CleaningFigures {
  readonly partition: number;
  /** Exclusive end of what was cleaned. */
  readonly cleanedEnd: number;
  readonly cleanBytes: number;
  /** Everything after it, whether it may be cleaned already or not. */
  readonly dirtyBytes: number;
  /** dirtyBytes of both; 0 where there is nothing. */
  readonly dirtyRatio: number;
  /** What of dirtyBytes may be cleaned now: in segments that have ended, old enough, and not part of an open transaction. */
  readonly cleanableBytes: number;
  /** Cleanings since this start. */
  readonly cleanings: number;
  readonly last: PastCleaning | null;
  readonly running: RunningCleaning | null;
  /** Why it is left as it is, and when it is tried again unless something changes before. */
  readonly uncleanable: { readonly reason: string; readonly retryMs: number } | null;
}

export class CleanerFigures {
  readonly left = new LeftLogs();
  readonly #past = new WeakMap<PartitionLog, { cleanings: number; last: PastCleaning }>();
  #running: { readonly log: PartitionLog; cleaning: RunningCleaning } | null = null;

  began(log: PartitionLog, startedMs: number): void {
    const { cleanedEnd: offset } = log;
    this.#running = { log, cleaning: { startedMs, phase: "keys", offset, endOffset: offset } };
  }

  /** The one that began is in another phase, or has come further. */
  reached(phase: RunningCleaning["phase"], offset: number, endOffset: number): void {
    if (this.#running === null) return;
    const { startedMs } = this.#running.cleaning;
    this.#running.cleaning = { startedMs, phase, offset, endOffset };
  }

  /** @param past Null where it came to nothing. */
  ended(log: PartitionLog, past: PastCleaning | null): void {
    this.#running = null;
    if (past === null) return;
    this.left.remove(log);
    this.#past.set(log, { cleanings: (this.#past.get(log)?.cleanings ?? 0) + 1, last: past });
  }

  of(log: PartitionLog, wallMs: number, monotonicMs: number): CleaningFigures {
    const { sizeBytes, partition } = log;
    const { cleanBytes, cleanableBytes } = cleanableOf(log, wallMs);
    const dirtyBytes = sizeBytes - cleanBytes;
    const past = this.#past.get(log);
    const left = this.left.get(log);
    return {
      partition,
      cleanedEnd: log.cleanedEnd,
      cleanBytes,
      dirtyBytes,
      dirtyRatio: sizeBytes === 0 ? 0 : dirtyBytes / sizeBytes,
      cleanableBytes,
      cleanings: past?.cleanings ?? 0,
      last: past?.last ?? null,
      running: this.#running?.log === log ? this.#running.cleaning : null,
      uncleanable:
        left === undefined
          ? null
          : { reason: left.reason, retryMs: wallMs + Math.max(left.retryAtMs - monotonicMs, 0) },
    };
  }
}
