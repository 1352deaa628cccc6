// Which segments a log may let go of, by age and by size; whole segments only, oldest first.
// Kafka: UnifiedLog.deleteRetentionMsBreachedSegments, deleteRetentionSizeBreachedSegments.

import type { PartitionLog } from "./partition_log.ts";

/** How many of the log's oldest segments are past `retention.ms` or `retention.bytes`. */
export function expiredSegments(log: PartitionLog, wallMs: number): number {
  const { settings } = log.topic;
  if (!settings.cleanupDelete) return 0;
  const isCommitted = (i: number) => log.segmentEnd(i) <= log.highWatermark;
  let byAge = 0;
  if (settings.retentionMs >= 0) {
    while (byAge < log.segments.length && isCommitted(byAge)) {
      const segment = log.segments[byAge]!;
      const newestMs = segment.maxTimestampMs >= 0 ? segment.maxTimestampMs : segment.createdMs;
      if (wallMs - newestMs <= settings.retentionMs) break;
      byAge++;
    }
  }
  let bySize = 0;
  if (settings.retentionBytes >= 0) {
    let surplusBytes = log.sizeBytes - settings.retentionBytes;
    while (bySize < log.segments.length && isCommitted(bySize)) {
      surplusBytes -= log.segments[bySize]!.sizeBytes;
      if (surplusBytes < 0) break;
      bySize++;
    }
  }
  return Math.max(byAge, bySize);
}
