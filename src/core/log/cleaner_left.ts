// Logs that the cleaner could not clean for what is in them, and when it tries them again: once something has changed that
// may help, or after a pause that doubles. Invariant: a cause is said once, however often it is met again.
// Kafka: LogCleanerManager's uncleanable partitions, which are left until the next start.

import type { TopicSettings } from "../settings/topic_settings.ts";
import type { PartitionLog } from "./partition_log.ts";

const RETRY_MS_MIN = 600_000;
/** What comes before the damage is read each time. */
const RETRY_MS_MAX = 86_400_000;

/** Why a log was left, and until when, by the monotonic clock, unless what it was left with changes. */
export interface Left {
  readonly reason: string;
  readonly settings: TopicSettings;
  readonly startOffset: number;
  /** What the cleaner had to do with, as text. */
  readonly means: string;
  readonly pauseMs: number;
  readonly retryAtMs: number;
}

export class LeftLogs {
  readonly #byLog = new WeakMap<PartitionLog, Left>();

  /** Whether it is no use to try this log. @param means What the cleaner has to do with now: more of it may help */
  has(log: PartitionLog, nowMs: number, means: () => string): boolean {
    const left = this.#byLog.get(log);
    return (
      left !== undefined &&
      left.settings === log.topic.settings &&
      left.startOffset === log.logStartOffset &&
      left.means === means() &&
      nowMs < left.retryAtMs
    );
  }

  /** @returns whether that is news: of this log, it is not what was found before */
  add(log: PartitionLog, reason: string, nowMs: number, means: string): boolean {
    const before = this.#byLog.get(log);
    const pauseMs =
      before === undefined ? RETRY_MS_MIN : Math.min(before.pauseMs * 2, RETRY_MS_MAX);
    this.#byLog.set(log, {
      reason,
      settings: log.topic.settings,
      startOffset: log.logStartOffset,
      means,
      pauseMs,
      retryAtMs: nowMs + pauseMs,
    });
    return before?.reason !== reason;
  }

  /** Why it was left; undefined when it was not, or was cleaned since. */
  get(log: PartitionLog): Left | undefined {
    return this.#byLog.get(log);
  }

  /** It was cleaned. */
  remove(log: PartitionLog): void {
    this.#byLog.delete(log);
  }
}
