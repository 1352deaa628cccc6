// WriteTxnMarkers: markers for partitions of this broker, from coordinators on others and from operators who end a transaction
// that hangs. Invariant: a row says that a marker was written only when it is committed.
// Kafka: KafkaApis.handleWriteTxnMarkersRequest.

import { type KafkaErrorName, NONE, wireCodeOf } from "../../protocol/errors.ts";
import type {
  WriteTxnMarkersRequest,
  WriteTxnMarkersResponse,
} from "../../protocol/messages/27_write_txn_markers.ts";
import type { TransactionMarker } from "../coordinator/transaction/ports.ts";
import type { LocalMarkers } from "./local_markers.ts";

type Rows = WriteTxnMarkersResponse["markers"];

/** All are appended before the first is waited for. Several markers of one producer are told together. */
export async function writeMarkers(
  markers: LocalMarkers,
  request: WriteTxnMarkersRequest,
): Promise<WriteTxnMarkersResponse> {
  const waits: Promise<void>[] = [];
  const byProducer = new Map<number, Map<string, Map<number, number>>>();
  for (const each of request.markers) {
    const marker: TransactionMarker = {
      producerId: each.producerId,
      producerEpoch: each.producerEpoch,
      coordinatorEpoch: each.coordinatorEpoch,
      isCommit: each.transactionResult,
      transactionVersion: each.transactionVersion,
    };
    const topics = entryOf(
      byProducer,
      each.producerId,
      () => new Map<string, Map<number, number>>(),
    );
    for (const { name, partitionIndexes } of each.topics) {
      const codes = entryOf(topics, name, () => new Map<number, number>());
      for (const partition of partitionIndexes) {
        const told = (code: KafkaErrorName | null) => {
          codes.set(partition, code === null ? NONE : wireCodeOf(code));
        };
        if (!isProducer(marker)) {
          told("unknown_server_error");
          continue;
        }
        const appended = markers.append(marker, { topic: name, partition });
        told(appended.ok ? null : appended.error.code);
        if (!appended.ok) continue;
        waits.push(
          appended.value.then((isCommitted) => {
            if (!isCommitted) told("kafka_storage_error");
          }),
        );
      }
    }
  }
  await Promise.all(waits);
  return { markers: Array.from(byProducer, ([producerId, topics]) => rowOf(producerId, topics)) };
}

/** Ids and epochs below 0, and ids past what a number holds, are nobody's: Kafka fails on them, too. */
function isProducer({ producerId, producerEpoch }: TransactionMarker): boolean {
  return Number.isSafeInteger(producerId) && producerId >= 0 && producerEpoch >= 0;
}

function rowOf(
  producerId: number,
  topics: ReadonlyMap<string, ReadonlyMap<number, number>>,
): Rows[number] {
  return {
    producerId,
    topics: Array.from(topics, ([name, codes]) => ({
      name,
      partitions: Array.from(codes, ([partitionIndex, errorCode]) => ({
        partitionIndex,
        errorCode,
      })),
    })),
  };
}

function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
