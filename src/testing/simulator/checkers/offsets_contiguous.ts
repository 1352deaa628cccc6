// Offsets are contiguous: a read starts where it was asked to, skips nothing, and never reaches the high
// watermark; the whole log has every offset from its start to its end once.

import type { Checker } from "../history.ts";

export const offsetsContiguous: Checker = {
  name: "offsets_contiguous",

  read(partition, { fetchOffset, records, highWatermark }, fail) {
    if (highWatermark < 0) return;
    let next = fetchOffset;
    for (const { offset } of records) {
      if (offset !== next) {
        fail(`${partition.label}: offset ${offset} where ${next} was due (fetched ${fetchOffset})`);
        return;
      }
      next = offset + 1;
    }
    if (next > Math.max(highWatermark, fetchOffset)) {
      fail(
        `${partition.label}: offset ${next - 1} was served above high watermark ${highWatermark}`,
      );
    }
  },

  audited(partition, { logStartOffset, highWatermark, records }, fail) {
    if (logStartOffset > highWatermark) {
      fail(`${partition.label} starts at ${logStartOffset} and ends at ${highWatermark}`);
    }
    if (records.length !== highWatermark - logStartOffset) {
      fail(
        `${partition.label} has ${records.length} records from ${logStartOffset} to ${highWatermark}`,
      );
    }
  },
};
