// Whether a reader's last epoch still agrees with the log: asked by fetches of v12 and above that say which
// epoch they read last (KIP-595). Consumers of today do not; the check costs nothing where it is not asked for.
// Kafka: Partition.readRecords.

import type { Caller, LogApi } from "../../src/contracts/broker.ts";
import { wireCodeOf } from "../../src/protocol/errors.ts";
import type { FetchResponseInput } from "../../src/protocol/messages/01_fetch.ts";
import type { WantedPartition } from "./fetch_sessions.ts";

type PartitionResponse = FetchResponseInput["responses"][number]["partitions"][number];

/** What to answer instead of records, or undefined when the reader's history is ours. */
export function divergenceOf(
  log: LogApi,
  caller: Caller,
  topic: string,
  wanted: WantedPartition,
): PartitionResponse | undefined {
  const [outcome] = log.endOffsetForEpoch(caller, [
    {
      topic,
      partition: wanted.partition,
      leaderEpoch: wanted.lastFetchedEpoch,
      currentLeaderEpoch: wanted.leaderEpoch,
    },
  ]);
  const base = {
    partitionIndex: wanted.partition,
    highWatermark: -1,
    lastStableOffset: -1,
    logStartOffset: -1,
    abortedTransactions: null,
    records: noRecords,
  };
  if (!outcome!.ok) return { ...base, errorCode: outcome!.error.wireCode };
  const { leaderEpoch: epoch, endOffset } = outcome!.value;
  if (epoch === -1 || endOffset === -1) {
    return { ...base, errorCode: wireCodeOf("offset_out_of_range") };
  }
  if (epoch < wanted.lastFetchedEpoch || endOffset < wanted.fetchOffset) {
    return { ...base, errorCode: 0, divergingEpoch: { epoch, endOffset } };
  }
  return undefined;
}

const noRecords = new Uint8Array(0);
