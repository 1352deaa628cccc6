// Time of the host.
// Invariant: monotonicMs never goes back, whatever is done to the machine's clock.

import type { Clock } from "../contracts/runtime.ts";

export const hostClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};
