// Points in time as people write them.
// Invariant: what is no day of the calendar is refused, and without a zone a time is of UTC, on every host alike.

/** 2026-01-31, 2026-01-31T12:00:00Z, 2026-01-31 14:00+02:00. */
const TIME =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:?\d\d)?)?$/i;

/** Milliseconds since 1970; null when it is no time, or one before that. */
export function timeMsOf(text: string): number | null {
  const match = TIME.exec(text);
  if (match === null) return null;
  const [year, month, day, hour, minute, second] = match
    .slice(1, 7)
    .map((part) => Number(part ?? 0));
  const fraction = Number(`0.${match[7] ?? 0}`);
  const zone = /([+-])(\d\d):?(\d\d)/.exec(match[8] ?? "");
  const awayMin =
    zone === null ? 0 : Number(`${zone[1]}1`) * (Number(zone[2]) * 60 + Number(zone[3]));
  if (hour! > 23 || minute! > 59 || second! > 59 || Math.abs(awayMin) > 14 * 60) return null;
  const date = new Date(Date.UTC(year!, month! - 1, day!));
  // The 31st of February would be in March.
  if (date.getUTCMonth() !== month! - 1 || date.getUTCDate() !== day!) return null;
  const ofDayMs = ((hour! * 60 + minute! - awayMin) * 60 + second! + fraction) * 1000;
  const timeMs = Math.floor(date.getTime() + ofDayMs);
  return timeMs >= 0 ? timeMs : null;
}
