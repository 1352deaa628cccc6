// Memory that a start or a burst leaves behind goes back to the system once the broker has little to do.
// Invariant: never while it is busy. Giving all back stops the program for 30 to 80 ms and forgets compiled code: once
// after the start, then at most once a minute, and under light load only beyond what memory has ever come to before.
// Bun alone offers it.

const LOOK_AFTER_MS = 1_000;
/** Of the time since the last look. */
const QUIET_CPU_SHARE_MAX = 0.02;
const LIGHT_CPU_SHARE_MAX = 0.25;
/** So long after the start only quiet is waited for: what is light load there is the start. */
const START_LOOKS = 10;
const LOOKS_BETWEEN = 60;
/** A burst that takes a breath is not over: a stop in its midst would be the only one for a minute. */
const LIGHT_LOOKS_MIN = 2;
/** Growth that is worth a stop: both are to be passed. */
const GROWN_BYTES_MIN = 12 * 1024 * 1024;
const GROWN_SHARE_MIN = 0.2;
/** The stop grows with what lives: beyond this it would be felt, and the growth is hardly garbage. */
const RESIDENT_BYTES_MAX = 256 * 1024 * 1024;

/** What the host can do, and what it says of the program. */
export interface QuietMemoryHost {
  /** CPU time that the process has used so far. */
  usedCpuMs(): number;
  residentBytes(): number;
  giveBack(): void;
}

/** What is looked at and done; the host's own when left out. */
export interface QuietMemoryOptions {
  /** Null: it offers nothing. */
  readonly host?: QuietMemoryHost | null;
  /** Calls `look` again and again. */
  readonly repeat?: (look: () => void, everyMs: number) => void;
}

/** Looks at the program once a second from now on. Does not keep the process alive. */
export function giveBackWhenQuiet(options: QuietMemoryOptions = {}): void {
  const host = options.host === undefined ? bunHost() : options.host;
  if (host === null) return;
  const { repeat = hostRepeat } = options;
  let cpuMs = host.usedCpuMs();
  let looks = 0;
  let lightLooks = 0;
  /** Null: not even after the start. */
  let givenAtLook: number | null = null;
  /** What was left when memory was given back last, and the most that there has been when it was. */
  let leftBytes = host.residentBytes();
  let mostBytes = leftBytes;

  const giveBack = (before: number, isStart: boolean): void => {
    host.giveBack();
    leftBytes = host.residentBytes();
    mostBytes = isStart ? leftBytes : Math.max(mostBytes, before);
    // The first burst need not wait for the minute after the start to be over.
    givenAtLook = isStart ? looks - LOOKS_BETWEEN : looks;
  };

  repeat(() => {
    const nowMs = host.usedCpuMs();
    const cpuShare = (nowMs - cpuMs) / LOOK_AFTER_MS;
    cpuMs = nowMs;
    looks++;
    const isStarting = givenAtLook === null && looks <= START_LOOKS;
    const isQuiet = cpuShare < QUIET_CPU_SHARE_MAX;
    if (isStarting) {
      if (isQuiet) giveBack(0, true);
      return;
    }
    lightLooks = cpuShare < LIGHT_CPU_SHARE_MAX ? lightLooks + 1 : 0;
    if (lightLooks < LIGHT_LOOKS_MIN) return;
    const residentBytes = host.residentBytes();
    if (residentBytes > RESIDENT_BYTES_MAX) return;
    const isDue = givenAtLook === null || looks - givenAtLook >= LOOKS_BETWEEN;
    if (isDue && hasGrown(residentBytes, isQuiet ? leftBytes : mostBytes)) {
      giveBack(residentBytes, false);
    }
  }, LOOK_AFTER_MS);
}

function hasGrown(bytes: number, sinceBytes: number): boolean {
  return bytes - sinceBytes >= Math.max(GROWN_BYTES_MIN, sinceBytes * GROWN_SHARE_MIN);
}

function hostRepeat(look: () => void, everyMs: number): void {
  const timer = setInterval(look, everyMs);
  (timer as { unref?: () => void }).unref?.();
}

function bunHost(): QuietMemoryHost | null {
  const { Bun: bun } = globalThis as {
    Bun?: { gc(isSynchronous: boolean): void; shrink?: () => void };
  };
  if (bun === undefined) return null;
  return {
    usedCpuMs: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1000;
    },
    residentBytes: () => process.memoryUsage.rss(),
    giveBack: () => {
      bun.gc(true);
      // Marked as deprecated, and still the only way: 2 MB of an idle broker's 50, 10 MB after a burst.
      bun.shrink?.();
    },
  };
}
