// How a transaction ends, by either protocol: what a producer's EndTxn, a fence or a time-out makes of a transactional id, and
// what is left of it when all markers are written. Invariant: with the second protocol (KIP-890) every end has an epoch that no
// batch before it had, so that what comes late cannot belong to the next transaction.
// Kafka: TransactionCoordinator.endTransaction, TransactionMetadata.prepareAbortOrCommit, prepareComplete.

import type { KafkaErrorName } from "../../../protocol/errors.ts";
import type { ProducerAsk } from "./add_partitions.ts";
import {
  bumpedEpoch,
  bumpsEpoch,
  isEpochExhausted,
  isPrepared,
  NO_PARTITIONS,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  type Transaction,
  type TransactionState,
} from "./transaction.ts";

export interface EndAsk extends ProducerAsk {
  readonly isCommit: boolean;
  /** 2 for the newer protocol (EndTxn v5+), else 0. */
  readonly clientVersion: number;
}

export type Ended =
  | { readonly kind: "refused"; readonly code: KafkaErrorName }
  /** It was ended so before: the answer was lost. */
  | { readonly kind: "done" }
  | { readonly kind: "next"; readonly next: Transaction; readonly earlierEpoch: number | "same" };

/** An end is on its way: in Kafka a transition is pending then, which is looked at before the state. */
const BUSY: Ended = { kind: "refused", code: "concurrent_transactions" };
const INVALID_STATE: Ended = { kind: "refused", code: "invalid_txn_state" };
const DONE: Ended = { kind: "done" };
/** The last epoch that a producer may have. */
const LAST_EPOCH = 32_766;

/** @param takeProducerId A fresh id; null when none is at hand */
export function endTransaction(
  known: Transaction | undefined,
  ask: EndAsk,
  wallMs: number,
  takeProducerId: () => number | null,
): Ended {
  return bumpsEpoch(ask.clientVersion)
    ? endWithBump(known, ask, wallMs, takeProducerId)
    : endWithoutBump(known, ask, wallMs);
}

function endWithoutBump(known: Transaction | undefined, ask: EndAsk, wallMs: number): Ended {
  if (known === undefined || known.producerId !== ask.producerId) {
    return { kind: "refused", code: "invalid_producer_id_mapping" };
  }
  if (known.producerEpoch !== ask.producerEpoch)
    return { kind: "refused", code: "producer_fenced" };
  if (isPrepared(known)) return BUSY;
  switch (known.state) {
    case "ongoing":
      return {
        kind: "next",
        next: preparedWithoutBump(known, ask.isCommit, known.producerEpoch, wallMs),
        earlierEpoch: "same",
      };
    case "complete_commit":
      return ask.isCommit ? DONE : INVALID_STATE;
    case "complete_abort":
      return ask.isCommit ? INVALID_STATE : DONE;
    default:
      return notEndable(known.state);
  }
}

/**
 * The table of KIP-890. An epoch one below the current is of a producer that repeats its last EndTxn; after the last epoch of
 * an id it has the id before.
 */
function endWithBump(
  known: Transaction | undefined,
  ask: EndAsk,
  wallMs: number,
  takeProducerId: () => number | null,
): Ended {
  if (known === undefined) return { kind: "refused", code: "invalid_producer_id_mapping" };
  if (isPrepared(known)) return BUSY;
  const { state, producerEpoch } = known;
  const isRetryOfLast =
    known.previousProducerId === ask.producerId &&
    ask.producerEpoch === LAST_EPOCH &&
    producerEpoch === 0;
  const isRetry = isRetryOfLast || producerEpoch === ask.producerEpoch + 1;
  if (known.producerId !== ask.producerId && !isRetryOfLast) {
    return { kind: "refused", code: "invalid_producer_id_mapping" };
  }
  if (!isEpochValid(known, ask, isRetry)) {
    return { kind: "refused", code: "producer_fenced" };
  }
  const begin = (hasPartitions: boolean): Ended => {
    const next = preparedWithBump(known, ask.isCommit, hasPartitions, wallMs, takeProducerId);
    if (next === null) return { kind: "refused", code: "coordinator_load_in_progress" };
    return { kind: "next", next, earlierEpoch: producerEpoch };
  };
  switch (state) {
    case "ongoing":
      return begin(true);
    case "empty":
      // A producer that does not know whether anything was begun aborts to be sure.
      return ask.isCommit ? INVALID_STATE : begin(false);
    case "complete_commit":
      if (isRetry) return ask.isCommit ? DONE : INVALID_STATE;
      return ask.isCommit ? INVALID_STATE : begin(false);
    case "complete_abort":
      if (ask.isCommit) return INVALID_STATE;
      return isRetry ? DONE : begin(false);
    default:
      return notEndable(state);
  }
}

