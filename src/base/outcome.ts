// Expected failure as a value: what Kafka answers with an error code is an Outcome, not an exception.
// Invariant: an Outcome is never thrown, and an `error` is never dropped without a word.

/** Either a value or the reason there is none. Narrow on `ok`. */
export type Outcome<T, E> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: E };

/** The outcome of success. */
export function ok<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

/** The outcome of an expected failure. */
export function err<E>(error: E): { readonly ok: false; readonly error: E } {
  return { ok: false, error };
}
