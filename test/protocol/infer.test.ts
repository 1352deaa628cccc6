// What the compiler infers from the declarations. The checks are assignments: this file fails in tsc, not at run time;
// what runs says only that the same values go through the codec.

import { describe, expect, test } from "bun:test";
import { withDefaults } from "../../src/protocol/defaults.ts";
import {
  Produce,
  type ProduceRequest,
  type ProduceRequestInput,
} from "../../src/protocol/messages/00_produce.ts";
import {
  Fetch,
  type FetchResponse,
  type FetchResponseInput,
} from "../../src/protocol/messages/01_fetch.ts";
import { decodeRequest, encodeRequest } from "../../src/protocol/mod.ts";

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <T extends true>(..._proof: T[]) => undefined;

type Topic = ProduceRequest["topicData"][number];
type Partition = Topic["partitionData"][number];
holds<Equal<ProduceRequest["transactionalId"], string | null>>();
holds<Equal<ProduceRequest["acks"], number>>();
holds<Equal<Topic["topicId"], string>>();
holds<Equal<Partition["records"], Uint8Array | null>>();
type PartitionInput = ProduceRequestInput["topicData"][number]["partitionData"][number];
holds<Equal<PartitionInput["records"], Uint8Array | readonly Uint8Array[] | null>>();
type FetchPartition = FetchResponse["responses"][number]["partitions"][number];
holds<Equal<FetchPartition["highWatermark"], number>>();
type FetchPartitionInput = FetchResponseInput["responses"][number]["partitions"][number];
holds<Equal<FetchPartitionInput["highWatermark"], number | bigint>>();
holds<Equal<FetchPartitionInput["preferredReadReplica"], number | undefined>>();

describe("inferred types", () => {
  test("let senders leave out what has a default, and nothing else", () => {
    const body: ProduceRequestInput = { acks: -1, timeoutMs: 100, topicData: [] };
    // @ts-expect-error timeoutMs has no default
    const short: ProduceRequestInput = { acks: -1, topicData: [] };
    // @ts-expect-error a decoded request has everything
    const decoded: ProduceRequest = { acks: -1, timeoutMs: 100, topicData: [] };
    expect([Object.keys(short).length, Object.keys(decoded).length]).toEqual([2, 3]);
    const frame = encodeRequest(Produce, 9, 1, null, body);
    const again: ProduceRequest = decodeRequest(Produce, frame[0]!.subarray(4)).body;
    expect(again).toEqual({ transactionalId: null, acks: -1, timeoutMs: 100, topicData: [] });
    // What was decoded may be sent.
    expect(encodeRequest(Produce, 9, 1, null, again)).toEqual(frame);
  });

  test("withDefaults() completes a message as decoding would", () => {
    const partition = {
      partitionIndex: 3,
      errorCode: 0,
      highWatermark: 5,
      abortedTransactions: null,
      records: null,
    };
    const response: FetchResponse = withDefaults(Fetch.response, {
      responses: [{ topic: "a", partitions: [partition] }],
    });
    expect(response.throttleTimeMs).toBe(0);
    expect(response.responses[0]!.partitions[0]).toEqual({
      ...partition,
      lastStableOffset: -1,
      logStartOffset: -1,
      divergingEpoch: { epoch: -1, endOffset: -1 },
      currentLeader: { leaderId: -1, leaderEpoch: -1 },
      snapshotId: { endOffset: -1, epoch: -1 },
      preferredReadReplica: -1,
    });
  });
});