function isEpochValid(
  { state, producerEpoch }: Transaction,
  ask: EndAsk,
  isRetry: boolean,
): boolean {
  if (ask.producerEpoch === producerEpoch) return true;
  return isRetry && (state === "complete_commit" || state === "complete_abort");
}

function notEndable(state: TransactionState): Ended {
  const isWritten = state !== "dead" && state !== "prepare_epoch_fence";
  return isWritten ? INVALID_STATE : { kind: "refused", code: "unknown_server_error" };
}

/**
 * The open transaction is aborted by the coordinator, because of its time or of another producer: with an epoch that its own
 * producer does not have.
 *
 * @param level The finalized transaction.version
 */
export function fence(
  known: Transaction,
  level: number,
  wallMs: number,
  takeProducerId: () => number | null,
): Ended {
  const { producerEpoch } = known;
  if (!bumpsEpoch(level)) {
    const next = preparedWithoutBump(known, false, bumpedEpoch(producerEpoch), wallMs);
    return { kind: "next", next, earlierEpoch: NO_PRODUCER_EPOCH };
  }
  const next = preparedWithBump(known, false, true, wallMs, takeProducerId);
  if (next === null) return { kind: "refused", code: "coordinator_load_in_progress" };
  return { kind: "next", next, earlierEpoch: producerEpoch };
}

function preparedWithoutBump(
  known: Transaction,
  isCommit: boolean,
  producerEpoch: number,
  wallMs: number,
): Transaction {
  return {
    ...known,
    previousProducerId: known.producerId,
    nextProducerId: NO_PRODUCER_ID,
    producerEpoch,
    state: isCommit ? "prepare_commit" : "prepare_abort",
    updatedMs: wallMs,
    clientVersion: 0,
  };
}

/** Null: the epochs are used up, and no producer id is at hand. */
function preparedWithBump(
  known: Transaction,
  isCommit: boolean,
  hasPartitions: boolean,
  wallMs: number,
  takeProducerId: () => number | null,
): Transaction | null {
  const isLast = isEpochExhausted(known.producerEpoch);
  const nextProducerId = isLast ? takeProducerId() : NO_PRODUCER_ID;
  if (nextProducerId === null) return null;
  return {
    ...known,
    previousProducerId: known.producerId,
    nextProducerId,
    producerEpoch: bumpedEpoch(known.producerEpoch),
    state: isCommit ? "prepare_commit" : "prepare_abort",
    // Nothing was begun, and its start must say something.
    startMs: hasPartitions ? known.startMs : wallMs,
    updatedMs: wallMs,
    clientVersion: 2,
  };
}

/** What a transaction is once its markers are written. @param prepared Whose end is decided */
export function completed(prepared: Transaction, wallMs: number): Transaction {
  const { producerId, producerEpoch, nextProducerId, clientVersion } = prepared;
  const goesOn = bumpsEpoch(clientVersion) && nextProducerId !== NO_PRODUCER_ID;
  return {
    ...prepared,
    producerId: goesOn ? nextProducerId : producerId,
    previousProducerId: producerId,
    nextProducerId: NO_PRODUCER_ID,
    producerEpoch: goesOn ? 0 : producerEpoch,
    state: prepared.state === "prepare_commit" ? "complete_commit" : "complete_abort",
    partitions: NO_PARTITIONS,
    updatedMs: wallMs,
  };
}
