// When a member is to come again. Kafka hands out the configured interval (5 s) always, so that members of a group that
// changes notice it late: a second member waits up to two of them for its partitions. Here members come sooner while the
// group is not at its target, and for a while afterwards, as members tend to come and go together: every 0.5 s.
// Invariant: never longer than the configured interval; a group asks for at most 200 (100) heartbeats a second.

import type { ConsumerGroup } from "./consumer_group.ts";

const SOON_MS = 500;
const MOVING_PER_MEMBER_MS = 5;
const SETTLING_PER_MEMBER_MS = 10;
/** How long after its last change a group counts as settling. */
const SETTLING_FOR_MS = 60_000;

/** @param isMoving Something changes in this very decision, or is under way */
export function heartbeatIntervalMs(
  group: ConsumerGroup,
  configuredMs: number,
  isMoving: boolean,
  sinceChangeMs: number,
): number {
  const memberCount = Math.max(group.memberCount, 1);
  if (isMoving || group.state !== "Stable") {
    return Math.min(configuredMs, Math.max(SOON_MS, MOVING_PER_MEMBER_MS * memberCount));
  }
  if (sinceChangeMs < SETTLING_FOR_MS) {
    return Math.min(configuredMs, Math.max(SOON_MS, SETTLING_PER_MEMBER_MS * memberCount));
  }
  return configuredMs;
}
