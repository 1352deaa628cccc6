// When the last segment of a log ends and the next one begins. Kafka: LogSegment.shouldRoll.

import type { PartitionLog } from "./partition_log.ts";
import type { SegmentInfo } from "./partition_state.ts";

const OFFSET_DELTA_MAX = 0x7fff_ffff;

/** Whether a batch of so many bytes, which ends at `endOffset`, belongs to a new segment. */
export function isRollDue(
  log: PartitionLog,
  batchBytes: number,
  endOffset: number,
  maxTimestampMs: number,
  wallMs: number,
): boolean {
  const segment = log.segments.at(-1);
  if (segment === undefined) return true;
  const { settings } = log.topic;
  if (segment.sizeBytes > 0 && segment.sizeBytes + batchBytes > settings.segmentBytes) return true;
  if (endOffset - segment.baseOffset > OFFSET_DELTA_MAX) return true;
  if (segment.sizeBytes === 0) return false;
  const waitedMs =
    maxTimestampMs >= 0 && segment.firstTimestampMs >= 0
      ? maxTimestampMs - segment.firstTimestampMs
      : wallMs - segment.createdMs;
  // What may be cleaned has to be in a closed segment by then.
  const openMsMax = settings.cleanupCompact
    ? Math.min(settings.segmentMs, settings.maxCompactionLagMs)
    : settings.segmentMs;
  return waitedMs > openMsMax - jitterMs(log, segment);
}

/** The same segment always gets the same jitter, below segment.jitter.ms: no draw, no state. */
function jitterMs(log: PartitionLog, segment: SegmentInfo): number {
  const { segmentJitterMs, segmentMs } = log.topic.settings;
  if (segmentJitterMs <= 0) return 0;
  const spread = (segment.baseOffset * 2_654_435_761 + log.partition * 40_503) % 4_294_967_296;
  return Math.floor((spread / 4_294_967_296) * Math.min(segmentJitterMs, segmentMs));
}
