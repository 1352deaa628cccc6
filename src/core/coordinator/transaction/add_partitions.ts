// Partitions join a transaction, and begin it where none is open; or are only looked for in it.
// Kafka: TransactionCoordinator.handleAddPartitionsToTransaction, handleVerifyPartitionsInTransaction.

import type { TopicPartition } from "../../../contracts/broker.ts";
import type { KafkaErrorName } from "../../../protocol/errors.ts";
import { hasPartition, isPrepared, type Transaction, withPartitions } from "./transaction.ts";

export interface ProducerAsk {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly producerEpoch: number;
}

export interface AddAsk extends ProducerAsk {
  readonly partitions: readonly TopicPartition[];
  /** 2 for the newer protocol (KIP-890), else 0. */
  readonly clientVersion: number;
}

export type Added =
  | { readonly kind: "refused"; readonly code: KafkaErrorName }
  /** All of them are in it. */
  | { readonly kind: "there" }
  | { readonly kind: "next"; readonly next: Transaction };

export function addPartitions(known: Transaction | undefined, ask: AddAsk, wallMs: number): Added {
  // First of all: after the last epoch of an id the producer goes on with another before the end is complete.
  if (known !== undefined && isPrepared(known)) {
    return { kind: "refused", code: "concurrent_transactions" };
  }
  const code = refusalOf(known, ask);
  if (code !== null) return { kind: "refused", code };
  const from = known!;
  const isOpen = from.state === "ongoing";
  const { partitions } = ask;
  if (isOpen && partitions.every((each) => hasPartition(from.partitions, each))) {
    return { kind: "there" };
  }
  return {
    kind: "next",
    next: {
      ...from,
      previousProducerId: from.producerId,
      state: "ongoing",
      partitions: withPartitions(from.partitions, partitions),
      startMs: isOpen ? from.startMs : wallMs,
      updatedMs: wallMs,
      clientVersion: ask.clientVersion,
    },
  };
}

/** Why a batch of that producer may not go into the partition by AddPartitionsToTxn alone; null when it may. */
export function verifyPartition(
  known: Transaction | undefined,
  ask: ProducerAsk,
  partition: TopicPartition,
): KafkaErrorName | null {
  const code = refusalOf(known, ask);
  if (code !== null) return code;
  return hasPartition(known!.partitions, partition) ? null : "transaction_abortable";
}

function refusalOf(known: Transaction | undefined, ask: ProducerAsk): KafkaErrorName | null {
  if (known === undefined || known.producerId !== ask.producerId) {
    return "invalid_producer_id_mapping";
  }
  if (known.producerEpoch !== ask.producerEpoch) return "producer_fenced";
  if (isPrepared(known)) return "concurrent_transactions";
  const { state } = known;
  return state === "dead" || state === "prepare_epoch_fence" ? "unknown_server_error" : null;
}
