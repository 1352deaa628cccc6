// Rows of an answer as outcomes: what a broker says of one of several things that were asked for.

import { ok } from "../base/outcome.ts";
import type { Outcome } from "../protocol/errors.ts";
import { kafkaErrorOf } from "./client_error.ts";

/** What a row says; one that the answer lacks is an error. */
export function outcomeOf<
  R extends { readonly errorCode: number; readonly errorMessage?: string | null },
  T,
>(result: R | undefined, value: (result: R) => T): Outcome<T> {
  if (result === undefined) {
    return { ok: false, error: kafkaErrorOf(-1, "The broker's answer leaves it out")! };
  }
  const error = kafkaErrorOf(result.errorCode, result.errorMessage);
  return error === null ? ok(value(result)) : { ok: false, error };
}
