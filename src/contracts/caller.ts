// Who calls a broker: what every call of its interface carries.

import type { Peer, Principal } from "./auth.ts";

/** Who asks. One object a connection is enough; `signal` ends parked calls. */
export interface Caller {
  readonly principal: Principal;
  readonly peer: Peer;
  readonly clientId: string;
  /** The listener endpoint the call came in by: its advertised address is what metadata answers. */
  readonly listener: string;
  /** Fires when the client has gone or the broker stops: parked calls end with code "request_timed_out". */
  readonly signal: AbortSignal;
}
