// The topic and admin APIs over a cluster in memory and partitions that are only numbers: no sockets, no logs.

import { ByteReader } from "../../../src/base/byte_reader.ts";
import { ByteWriter } from "../../../src/base/byte_writer.ts";
import type { AdminApi, Caller, TopicApi } from "../../../src/contracts/broker.ts";
import { createAdminApi } from "../../../src/core/broker/admin_api.ts";
import type { ApiContext } from "../../../src/core/broker/api_context.ts";
import { createTopicApi } from "../../../src/core/broker/topic_api.ts";
import type { CleaningFigures } from "../../../src/core/log/cleaner_figures.ts";
import type {
  ActiveProducer,
  DeleteRecordsOutcome,
  Partitions,
} from "../../../src/core/partition/partitions.ts";
import { codecOf } from "../../../src/protocol/compile.ts";
import type { Api } from "../../../src/protocol/schema.ts";
import { type ClusterBench, clusterBench } from "../cluster/cluster_bench.ts";
import { apisByKey } from "./api_table.ts";

/** Partitions that hold records 0 to 4 each, 20 bytes a record. */
export class NumberPartitions implements Partitions {
  isOnline = true;
  readonly #counts = new Map<string, number>();
  readonly #starts = new Map<string, number>();
  producers: readonly ActiveProducer[] = [];
  /** Set to keep deletions of records waiting. */
  hold: Promise<void> | null = null;

  topicChanged(topic: { readonly id: string; readonly partitionCount: number }): void {
    this.#counts.set(topic.id, topic.partitionCount);
  }
  async topicDeleted(topic: { readonly id: string }): Promise<void> {
    this.#counts.delete(topic.id);
  }
  status(topicId: string, partition: number) {
    const count = this.#counts.get(topicId) ?? 0;
    if (partition < 0 || partition >= count) return null;
    const logStartOffset = this.#starts.get(`${topicId}/${partition}`) ?? 0;
    return {
      leaderEpoch: 0,
      logStartOffset,
      highWatermark: 5,
      logEndOffset: 5,
      sizeBytes: 20 * (5 - logStartOffset),
    };
  }
  async deleteRecords(
    topicId: string,
    partition: number,
    offset: number,
  ): Promise<DeleteRecordsOutcome> {
    await this.hold;
    if (offset > 5) return { ok: false, code: "offset_out_of_range" };
    const logStartOffset = offset === -1 ? 5 : offset;
    this.#starts.set(`${topicId}/${partition}`, logStartOffset);
    return { ok: true, logStartOffset };
  }
  async cleaning(): Promise<readonly CleaningFigures[]> {
    return [];
  }
  activeProducers(topicId: string, partition: number) {
    return this.status(topicId, partition) === null ? null : this.producers;
  }
}

export function callerOf(name = "ANONYMOUS", listener = "kafka"): Caller {
  return {
    principal: { type: "User", name },
    peer: { host: "127.0.0.1", listener, tlsPeerCertificate: null },
    clientId: "bench",
    listener,
    signal: new AbortController().signal,
  };
}

export interface ApiBench extends ClusterBench {
  readonly topics: TopicApi;
  readonly admin: AdminApi;
  readonly partitions: NumberPartitions;
  readonly caller: Caller;
  /** Fires the timers that were set. */
  fireTimers(): void;
}

export async function apiBench(settings: Readonly<Record<string, string>> = {}): Promise<ApiBench> {
  const bench = await clusterBench({ settings });
  const partitions = new NumberPartitions();
  bench.cluster.follow(partitions);
  const timers = new Set<() => void>();
  const context: ApiContext = {
    brokerId: 1,
    cluster: bench.cluster,
    partitions,
    settings: bench.settings,
    runtime: {
      ...bench.runtime,
      scheduler: {
        ...bench.runtime.scheduler,
        after(_delayMs, _label, task) {
          timers.add(task);
          return { cancel: () => void timers.delete(task) };
        },
      },
    },
    endpointOf: (listener) => ({ host: `${listener}.example`, port: 9092 }),
    logDirectory: {
      path: "/data",
      volume: async () => ({ totalBytes: 1000, usableBytes: 600 }),
    },
  };
  return {
    ...bench,
    topics: createTopicApi(context),
    admin: createAdminApi(context),
    partitions,
    caller: callerOf(),
    fireTimers() {
      for (const task of [...timers]) task();
    },
  };
}

/** Writes and reads a value in one version: proves that it can be sent, and gives what a client would see. */
export function overTheWire<T>(
  api: Api,
  side: "request" | "response",
  version: number,
  value: T,
): T {
  const message = side === "request" ? api.request : api.response;
  const codec = codecOf(message, version);
  const writer = new ByteWriter();
  codec.write(writer, value as never);
  return codec.read(new ByteReader(writer.toBytes())) as T;
}

/** Calls the API of that key, with the request as a client would send it; the answer as the client would see it. */
export async function call(
  bench: Pick<ApiBench, "topics" | "admin" | "caller">,
  apiKey: number,
  version: number,
  request: Readonly<Record<string, unknown>>,
  // biome-ignore lint/suspicious/noExplicitAny: answers of every API; tests look at what they expect.
): Promise<any> {
  const { api, method } = apisByKey.get(apiKey)!;
  const sent = overTheWire(api, "request", version, request);
  const half = method in bench.topics ? bench.topics : bench.admin;
  const handler = half[method as never] as (...args: unknown[]) => Promise<unknown>;
  const answer = await handler(bench.caller, sent, version);
  return overTheWire(api, "response", version, answer);
}
