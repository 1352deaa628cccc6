// The records of transactional ids in __transaction_state as bytes and back: Kafka's own.
// Invariant: what was encoded decodes to the same value: version 1 is written wherever 0 could not say it all.
// Kafka: TransactionLog, TransactionCoordinatorRecordSerde.

import { DecodeError } from "../../../base/byte_reader.ts";
import {
  TransactionLogKey,
  TransactionLogValue,
} from "../../../protocol/internal_records/transaction_log.ts";
import {
  decodeStoredKey,
  decodeStoredValue,
  encodeStoredKey,
  encodeStoredValue,
  storedRecordType,
} from "../../../protocol/stored.ts";
import type { RecordSerde } from "../runtime/shard.ts";
import {
  NO_PARTITIONS,
  NO_PRODUCER_ID,
  partitionsOf,
  TRANSACTION_STATES,
  type Transaction,
} from "./transaction.ts";

export interface TransactionRecord {
  readonly transactionalId: string;
  /** Null: a tombstone. */
  readonly transaction: Transaction | null;
  /** Of the value: with 1 come the ids before and after, and the client's protocol. */
  readonly version: 0 | 1;
}

/**
 * What is to be written of a transactional id.
 *
 * @param level The finalized transaction.version: at 0 older brokers have to read it, which know nothing but version 0
 */
export function recordOf(transaction: Transaction, level: number): TransactionRecord {
  const { transactionalId, producerId, previousProducerId, nextProducerId, clientVersion } =
    transaction;
  // A client that speaks the newer protocol whatever the features say, or a change of producer id: what follows from it must not
  // be forgotten.
  const isOther = previousProducerId !== producerId && previousProducerId !== NO_PRODUCER_ID;
  const isNewer = level >= 1 || nextProducerId !== NO_PRODUCER_ID || clientVersion !== 0 || isOther;
  return isNewer
    ? { transactionalId, transaction, version: 1 }
    : {
        transactionalId,
        transaction: { ...transaction, previousProducerId: NO_PRODUCER_ID },
        version: 0,
      };
}

/** It is forgotten. */
export function tombstoneOf(transactionalId: string): TransactionRecord {
  return { transactionalId, transaction: null, version: 0 };
}

export const transactionRecordSerde: RecordSerde<TransactionRecord> = {
  encode({ transactionalId, transaction, version }) {
    return {
      key: encodeStoredKey(TransactionLogKey, { transactionalId }),
      value: transaction === null ? null : encodeValue(transaction, version),
    };
  },

  decode(key, value) {
    if (storedRecordType(key) !== TransactionLogKey.recordType) return null;
    const { transactionalId } = decodeStoredKey(TransactionLogKey, key);
    if (value === null) return tombstoneOf(transactionalId);
    const version = value[1] === 0 ? 0 : 1;
    return { transactionalId, transaction: decodeValue(transactionalId, value), version };
  },
};

function encodeValue(transaction: Transaction, version: number): Uint8Array {
  const { state, partitions } = transaction;
  return encodeStoredValue(TransactionLogValue, version, {
    producerId: transaction.producerId,
    previousProducerId: transaction.previousProducerId,
    nextProducerId: transaction.nextProducerId,
    producerEpoch: transaction.producerEpoch,
    transactionTimeoutMs: transaction.timeoutMs,
    transactionStatus: TRANSACTION_STATES.indexOf(state),
    transactionPartitions:
      state === "empty"
        ? null
        : Array.from(partitions, ([topic, numbers]) => ({ topic, partitionIds: [...numbers] })),
    transactionLastUpdateTimestampMs: transaction.updatedMs,
    transactionStartTimestampMs: transaction.startMs,
    clientTransactionVersion: transaction.clientVersion,
  });
}

function decodeValue(transactionalId: string, bytes: Uint8Array): Transaction {
  const value = decodeStoredValue(TransactionLogValue, bytes);
  const state = TRANSACTION_STATES[value.transactionStatus];
  if (state === undefined) {
    throw new DecodeError(`A transaction has no state ${value.transactionStatus}`);
  }
  const rows = state === "empty" ? null : value.transactionPartitions;
  return {
    transactionalId,
    producerId: value.producerId,
    previousProducerId: value.previousProducerId,
    nextProducerId: value.nextProducerId,
    producerEpoch: value.producerEpoch,
    timeoutMs: value.transactionTimeoutMs,
    state,
    partitions:
      rows === null
        ? NO_PARTITIONS
        : partitionsOf(
            rows.flatMap(({ topic, partitionIds }) =>
              partitionIds.map((partition) => ({ topic, partition })),
            ),
          ),
    startMs: value.transactionStartTimestampMs,
    updatedMs: value.transactionLastUpdateTimestampMs,
    clientVersion: value.clientTransactionVersion,
  };
}
