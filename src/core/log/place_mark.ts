// In a cleaned segment no batch follows from the one before it, and base offset and length lie outside a batch's
// checksum: so the place of the leader epoch, which the log knows besides, holds a checksum of the two, and of the last
// offset, on disk.
// Invariant: a batch is never served with the mark: SegmentWalk puts its epoch back.

import { crc32c } from "../../base/crc32c.ts";
import {
  BATCH_LENGTH_PREFIX_BYTES,
  leaderEpochAt,
  patchLeaderEpoch,
} from "../../record/batch_header.ts";

const LAST_OFFSET_DELTA_AT = 23;
const LAST_OFFSET_DELTA_END = 27;

/** Writes the mark of the batch at `at` over its leader epoch. */
export function putPlaceMark(bytes: Uint8Array, at: number): void {
  patchLeaderEpoch(bytes, at, placeMark(bytes, at));
}

/** Whether the batch at `at` stands where it was put. */
export function hasPlaceMark(bytes: Uint8Array, at: number): boolean {
  return leaderEpochAt(bytes, at) === placeMark(bytes, at);
}

function placeMark(bytes: Uint8Array, at: number): number {
  const prefix = crc32c(bytes, at, at + BATCH_LENGTH_PREFIX_BYTES);
  // The last offset is inside the batch's checksum; but a batch that is passed over is not read whole.
  return crc32c(bytes, at + LAST_OFFSET_DELTA_AT, at + LAST_OFFSET_DELTA_END, prefix) | 0;
}
