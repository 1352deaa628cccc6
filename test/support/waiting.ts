// Waiting in tests that run in real time: for something to be so, or for work to be spread out; never to be safe.

const LOOK_MS = 2;

export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until something is so. @throws {Error} saying what never was, after `withinMs` */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  what = "what was waited for",
  withinMs = 10_000,
): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`Never came: ${what}`);
    await pause(LOOK_MS);
  }
}
