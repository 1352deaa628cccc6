// One request on its way through the routes: who asks, what of, and how parked calls hear that the client has gone.
// Invariant: `request.signal` is read only where something is parked; elsewhere the stop's signal is enough.

import type { Caller } from "../../src/contracts/broker.ts";
import type { TransportContext } from "../../src/contracts/transport.ts";
import type { ResolvedOptions } from "./options.ts";
import type { Traffic } from "./traffic.ts";

/** What hono hands its routes besides the request. */
export interface Exchange {
  readonly options: ResolvedOptions;
  readonly context: TransportContext;
  readonly traffic: Traffic;
  /** Parked calls of this caller end when the transport stops. */
  readonly caller: Caller;
  /** Wall time at which the caller's token is not enough any more; null for never. */
  readonly expiresAtMs: number | null;
}

export type Env = { readonly Bindings: Exchange };

/** A caller whose parked calls end when `end` is called, the transport stops, or (if it is given) `gone` fires. */
export function parkedCaller(
  { caller, traffic }: Exchange,
  gone: AbortSignal | null,
): { readonly caller: Caller; end(): void } {
  const ending = new AbortController();
  const abort = () => ending.abort();
  const signals = gone === null ? [traffic.stopSignal] : [traffic.stopSignal, gone];
  for (const signal of signals) {
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
  }
  return {
    caller: { ...caller, signal: ending.signal },
    end() {
      for (const signal of signals) signal.removeEventListener("abort", abort);
      abort();
    },
  };
}
