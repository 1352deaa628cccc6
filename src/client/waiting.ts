// Waiting on the injected scheduler, and trying again: what every part of the client shares.
// Invariant: a wait ends early, with "aborted", when its signal fires; delays grow and have jitter, so
// that many clients do not come back at once.
// Kafka: ExponentialBackoff, retry.backoff.ms, retry.backoff.max.ms.

import type { Runtime } from "../contracts/runtime.ts";
import { aborted, ClientError, isRetriable } from "./client_error.ts";

/** What the client uses of the outside world. */
export type ClientRuntime = Pick<
  Runtime,
  "clock" | "scheduler" | "random" | "network" | "compression" | "crc32c"
>;

/** How long to wait between attempts. */
export interface BackoffOptions {
  /** Before the second attempt, in ms; it doubles from there. */
  readonly backoffMs: number;
  /** Longest wait between two attempts, in ms. */
  readonly backoffMsMax: number;
}

/** Resolves after `delayMs`. @throws {ClientError} "aborted" when the signal fires first */
export function sleep(
  runtime: ClientRuntime,
  delayMs: number,
  label: string,
  signal?: AbortSignal,
): Promise<void> {
  if (signal?.aborted === true) return Promise.reject(aborted());
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      timer.cancel();
      reject(aborted());
    };
    const timer = runtime.scheduler.after(delayMs, label, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** The wait before attempt number `attempt` (from 1), with 20 % of jitter either way. */
export function backoffDelayMs(
  runtime: ClientRuntime,
  backoff: BackoffOptions,
  attempt: number,
): number {
  const plainMs = Math.min(
    backoff.backoffMs * 2 ** Math.min(attempt - 1, 30),
    backoff.backoffMsMax,
  );
  return plainMs * (0.8 + (0.4 * runtime.random.uint32()) / 2 ** 32);
}

/**
 * Calls `attempt` until it succeeds, fails for good, or `timeoutMs` have passed; then its last error is thrown.
 */
export async function retrying<T>(
  runtime: ClientRuntime,
  options: BackoffOptions & {
    readonly timeoutMs: number;
    readonly signal?: AbortSignal | undefined;
  },
  attempt: () => Promise<T>,
): Promise<T> {
  const deadlineMs = runtime.clock.monotonicMs() + options.timeoutMs;
  for (let count = 1; ; count++) {
    if (options.signal?.aborted === true) throw aborted();
    try {
      return await attempt();
    } catch (error) {
      if (!isRetriable(error)) throw error;
      const delayMs = backoffDelayMs(runtime, options, count);
      if (runtime.clock.monotonicMs() + delayMs > deadlineMs) throw error;
      await sleep(runtime, delayMs, "client_retry", options.signal);
    }
  }
}

/** What is shared with others is waited for no longer when the signal fires; it goes on. */
export function unlessAborted<T>(waited: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return waited;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(aborted());
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    const forget = () => signal.removeEventListener("abort", onAbort);
    waited.then(
      (value) => {
        forget();
        resolve(value);
      },
      (error: unknown) => {
        forget();
        reject(error);
      },
    );
  });
}

/** How long a call may take, and what ends it before. */
export interface CallBounds {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a call that ends, wherever it stands, when its signal fires or its time is over.
 *
 * @param run gets a signal that fires at both
 * @throws {ClientError} "aborted", "request_timed_out", and what `run` throws
 */
export async function within<T>(
  runtime: ClientRuntime,
  { timeoutMs, signal }: CallBounds,
  run: (bounds: CallBounds) => Promise<T>,
): Promise<T> {
  if (signal?.aborted === true) throw aborted();
  const ending = new AbortController();
  return new Promise((resolve, reject) => {
    const forget = () => {
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
    };
    const end = (error: ClientError) => {
      forget();
      reject(error);
      ending.abort();
    };
    const onAbort = () => end(aborted());
    const timer = runtime.scheduler.after(timeoutMs, "client_call", () => {
      end(new ClientError("request_timed_out", `The call took more than ${timeoutMs} ms`));
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    run({ timeoutMs, signal: ending.signal }).then(
      (value) => {
        forget();
        resolve(value);
      },
      (error: unknown) => {
        forget();
        reject(error);
      },
    );
  });
}
