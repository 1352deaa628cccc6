// What befalls a cluster in a chaos run, and when: a function of the seed alone. Invariant: no broker is hit while it still comes
// back from what hit it before, everything is over before the end, and two things at once are as likely as they are in life.

import { SeededRandom } from "../../src/base/prng.ts";

export type BlowKind =
  | "kill"
  | "term"
  | "stall"
  | "isolate"
  | "cut"
  | "cut_one_way"
  | "disk_full"
  | "keeper_kill";

/** With how often each is drawn among all. */
const WEIGHTS: Readonly<Record<BlowKind, number>> = {
  kill: 6,
  term: 3,
  stall: 3,
  isolate: 3,
  cut: 3,
  cut_one_way: 3,
  disk_full: 2,
  keeper_kill: 2,
};
export const BLOW_KINDS = Object.keys(WEIGHTS) as readonly BlowKind[];

export interface PlannedBlow {
  readonly kind: BlowKind;
  /** Since the beginning. */
  readonly atMs: number;
  readonly forMs: number;
  /** Places it is between, or the one that it is at. */
  readonly places: readonly string[];
  /** Nothing else is under way shortly before, and while it is recovered from. */
  readonly isAlone: boolean;
}

export interface ScheduleOptions {
  readonly seed: string;
  readonly lengthMs: number;
  readonly kinds: readonly BlowKind[];
  readonly brokers: readonly string[];
  /** Null: the brokers keep their metadata themselves. */
  readonly keeper: string | null;
  readonly clients: string;
}

const FIRST_MS = 4_000;
/** Before the end, for what has to come back. */
const QUIET_END_MS = 10_000;
const GAP_MS_MIN = 2_000;
const GAP_MS_MAX = 16_000;
/** After a draw that came to nothing, as its place was still busy. */
const AGAIN_MS = 400;
const FOR_MS_MIN = 800;
const FOR_MS_MAX = 9_000;
/** How long a broker takes to start and to be in sync, on a busy machine. */
const BACK_MS = 12_000;
const ALONE_BEFORE_MS = 6_000;
const ALONE_AFTER_MS = 6_000;

/** @throws {RangeError} when there is nothing to draw from */
export function scheduleOf(options: ScheduleOptions): PlannedBlow[] {
  const { brokers, keeper, clients, lengthMs } = options;
  const random = SeededRandom.of(options.seed);
  const kinds = options.kinds.filter((kind) => kind !== "keeper_kill" || keeper !== null);
  const total = kinds.reduce((sum, kind) => sum + WEIGHTS[kind], 0);
  if (total === 0) throw new RangeError("A schedule needs a kind of blow that this cluster knows");
  const draw = (): BlowKind => {
    let dice = random.below(total);
    for (const kind of kinds) {
      dice -= WEIGHTS[kind];
      if (dice < 0) return kind;
    }
    return kinds[0]!;
  };
  const all = [...brokers, ...(keeper === null ? [] : [keeper]), clients];
  const pick = (from: readonly string[]): string => from[random.below(from.length)]!;
  const blows: Omit<PlannedBlow, "isAlone">[] = [];
  const busyUntil = new Map<string, number>();
  for (let atMs = FIRST_MS; ; ) {
    const kind = draw();
    const forMs = FOR_MS_MIN + random.below(FOR_MS_MAX - FOR_MS_MIN);
    const place = kind === "keeper_kill" ? keeper! : pick(brokers);
    const places = [place];
    if (kind === "cut" || kind === "cut_one_way") {
      places.push(pick(all.filter((each) => each !== place)));
      if (random.below(2) === 0) places.reverse();
    }
    if (atMs + forMs > lengthMs - QUIET_END_MS) break;
    if (places.some((each) => (busyUntil.get(each) ?? 0) > atMs)) {
      atMs += AGAIN_MS;
      continue;
    }
    for (const each of places) {
      if (each !== clients) busyUntil.set(each, atMs + forMs + BACK_MS);
    }
    blows.push({ kind, atMs, forMs, places });
    atMs += GAP_MS_MIN + random.below(GAP_MS_MAX - GAP_MS_MIN);
  }
  return blows.map((blow) => ({
    ...blow,
    isAlone: blows.every(
      (other) =>
        other === blow ||
        other.atMs + other.forMs < blow.atMs - ALONE_BEFORE_MS ||
        other.atMs > blow.atMs + ALONE_AFTER_MS,
    ),
  }));
}
