// What the three HTTP servers have in common: how long a quiet connection is kept, and the last answer.

/**
 * A connection on which nothing moves either way is closed after this, in seconds. Whoever parks a request or streams
 * an answer has to finish, or send something, within it.
 */
export const HTTP_IDLE_S = 120;

/** Where a handler failed against its contract: the client is told nothing of why. */
export function hostFailure(): Response {
  return new Response(null, { status: 500 });
}
