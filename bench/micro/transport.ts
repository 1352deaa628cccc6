// What transport-kafka costs a request, without sockets and without a log: frames from chunks, header and body
// decoded, the handler, the response encoded and written. A broker that answers at once stands in for the core.
// `bun bench/micro/transport.ts` or `deno run -A bench/micro/transport.ts`.

import { transportKafka } from "../../plugins/transport-kafka/mod.ts";
import { answerHelp } from "../../scripts/usage.ts";
import type { AppendRequest, Broker, FetchRequest } from "../../src/contracts/broker.ts";
import type { Connection } from "../../src/contracts/runtime.ts";
import { Produce } from "../../src/protocol/messages/00_produce.ts";
import { Fetch } from "../../src/protocol/messages/01_fetch.ts";
import { encodeRequest } from "../../src/protocol/mod.ts";
import { hostRuntime } from "../../src/runtime/host_runtime.ts";

answerHelp(import.meta.url);

const TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAQ";
const REQUESTS = 20_000;
const ROUNDS = 5;

const fetchedBatch = new Uint8Array(16_384);
const broker = {
  brokerId: 1,
  clusterId: "bench",
  features: [],
  setting: () => null,
  topics: {},
  admin: {},
  log: {
    append: (_: unknown, request: AppendRequest) =>
      Promise.resolve(
        request.partitions.map(() => ({
          ok: true,
          value: { baseOffset: 1, logAppendTimeMs: -1, logStartOffset: 0 },
        })),
      ),
    fetch: (_: unknown, request: FetchRequest) =>
      Promise.resolve({
        partitions: request.partitions.map(() => ({
          ok: true,
          value: {
            highWatermark: 9,
            lastStableOffset: 9,
            logStartOffset: 0,
            abortedTransactions: [],
            batches: [fetchedBatch],
            sizeBytes: fetchedBatch.length,
          },
        })),
        release: () => {},
      }),
    topicNameOf: (id: string) => (id === TOPIC_ID ? "orders" : null),
  },
} as unknown as Broker;

/** A connection that hands out the same chunks again and again, until all requests are in. */
class Feed implements Connection {
  readonly remote = { host: "bench", port: 1 };
  readonly tls = null;
  readonly #chunks: readonly Uint8Array[];
  readonly #inFlight: number;
  readonly #done: () => void;
  #left: number;
  #open = 0;
  #next = 0;
  #reader: ((chunk: Uint8Array | null) => void) | null = null;
  /** Bytes of the response being written that have not come yet. */
  #frameBytesLeft = 0;
  writes = 0;

  constructor(chunks: readonly Uint8Array[], requests: number, inFlight: number, done: () => void) {
    this.#chunks = chunks;
    this.#left = requests;
    this.#inFlight = inFlight;
    this.#done = done;
  }

  read(): Promise<Uint8Array | null> {
    if (this.#left === 0) return new Promise(() => {});
    if (this.#open >= this.#inFlight) {
      return new Promise((resolve) => {
        this.#reader = resolve;
      });
    }
    return Promise.resolve(this.#take());
  }

  write(chunks: readonly Uint8Array[]): Promise<void> {
    this.writes++;
    for (const chunk of chunks) {
      if (this.#frameBytesLeft === 0) {
        this.#frameBytesLeft = 4 + new DataView(chunk.buffer, chunk.byteOffset).getInt32(0);
        this.#open--;
      }
      this.#frameBytesLeft -= chunk.length;
    }
    if (this.#left === 0 && this.#open <= 0) this.#done();
    const reader = this.#reader;
    if (reader !== null && this.#left > 0) {
      this.#reader = null;
      reader(this.#take());
    }
    return Promise.resolve();
  }

  close(): void {}

  #take(): Uint8Array {
    const chunk = this.#chunks[this.#next]!;
    this.#next = (this.#next + 1) % this.#chunks.length;
    // A frame is counted with its last chunk.
    if (this.#next === 0) {
      this.#open++;
      this.#left--;
    }
    return chunk;
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function chunked(frame: Uint8Array, chunkBytes: number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < frame.length; at += chunkBytes)
    chunks.push(frame.slice(at, at + chunkBytes));
  return chunks;
}

function produceFrame(partitions: number, batchBytes: number): Uint8Array {
  return joined(
    encodeRequest(Produce, 13, 7, "bench-client", {
      transactionalId: null,
      acks: -1,
      timeoutMs: 30_000,
      topicData: [
        {
          topicId: TOPIC_ID,
          partitionData: Array.from({ length: partitions }, (_, index) => ({
            index,
            records: new Uint8Array(batchBytes),
          })),
        },
      ],
    }),
  );
}

function fetchFrame(partitions: number): Uint8Array {
  return joined(
    encodeRequest(Fetch, 18, 7, "bench-client", {
      maxWaitMs: 500,
      minBytes: 1,
      maxBytes: 1 << 20,
      topics: [
        {
          topicId: TOPIC_ID,
          partitions: Array.from({ length: partitions }, (_, partition) => ({
            partition,
            fetchOffset: 5,
            partitionMaxBytes: 1 << 16,
          })),
        },
      ],
    }),
  );
}

async function measure(
  name: string,
  frame: Uint8Array,
  chunkBytes: number,
  requests = REQUESTS,
  inFlight = 5,
): Promise<void> {
  let bestNs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    let accept: (connection: Connection) => void = () => {};
    const host = hostRuntime({ log: { level: "off" } });
    const runtime = {
      ...host.runtime,
      network: {
        listen: async (at: { host: string; port: number }, given: typeof accept) => {
          accept = given;
          return { ...at, close: async () => {} };
        },
        connect: () => Promise.reject(new Error("not here")),
      },
    };
    const running = await transportKafka({
      listeners: [{ name: "kafka", host: "127.0.0.1", port: 1 }],
    }).start({
      runtime,
      brokerId: 1,
      broker,
      authenticator: null,
      requestMemory: { tryTake: () => true, take: async () => {}, give: () => {} },
    });
    const startNs = performance.now() * 1e6;
    await new Promise<void>((resolve) => {
      accept(new Feed(chunked(frame, chunkBytes), requests, inFlight, resolve));
    });
    bestNs = Math.min(bestNs, (performance.now() * 1e6 - startNs) / requests);
    await running.stop(0);
    await host.stop(0);
  }
  const perRequest = `${(bestNs / 1000).toFixed(2)} µs`;
  const rate = `${((frame.length / bestNs) * 1e3).toFixed(0)} MB/s`;
  console.log(`${name.padEnd(46)} ${perRequest.padStart(12)} ${rate.padStart(12)} received`);
}

await measure("produce, 1 partition, 1 KiB", produceFrame(1, 1024), 65_536);
await measure("produce, 12 partitions, 1 KiB each", produceFrame(12, 1024), 65_536);
await measure("produce, 1 partition, 16 KiB", produceFrame(1, 16_384), 65_536);
await measure("produce, 1 MB in chunks of 64 KiB", produceFrame(1, 1_000_000), 65_536, 1000);
await measure("produce, 1 MB in chunks of 256 KiB", produceFrame(1, 1_000_000), 262_144, 1000);
await measure("fetch, 1 partition", fetchFrame(1), 65_536, REQUESTS, 5);
await measure("fetch, 12 partitions", fetchFrame(12), 65_536, REQUESTS, 5);
