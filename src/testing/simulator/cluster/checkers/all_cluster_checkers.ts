// Every checker of a simulated cluster: new ones for each run, as some remember.

import { ackedRecordsSurvive } from "../../checkers/acked_records_survive.ts";
import { noDuplicates } from "../../checkers/no_duplicates.ts";
import { offsetsContiguous } from "../../checkers/offsets_contiguous.ts";
import { producerIdsUnique } from "../../checkers/producer_ids_unique.ts";
import { producerOrderKept } from "../../checkers/producer_order_kept.ts";
import { readsAgree } from "../../checkers/reads_agree.ts";
import type { Checker } from "../../history.ts";
import type { ClusterChecker } from "../cluster_history.ts";
import type { IsrWatch } from "../isr_watch.ts";
import { committedOffsetsKept } from "./committed_offsets_kept.ts";
import { highWatermarkKept } from "./high_watermark_kept.ts";
import { isrIsSound } from "./isr_is_sound.ts";
import { minIsrKept } from "./min_isr_kept.ts";
import { oneLeaderPerEpoch } from "./one_leader_per_epoch.ts";
import { replicasAgree } from "./replicas_agree.ts";

/** Those of partitions that hold whoever leads. */
export function partitionCheckers(): readonly Checker[] {
  return [
    ackedRecordsSurvive,
    noDuplicates,
    offsetsContiguous,
    producerIdsUnique(),
    producerOrderKept,
    readsAgree,
  ];
}

export function clusterCheckers(
  watch: IsrWatch,
  minOf: (topic: string) => number,
): readonly ClusterChecker[] {
  return [
    committedOffsetsKept,
    highWatermarkKept(),
    isrIsSound,
    minIsrKept(watch, minOf),
    oneLeaderPerEpoch(),
    replicasAgree(),
  ];
}
