// Assertions that stay on in production: a broken belief stops the broker before it spreads.
// Invariant: nothing catches an InvariantError to go on as if nothing had happened.

/** A belief about our own state that turned out false. A defect, never an answer to a caller. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/**
 * Throws unless `condition` holds. Build no strings for `message` in hot code: pass a constant.
 *
 * @throws {InvariantError} when the condition is falsy
 */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/**
 * Closes a switch over a union: a new member is a type error here, and an InvariantError at run time.
 *
 * @throws {InvariantError} always
 */
export function unreachable(value: never): never {
  throw new InvariantError(`Unreachable value: ${String(value)}`);
}
