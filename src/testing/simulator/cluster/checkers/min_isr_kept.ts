// acks=all is acknowledged only while min.insync.replicas are in sync: not for what was sent when there were fewer, and there
// have been fewer since. A leader hears a little later what the controller has changed, so it is given some time.

import type { ClusterChecker } from "../cluster_history.ts";
import type { IsrWatch } from "../isr_watch.ts";

/** Longer than watches lag. */
const HEARD_US = 3_000_000;

/** @param minOf By name of the topic. */
export function minIsrKept(watch: IsrWatch, minOf: (topic: string) => number): ClusterChecker {
  return {
    name: "min_isr_kept",

    ackedBy(partition, { baseOffset }, brokerId, sentUs, fail) {
      const { topic } = partition;
      const min = minOf(topic.name);
      const lastUs = watch.lastUs(topic.id, partition.partition, min);
      if (lastUs + HEARD_US >= sentUs) return;
      fail(
        `broker ${brokerId} acknowledged ${partition.label} ${baseOffset}, sent at ${sentUs / 1000} ms; ${min} were in sync until ${lastUs / 1000} ms`,
      );
    },
  };
}
