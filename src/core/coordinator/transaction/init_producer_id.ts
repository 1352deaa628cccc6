// What InitProducerId does to a transactional id: the producer that asks gets the id with an epoch of its own, and whoever had
// it before is fenced. Invariant: no epoch is handed out twice, but to a producer that repeats its question (KIP-360).
// Kafka: TransactionCoordinator.prepareInitProducerIdTransit, TransactionMetadata.prepareIncrementProducerEpoch.

import type { KafkaErrorName } from "../../../protocol/errors.ts";
import {
  isEpochExhausted,
  isPrepared,
  NO_PARTITIONS,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  type Transaction,
} from "./transaction.ts";

export interface InitAsk {
  readonly transactionalId: string;
  readonly timeoutMs: number;
  /** Who the producer believes to be, where it goes on after an error; null: it begins anew. */
  readonly expected: { readonly producerId: number; readonly producerEpoch: number } | null;
}

export type Inited =
  | { readonly kind: "refused"; readonly code: KafkaErrorName }
  /** A transaction is open: it is to be aborted first, with the epoch fenced, and the producer asks again. */
  | { readonly kind: "fence" }
  | { readonly kind: "next"; readonly next: Transaction; readonly earlierEpoch: number };

/**
 * @param earlierEpoch What a repeated question is known by: the epoch before the last that was asked for by name; -1: none. It is
 *   not in the log: a question that is repeated after a load is refused, as in Kafka.
 * @param takeProducerId A fresh id; null when none is at hand
 */
export function initProducerId(
  known: Transaction | undefined,
  earlierEpoch: number,
  { transactionalId, timeoutMs, expected }: InitAsk,
  wallMs: number,
  takeProducerId: () => number | null,
): Inited {
  if (known === undefined) {
    const producerId = takeProducerId();
    if (producerId === null) return NO_ID;
    return begun(
      {
        transactionalId,
        producerId,
        previousProducerId: producerId,
        nextProducerId: NO_PRODUCER_ID,
        producerEpoch: 0,
        clientVersion: 0,
      },
      timeoutMs,
      wallMs,
      NO_PRODUCER_EPOCH,
    );
  }
  if (isPrepared(known)) return { kind: "refused", code: "concurrent_transactions" };
  if (expected !== null && !mayBe(known, expected)) return FENCED;
  switch (known.state) {
    case "ongoing":
      return { kind: "fence" };
    case "dead":
    case "prepare_epoch_fence":
      return { kind: "refused", code: "unknown_server_error" };
  }
  const { producerId, producerEpoch } = known;
  const from = { ...known, previousProducerId: producerId };
  const named = expected === null ? NO_PRODUCER_EPOCH : producerEpoch;
  const isCurrent = expected === null || expected.producerEpoch === producerEpoch;
  if (isCurrent && isEpochExhausted(producerEpoch)) {
    const fresh = takeProducerId();
    if (fresh === null) return NO_ID;
    return begun({ ...from, producerId: fresh, producerEpoch: 0 }, timeoutMs, wallMs, named);
  }
  if (isCurrent) {
    return begun({ ...from, producerEpoch: producerEpoch + 1 }, timeoutMs, wallMs, named);
  }
  // The answer was lost: it is given once more. Somebody who began anew since would have made the producer forgotten.
  if (expected.producerEpoch === earlierEpoch) return begun(from, timeoutMs, wallMs, earlierEpoch);
  return FENCED;
}

const NO_ID: Inited = { kind: "refused", code: "coordinator_load_in_progress" };
const FENCED: Inited = { kind: "refused", code: "producer_fenced" };

/** Whether a producer that names itself may still be the one; its epoch is looked at later. */
function mayBe(
  known: Transaction,
  { producerId, producerEpoch }: NonNullable<InitAsk["expected"]>,
) {
  if (producerId === known.producerId) return true;
  // It asked when its epochs were used up, and did not hear that it has another id.
  return producerId === known.previousProducerId && isEpochExhausted(producerEpoch);
}

function begun(
  from: Omit<Transaction, "state" | "partitions" | "timeoutMs" | "startMs" | "updatedMs">,
  timeoutMs: number,
  wallMs: number,
  earlierEpoch: number,
): Inited {
  const next: Transaction = {
    ...from,
    timeoutMs,
    state: "empty",
    partitions: NO_PARTITIONS,
    startMs: -1,
    updatedMs: wallMs,
  };
  return { kind: "next", next, earlierEpoch };
}
