// What a failure means for a transaction: it has to be aborted, or the producer is done for.
// Invariant: every error that leaves a transaction says what to do next (`ClientError.remedy`, and in words).
// Kafka: TransactionManager's handlers, KIP-1050.

import { ClientError } from "../client_error.ts";

/** After these a producer can do nothing more, wherever they come from. */
const FINAL: ReadonlySet<string> = new Set([
  "producer_fenced",
  "invalid_producer_id_mapping",
  "transactional_id_authorization_failed",
  "cluster_authorization_failed",
  "unsupported_version",
  "unsupported_for_message_format",
  "invalid_txn_state",
  "invalid_transaction_timeout",
]);
/** From a coordinator these are one: before KIP-588 it had no word of its own for the second. */
const FENCED: ReadonlySet<string> = new Set(["invalid_producer_epoch", "producer_fenced"]);

/** Who asks, for messages. */
export interface Owner {
  readonly transactionalId: string;
  readonly transactionTimeoutMs: number;
}

/** Whether the producer can go on after an abort; `isFromCoordinator`: it speaks of the transactional id, and not of a partition. */
export function isFinal(error: ClientError, isFromCoordinator: boolean): boolean {
  return FINAL.has(error.code) || (isFromCoordinator && FENCED.has(error.code));
}

/** The transaction cannot be committed any more. */
export function mustAbort(cause: ClientError): ClientError {
  if (cause.remedy !== null) return cause;
  const text = `${plain(cause)}. Abort the transaction; then another may be begun`;
  return new ClientError(cause.code, text, { cause, retriable: false, remedy: "abort" });
}

/** The producer can do nothing more. @param isUnsure an attempt before may have committed the transaction */
export function mustClose(owner: Owner, cause: ClientError, isUnsure = false): ClientError {
  if (cause.remedy === "close") return cause;
  const isFenced = FENCED.has(cause.code);
  const code = isFenced ? "producer_fenced" : cause.code;
  const unsure = isUnsure
    ? ". An earlier attempt to commit may have been done: what it wrote, and the group's committed offsets, say so"
    : "";
  const text = `${reasonOf(owner, cause, isFenced)}. ${whatNext(cause)}${unsure}`;
  return new ClientError(code, text, { cause, retriable: false, remedy: "close" });
}

/** The broker did not say what came of an end. */
export function notKnown(doing: "commit" | "abort", cause: ClientError): ClientError {
  const text =
    doing === "commit"
      ? `The transaction is not known to be committed yet (${plain(cause)}). Call commit() again: it finds out, and nothing is done twice`
      : `The transaction is not aborted yet (${plain(cause)}). Call abort() again, or leave it: the broker aborts it after its time-out`;
  const { code } = cause;
  return new ClientError(code, text, { cause, retriable: true, remedy: "retry" });
}

/** A call that does not fit where the producer stands. */
export function misplaced(text: string): ClientError {
  return new ClientError("invalid_txn_state", text, { retriable: false });
}

function reasonOf(owner: Owner, cause: ClientError, isFenced: boolean): string {
  const { transactionalId, transactionTimeoutMs } = owner;
  if (isFenced) {
    return `This producer is fenced: another one has begun with the transactional id "${transactionalId}", or a transaction took more than ${transactionTimeoutMs} ms (transactionTimeoutMs) and was aborted by the broker`;
  }
  if (cause.code === "invalid_txn_state") {
    return `No transaction of "${transactionalId}" is open at the broker: it took more than ${transactionTimeoutMs} ms (transactionTimeoutMs) and was aborted, or another producer has begun with that id`;
  }
  if (cause.code === "invalid_transaction_timeout") {
    return `The broker allows no transactionTimeoutMs of ${transactionTimeoutMs} (transaction.max.timeout.ms)`;
  }
  return plain(cause);
}

function whatNext({ code }: ClientError): string {
  if (code === "transactional_id_authorization_failed") {
    return "Close this producer: the broker has to allow the transactional id";
  }
  if (code === "unsupported_version") return "Close this producer: the broker is too old for it";
  if (code === "invalid_transaction_timeout") return "Close this producer, and make one with less";
  return "Close this producer; make a new one to go on, unless that other one is meant to";
}

/** A message without its full stop. */
function plain({ message }: ClientError): string {
  return message.replace(/\.$/, "");
}
