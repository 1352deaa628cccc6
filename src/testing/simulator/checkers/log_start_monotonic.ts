// The log start offset never goes back once DeleteRecords was acknowledged, and never moves without a
// reason: a log that neither expires nor is trimmed starts at 0.

import type { Checker, PartitionHistory } from "../history.ts";

export const logStartMonotonic: Checker = {
  name: "log_start_monotonic",

  read(partition, { logStartOffset, floor }, fail) {
    if (logStartOffset >= 0) checkStart(partition, logStartOffset, floor.logStartOffset, fail);
  },

  offsetListed(partition, which, offset, floor, fail) {
    if (which === "earliest") checkStart(partition, offset, floor.logStartOffset, fail);
  },

  recordsDeleted(partition, lowWatermark, fail) {
    if (lowWatermark > partition.deletionAskedFor && !partition.topic.expires) {
      fail(
        `${partition.label}: DeleteRecords answered ${lowWatermark}, asked for at most ${partition.deletionAskedFor}`,
      );
    }
  },

  audited(partition, { logStartOffset }, fail) {
    checkStart(partition, logStartOffset, partition.deletedBefore, fail);
  },
};

function checkStart(
  partition: PartitionHistory,
  logStartOffset: number,
  floor: number,
  fail: (message: string) => void,
): void {
  if (logStartOffset < floor) {
    fail(
      `${partition.label} starts at ${logStartOffset} again: everything before ${floor} was deleted`,
    );
  }
  if (!partition.topic.expires && logStartOffset > partition.deletionAskedFor) {
    fail(
      `${partition.label} starts at ${logStartOffset}, and DeleteRecords was asked for at most ${partition.deletionAskedFor}`,
    );
  }
}
