// What a start leaves behind (sources, garbage of parsing them) goes back to the system once the broker is quiet.
// Invariant: at most once, and never while it is busy: this stops the program for some milliseconds and
// forgets compiled code. Bun alone offers it.

const LOOK_AFTER_MS = 1_000;
/** Of the time since the last look. */
const QUIET_CPU_SHARE_MAX = 0.02;
const LOOKS_MAX = 10;

/** What is looked at and done; the host's own when left out. */
export interface QuietMemoryOptions {
  /** CPU time that the process has used so far. */
  readonly usedCpuMs?: () => number;
  readonly giveBack?: (() => void) | null;
  /** Calls `look` again and again; returns what ends that. */
  readonly repeat?: (look: () => void, everyMs: number) => () => void;
}

/** Looks at the program some times, until it is quiet once. Does not keep the process alive. */
export function giveBackOnceQuiet(options: QuietMemoryOptions = {}): void {
  const { usedCpuMs = hostCpuMs, repeat = hostRepeat } = options;
  const giveBack = options.giveBack === undefined ? hostGiveBack() : options.giveBack;
  if (giveBack === null) return;
  let cpuMs = usedCpuMs();
  let looks = 0;
  const end = repeat(() => {
    const nowMs = usedCpuMs();
    const isQuiet = nowMs - cpuMs < LOOK_AFTER_MS * QUIET_CPU_SHARE_MAX;
    cpuMs = nowMs;
    looks++;
    if (isQuiet || looks === LOOKS_MAX) end();
    if (isQuiet) giveBack();
  }, LOOK_AFTER_MS);
}

function hostRepeat(look: () => void, everyMs: number): () => void {
  const timer = setInterval(look, everyMs);
  (timer as { unref?: () => void }).unref?.();
  return () => clearInterval(timer);
}

function hostGiveBack(): (() => void) | null {
  const { Bun: bun } = globalThis as {
    Bun?: { gc(isSynchronous: boolean): void; shrink?: () => void };
  };
  if (bun === undefined) return null;
  return () => {
    bun.gc(true);
    // Marked as deprecated, and still the only way: 2 MB of an idle broker's 50.
    bun.shrink?.();
  };
}

function hostCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
