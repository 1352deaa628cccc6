// What the client throws: a broker's refusal under Kafka's name, or an end of our own (closed, aborted,
// buffer full).
// Invariant: no error is recognised by its text; `retriable` says whether the same call may succeed later.
// Kafka: org.apache.kafka.common.errors.ApiException, RetriableException.

import {
  errorByCode,
  errors,
  type KafkaError,
  type KafkaErrorName,
  type Outcome,
} from "../protocol/errors.ts";

/** Kafka's error names, and what only a client can say of itself. */
export type ClientErrorCode = KafkaErrorName | "closed" | "aborted" | "buffer_full";

/**
 * What is to be done about a transaction (KIP-1050). "abort": it cannot be committed; abort it, then another may be begun.
 * "retry": it is not known what came of it; the same call again finds out. "close": this producer can do nothing more; close
 * it, and make another one if that is meant.
 */
export type TransactionRemedy = "abort" | "retry" | "close";

/** The one error of this room. */
export class ClientError extends Error {
  override readonly name = "ClientError";
  /** Kafka's name in snake case, or "closed" | "aborted" | "buffer_full". */
  readonly code: ClientErrorCode;
  /** Whether the same call may succeed later. */
  readonly retriable: boolean;
  /** Of calls in transactions: what to do next; null where it has nothing to do with one. */
  readonly remedy: TransactionRemedy | null;

  constructor(
    code: ClientErrorCode,
    message: string,
    options: { cause?: unknown; retriable?: boolean; remedy?: TransactionRemedy } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy ?? null;
    this.retriable =
      options.retriable ?? (code in errors ? errors[code as KafkaErrorName].retriable : false);
  }
}

/** A broker's refusal as an error; `doing` says what was asked: "Cannot create topic \"a\"". */
export function refusal(error: KafkaError, doing: string): ClientError {
  return new ClientError(error.code, `${doing}: ${error.message} (${error.code.toUpperCase()})`, {
    retriable: error.retriable,
  });
}

/** The error of a wire code, with the broker's own words where it has some; null for 0. */
export function kafkaErrorOf(wireCode: number, message?: string | null): KafkaError | null {
  const error = errorByCode(wireCode);
  if (error === null || message === null || message === undefined || message === "") return error;
  return { ...error, message };
}

/** Throws a broker's refusal, if the code is one. @throws {ClientError} */
export function requireNone(wireCode: number, doing: string, message?: string | null): void {
  const error = kafkaErrorOf(wireCode, message);
  if (error !== null) throw refusal(error, doing);
}

/** The value of an outcome. @throws {ClientError} when it is a refusal */
export function unwrap<T>(outcome: Outcome<T>, doing: string): T {
  if (outcome.ok) return outcome.value;
  throw refusal(outcome.error, doing);
}

/** Whether the same call may succeed later. */
export function isRetriable(error: unknown): boolean {
  return error instanceof ClientError && error.retriable;
}

/** The end of a call whose signal fired. */
export function aborted(): ClientError {
  return new ClientError("aborted", "The call was aborted");
}
