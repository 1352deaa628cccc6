// TxnOffsetCommit, API key 28, versions 0–5.
//
// Serves: offsets of a group that become visible with a transaction.
// Limits: offsets up to 2^53−1; one beyond is answered invalid_commit_offset_size, which no log here can reach.
// v2: leader epoch, coordinator_load_in_progress is known.   v3: flexible, members.   v4: transaction_abortable.
// v5: the group joins the transaction on the way (KIP-890).
// Kafka: KafkaApis.handleTxnOffsetCommitRequest.

import { wireCodeOf } from "../../../src/protocol/errors.ts";
import {
  TxnOffsetCommit,
  type TxnOffsetCommitRequest,
} from "../../../src/protocol/messages/28_txn_offset_commit.ts";
import { handlerOf } from "../handler.ts";

export const txnOffsetCommit = handlerOf<typeof TxnOffsetCommit>({
  api: TxnOffsetCommit,
  overlap: "parallel",
  takesBigints: true,
  async handle(context, caller, request, version) {
    const { groups } = context.broker;
    if (hasLargeOffset(request)) return { response: refused(request) };
    // A producer id beyond 2^53 is nobody's, and stays so when it is rounded.
    const exact =
      typeof request.producerId === "number"
        ? request
        : { ...request, producerId: Number(request.producerId) };
    return { response: await groups.txnOffsetCommit(caller, exact, version) };
  },
});

function hasLargeOffset({ topics }: TxnOffsetCommitRequest): boolean {
  return topics.some(({ partitions }) =>
    partitions.some(({ committedOffset }) => typeof committedOffset !== "number"),
  );
}

function refused({ topics }: TxnOffsetCommitRequest) {
  const errorCode = wireCodeOf("invalid_commit_offset_size");
  return {
    throttleTimeMs: 0,
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
    })),
  };
}
