// Every checker of a run. That every request is answered or its connection closed is seen by the clients
// themselves (sim_client.ts, "answered_or_closed"), and that everything completes by simulator.ts ("liveness").

import type { Checker } from "../history.ts";
import { ackedRecordsSurvive } from "./acked_records_survive.ts";
import { deletedTopicsStayGone } from "./deleted_topics_stay_gone.ts";
import { highWatermarkMonotonic } from "./high_watermark_monotonic.ts";
import { logStartMonotonic } from "./log_start_monotonic.ts";
import { noDuplicates } from "./no_duplicates.ts";
import { offsetsContiguous } from "./offsets_contiguous.ts";
import { producerIdsUnique } from "./producer_ids_unique.ts";
import { producerOrderKept } from "./producer_order_kept.ts";
import { readsAgree } from "./reads_agree.ts";

export function allCheckers(): readonly Checker[] {
  return [
    ackedRecordsSurvive,
    readsAgree,
    offsetsContiguous,
    noDuplicates,
    producerOrderKept,
    highWatermarkMonotonic,
    logStartMonotonic,
    deletedTopicsStayGone,
    producerIdsUnique(),
  ];
}
