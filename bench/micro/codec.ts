// Cost of decoding and encoding the messages of the hot path, one frame at a time.
// `bun bench/micro/codec.ts` or `deno run -A bench/micro/codec.ts`. Nanoseconds an operation, best of the rounds: the
// machine is shared, and only the best round is about the code.

import { answerHelp } from "../../scripts/usage.ts";
import { apis } from "../../src/protocol/all_messages.ts";
import { Produce } from "../../src/protocol/messages/00_produce.ts";
import { Fetch } from "../../src/protocol/messages/01_fetch.ts";
import { Metadata } from "../../src/protocol/messages/03_metadata.ts";
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
} from "../../src/protocol/mod.ts";

answerHelp(import.meta.url);

const batch = new Uint8Array(1100).fill(1);
const topicIds = Array.from(
  { length: 50 },
  (_, index) => `topic-id-${String(index).padStart(12, "0")}A`,
);

/** The frame without its length, in one piece, as a socket would give it. */
function frameOf(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole.subarray(4);
}

const produce = (version: number, topics: number, partitions: number) =>
  ({
    transactionalId: null,
    acks: -1,
    timeoutMs: 30000,
    topicData: Array.from({ length: topics }, (_, t) => ({
      ...(version >= 13 ? { topicId: topicIds[t]! } : { name: `topic-${t}` }),
      partitionData: Array.from({ length: partitions }, (_, index) => ({ index, records: batch })),
    })),
  }) as const;
const produced = (version: number, partitions: number) =>
  ({
    responses: [
      {
        ...(version >= 13 ? { topicId: topicIds[0]! } : { name: "topic-0" }),
        partitionResponses: Array.from({ length: partitions }, (_, index) => ({
          index,
          errorCode: 0,
          baseOffset: 123456789,
          logAppendTimeMs: -1,
          logStartOffset: 0,
        })),
      },
    ],
  }) as const;
const fetch = (topics: number, partitions: number) =>
  ({
    maxWaitMs: 500,
    minBytes: 1,
    maxBytes: 52428800,
    isolationLevel: 0,
    sessionId: 1,
    sessionEpoch: 7,
    topics: Array.from({ length: topics }, (_, t) => ({
      topicId: topicIds[t]!,
      partitions: Array.from({ length: partitions }, (_, partition) => ({
        partition,
        currentLeaderEpoch: 3,
        fetchOffset: 123456,
        partitionMaxBytes: 1048576,
      })),
    })),
    forgottenTopicsData: [],
  }) as const;
const fetched = (partitions: number) =>
  ({
    sessionId: 1,
    responses: [
      {
        topicId: topicIds[0]!,
        partitions: Array.from({ length: partitions }, (_, partitionIndex) => ({
          partitionIndex,
          errorCode: 0,
          highWatermark: 123460,
          lastStableOffset: 123460,
          logStartOffset: 0,
          abortedTransactions: null,
          records: [batch, batch],
        })),
      },
    ],
  }) as const;
const metadata = (topics: number, partitions: number) =>
  ({
    brokers: [{ nodeId: 1, host: "localhost", port: 9092, rack: null }],
    clusterId: "cluster",
    controllerId: 1,
    topics: Array.from({ length: topics }, (_, t) => ({
      errorCode: 0,
      name: `topic-${t}`,
      topicId: topicIds[t]!,
      partitions: Array.from({ length: partitions }, (_, partitionIndex) => ({
        errorCode: 0,
        partitionIndex,
        leaderId: 1,
        leaderEpoch: 0,
        replicaNodes: [1],
        isrNodes: [1],
        offlineReplicas: [],
      })),
    })),
  }) as const;

let sink = 0;
function measure(name: string, run: () => { length: number } | object): void {
  const roundMs = 60;
  let best = Number.POSITIVE_INFINITY;
  let batchSize = 1;
  for (let round = 0; round < 12; round++) {
    const from = performance.now();
    for (let index = 0; index < batchSize; index++) if (run() !== null) sink++;
    const tookMs = performance.now() - from;
    if (round > 2) best = Math.min(best, (tookMs * 1e6) / batchSize);
    batchSize = Math.max(1, Math.round((batchSize * roundMs) / Math.max(tookMs, 0.001)));
  }
  console.log(`${name.padEnd(52)} ${best.toFixed(0).padStart(8)} ns`);
}

// Warm up on all messages, as a broker that has lived a while: the closures see many shapes.
for (const api of apis) {
  try {
    for (let index = 0; index < 50; index++) {
      frameOf(encodeResponse(api, api.highest, 1, {} as never));
    }
  } catch {
    // Required fields are left out on purpose; those messages only warm half of the way.
  }
}

for (const version of [9, 13]) {
  for (const partitions of [1, 12]) {
    const frame = frameOf(
      encodeRequest(Produce, version, 1, "bench-client", produce(version, 1, partitions)),
    );
    const answer = produced(version, partitions);
    const what = `v${version}, ${partitions} partitions`;
    measure(`Produce request  decode ${what}`, () => decodeRequest(Produce, frame));
    measure(`Produce response encode ${what}`, () => encodeResponse(Produce, version, 1, answer));
  }
}
for (const partitions of [1, 50]) {
  const frame = frameOf(encodeRequest(Fetch, 17, 1, "bench-client", fetch(1, partitions)));
  const answer = fetched(partitions);
  measure(`Fetch request    decode v17, ${partitions} partitions`, () =>
    decodeRequest(Fetch, frame),
  );
  measure(`Fetch response   encode v17, ${partitions} partitions`, () =>
    encodeResponse(Fetch, 17, 1, answer),
  );
}
const metadataAnswer = metadata(50, 12);
const metadataFrame = frameOf(encodeResponse(Metadata, 13, 1, metadataAnswer));
measure("Metadata response encode v13, 50 topics x 12", () =>
  encodeResponse(Metadata, 13, 1, metadataAnswer),
);
measure("Metadata response decode v13, 50 topics x 12", () =>
  decodeResponse(Metadata, 13, metadataFrame),
);
if (sink < 0) console.log(sink);
