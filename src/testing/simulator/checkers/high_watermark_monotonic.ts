// The high watermark is monotonic as clients see it: an answer is never behind what anybody had been told
// before its request was sent, neither by a fetch nor by an acknowledgement.

import type { Checker } from "../history.ts";

export const highWatermarkMonotonic: Checker = {
  name: "high_watermark_monotonic",

  read(partition, { highWatermark, floor }, fail) {
    if (highWatermark >= 0 && highWatermark < floor.highWatermark) {
      fail(`${partition.label}: high watermark ${highWatermark} after ${floor.highWatermark}`);
    }
  },

  offsetListed(partition, which, offset, floor, fail) {
    if (which === "latest" && offset < floor.highWatermark) {
      fail(`${partition.label}: latest offset ${offset} after ${floor.highWatermark}`);
    }
  },

  audited(partition, { highWatermark }, fail) {
    if (highWatermark < partition.highWatermark) {
      fail(
        `${partition.label} ends at ${highWatermark}, and clients were told ${partition.highWatermark}`,
      );
    }
  },
};
