// Why the cleaner leaves a log as it is. Invariant: what lies in the log itself lasts, and is an error; what others do to the
// log or the disk does not.

/** Why a log was left as it is: for this time, or until something changes (see LeftLogs). */
export interface Stop {
  readonly reason: string;
  readonly isLasting: boolean;
}

export const STOPPED: Stop = { reason: "the log is going away", isLasting: false };
export const NOT_COMPACTED: Stop = {
  reason: "the log is not compacted any more",
  isLasting: false,
};
export const CANNOT_READ: Stop = { reason: "a file could not be read", isLasting: false };
export const TOO_MANY_KEYS: Stop = {
  reason: "the keys of one batch do not fit into log.cleaner.dedupe.buffer.size",
  isLasting: true,
};
export const MOVED: Stop = {
  reason: "the log's start moved, or its end was cut off",
  isLasting: false,
};
/** What others wanted, and nothing to tell of. */
export const QUIET: ReadonlySet<Stop> = new Set([STOPPED, NOT_COMPACTED, MOVED]);
export const NO_ROOM: Stop = {
  reason: "the disk has too little room for a copy",
  isLasting: false,
};

export function passedOver(start: number, end: number): Stop {
  return { reason: `not all that lies from offset ${start} to ${end} was read`, isLasting: true };
}

export function unreadable(offset: number, why: string): Stop {
  return { reason: `the batch at offset ${offset} cannot be read: ${why}`, isLasting: true };
}
