// What one broker tells of a partition's high watermark, over one connection, never goes back, and what it serves lies below.
// Between brokers it may: a new leader learns it from its followers.

import type { PartitionHistory } from "../../history.ts";
import type { ClusterChecker } from "../cluster_history.ts";

export function highWatermarkKept(): ClusterChecker {
  const told = new Map<PartitionHistory, Map<number, number>>();
  return {
    name: "high_watermark_kept",

    highWatermarkTold(partition, brokerId, connection, highWatermark, fail) {
      const ends = told.get(partition) ?? new Map<number, number>();
      told.set(partition, ends);
      const before = ends.get(connection) ?? 0;
      ends.set(connection, Math.max(before, highWatermark));
      if (highWatermark >= before) return;
      fail(
        `broker ${brokerId} told ${before} as the high watermark of ${partition.label}, and then ${highWatermark}`,
      );
    },
  };
}
