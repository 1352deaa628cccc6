// Who calls, by a bearer token: for transports that carry no SASL conversation (ADR 20).
// Invariant: where there is an authenticator, nobody without a token that it takes has a principal.

import {
  ANONYMOUS,
  type Authenticator,
  BEARER_MECHANISM,
  type Peer,
  type Principal,
} from "../contracts/auth.ts";
import type { Broker } from "../contracts/broker.ts";
import type { Runtime } from "../contracts/runtime.ts";

/** Who a token stands for, or why it stands for nobody. */
export type BearerOutcome =
  | {
      readonly ok: true;
      readonly principal: Principal;
      /** Wall time after which the token has to be shown again; null for never. */
      readonly expiresAtMs: number | null;
    }
  | {
      readonly ok: false;
      /** For the log, not for the client. */
      readonly reason: string;
    };

/**
 * Asks who a token stands for. Without an authenticator everyone is User:ANONYMOUS, whatever they show.
 *
 * @param token its bytes; null when the client showed none
 */
export async function authenticateBearer(
  authenticator: Authenticator | null,
  token: Uint8Array | null,
  peer: Peer,
): Promise<BearerOutcome> {
  if (authenticator === null) return { ok: true, principal: ANONYMOUS, expiresAtMs: null };
  if (token === null) return { ok: false, reason: "There is no token" };
  const step = await authenticator.begin(BEARER_MECHANISM, peer).respond(token);
  if (step.kind === "done") {
    return { ok: true, principal: step.principal, expiresAtMs: step.expiresAtMs };
  }
  const isDenied = step.kind === "denied";
  return { ok: false, reason: isDenied ? step.reason : "The authenticator asks for more" };
}

/**
 * Waits before a failed login is answered, so that guessing is slow: `connection.failed.authentication.delay.ms`, as
 * on the Kafka listener (KIP-306). A connection that waits must not begin another login.
 *
 * @param signal ends the wait, where the client has gone or the broker stops
 */
export async function pauseAfterFailedLogin(
  broker: Broker,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<void> {
  const delayMs = Number(broker.setting("connection.failed.authentication.delay.ms") ?? 0);
  if (delayMs <= 0 || signal.aborted) return;
  await new Promise<void>((resolve) => {
    const end = (): void => {
      timer.cancel();
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = runtime.scheduler.after(delayMs, "failed_login", end);
    signal.addEventListener("abort", end, { once: true });
  });
}

/**
 * For the start of a transport that has nothing but bearer tokens.
 *
 * @throws {TypeError} when there is an authenticator that takes none: serving everyone would be worse than
 *   not serving
 */
export function mustTakeBearer(authenticator: Authenticator | null): void {
  if (authenticator === null || authenticator.mechanisms.includes(BEARER_MECHANISM)) return;
  const listed = authenticator.mechanisms.join(", ");
  throw new TypeError(
    `This transport authenticates by bearer token, which the authenticator does not take: its mechanisms are ${listed}`,
  );
}
