// When the last segment of a log ends and the next one begins. Kafka: LogSegment.shouldRoll.

import type { TopicSettings } from "../settings/topic_settings.ts";
import type { SegmentInfo } from "./partition_state.ts";

const OFFSET_DELTA_MAX = 0x7fff_ffff;

/**
 * Whether a batch of so many bytes, which ends at `endOffset`, belongs to a new segment.
 *
 * @param segment The last one; undefined when there is none.
 */
export function isRollDue(
  segment: SegmentInfo | undefined,
  settings: TopicSettings,
  partition: number,
  batchBytes: number,
  endOffset: number,
  maxTimestampMs: number,
  wallMs: number,
): boolean {
  if (segment === undefined) return true;
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
  return waitedMs > openMsMax - jitterMs(segment, settings, partition);
}

/** The same segment always gets the same jitter, below segment.jitter.ms: no draw, no state. */
function jitterMs(
  { baseOffset }: SegmentInfo,
  { segmentJitterMs, segmentMs }: TopicSettings,
  partition: number,
): number {
  if (segmentJitterMs <= 0) return 0;
  const spread = (baseOffset * 2_654_435_761 + partition * 40_503) % 4_294_967_296;
  return Math.floor((spread / 4_294_967_296) * Math.min(segmentJitterMs, segmentMs));
}
