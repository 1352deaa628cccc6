// What the gate asks of another broker fits into the version that brokers speak with each other.

import { expect, test } from "bun:test";
import { RemoteGate } from "../../../src/core/broker/remote_gate.ts";
import { AddPartitionsToTxn } from "../../../src/protocol/messages/24_add_partitions_to_txn.ts";
import { encodeRequest } from "../../../src/protocol/mod.ts";

test("its request can be sent in the batched form", async () => {
  // Ids of -1 in the fields of v3 and below could not: no first batch was let in by another broker, and transactions hung.
  const sizes: number[] = [];
  const gate = new RemoteGate({
    writeTxnMarkers: () => Promise.resolve(null),
    addPartitionsToTxn: async (_brokerId, request) => {
      const parts = encodeRequest(AddPartitionsToTxn, 5, 1, null, request);
      sizes.push(parts.reduce((sum, part) => sum + part.length, 0));
      const rows = request.transactions.map(({ transactionalId, topics }) => ({
        transactionalId,
        topicResults: topics.map(({ name, partitions }) => ({
          name,
          resultsByPartition: partitions.map((partitionIndex) => ({
            partitionIndex,
            partitionErrorCode: 0,
          })),
        })),
      }));
      return {
        throttleTimeMs: 0,
        errorCode: 0,
        resultsByTransaction: rows,
        resultsByTopicV3AndBelow: [],
      };
    },
  });
  const outcome = await gate.ask(2, {
    transactionalId: "t",
    producerId: 7,
    producerEpoch: 0,
    partitions: [{ topic: "orders", partition: 3 }],
    adds: true,
  });
  expect(outcome.ok).toBe(true);
  expect(sizes.length).toBe(1);
  expect(sizes[0]).toBeGreaterThan("orders".length);
});
