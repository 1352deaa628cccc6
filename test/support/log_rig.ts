// A LogManager over any store with a data plane in front, for tests of the log: append batches,
// fetch them back, restart.

import { loadXxhash } from "../../src/base/xxhash.ts";
import type { Caller, FetchResponse } from "../../src/contracts/broker.ts";
import type { Storage, StoragePlugin } from "../../src/contracts/storage.ts";
import { LogApiImpl } from "../../src/core/broker/log_api.ts";
import type { TopicImage } from "../../src/core/cluster/image.ts";
import type { TransactionGate } from "../../src/core/coordinator/transaction/ports.ts";
import { CLEANER_DEFAULTS } from "../../src/core/partition/lazy_cleaner.ts";
import { LogManager } from "../../src/core/partition/log_manager.ts";
import { Settings } from "../../src/core/settings/dynamic.ts";
import type { Compression } from "../../src/record/compression.ts";
import { batchesIn } from "../../src/record/record_batch.ts";
import { openRecords } from "../../src/record/record_block.ts";
import { RecordBatchBuilder } from "../../src/record/record_builder.ts";
import { RecordCursor } from "../../src/record/record_reader.ts";
import { hostCompression } from "../../src/runtime/compression.ts";
import { TestRuntime } from "./test_runtime.ts";

export const caller: Caller = {
  principal: { type: "User", name: "ANONYMOUS" },
  peer: { host: "127.0.0.1", listener: "test", tlsPeerCertificate: null },
  clientId: "test",
  listener: "test",
  signal: new AbortController().signal,
};

export interface RigOptions {
  readonly journalFileBytes?: number;
  readonly journalBytesMax?: number;
  readonly topics?: readonly TopicImage[];
  readonly test?: TestRuntime;
  /** Free space of the volume; unknown when left out. */
  readonly usableBytes?: () => Promise<number>;
  /** Kafka's defaults when left out. */
  readonly cleaner?: Partial<typeof CLEANER_DEFAULTS>;
  readonly onKept?: () => void;
  /** Codecs of the broker; the host's when left out. */
  readonly compression?: Compression;
  /** Default true. */
  readonly opensCompressed?: boolean;
  /** Asked before first batches of transactions; none are taken without it. */
  readonly gate?: TransactionGate;
  /** What a broker of several has; without it the broker is alone. */
  readonly replicates?: (topicId: string, partition: number) => boolean;
  /** Bytes from which a partition gets segment files. */
  readonly grownBytes?: number;
  /** Default five minutes. */
  readonly retentionCheckMs?: () => number;
  /** Default a day. */
  readonly producerExpiryMs?: () => number;
  /** With retention when left out. */
  readonly producerCheckMs?: () => number;
}

export function topic(
  name: string,
  partitionCount = 1,
  configs: Readonly<Record<string, string>> = {},
): TopicImage {
  const id = `${name}AAAAAAAAAAAAAAAAAAAAAA`.replaceAll(/[^A-Za-z0-9_-]/g, "x").slice(0, 21);
  return {
    name,
    id: `${id}A`,
    partitionCount,
    replicationFactor: 1,
    configs: new Map(Object.entries(configs)),
    leaderEpoch: 0,
    isInternal: false,
    revision: 1,
  };
}

export interface ReadRecord {
  readonly offset: number;
  readonly value: string;
  readonly timestampMs: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function batchOf(
  values: readonly string[],
  options: ConstructorParameters<typeof RecordBatchBuilder>[0] & {
    readonly timestampMs?: number;
  } = {},
): Uint8Array {
  const builder = new RecordBatchBuilder({ compression: hostCompression, ...options });
  for (const value of values) {
    builder.append(
      options.timestampMs ?? 1_700_000_000_000,
      encoder.encode("k"),
      encoder.encode(value),
    );
  }
  return builder.build();
}

export class LogRig {
  readonly test: TestRuntime;
  readonly logs: LogManager;
  readonly api: LogApiImpl;
  readonly storage: Storage;
  offlineReason: string | null = null;
  /** How often the folder was said to be offline: once at most. */
  offlineCount = 0;

  private constructor(test: TestRuntime, storage: Storage, logs: LogManager, api: LogApiImpl) {
    this.test = test;
    this.storage = storage;
    this.logs = logs;
    this.api = api;
  }

  static async open(plugin: StoragePlugin, options: RigOptions = {}): Promise<LogRig> {
    const test = options.test ?? new TestRuntime();
    const { compression = hostCompression, opensCompressed = true } = options;
    const runtime = { ...test.runtime, compression };
    const storage = await plugin.open({ runtime, brokerId: 1 });
    const settings = new Settings();
    const holder: { rig: LogRig | null } = { rig: null };
    const logs = await LogManager.open(
      {
        store: storage.segments!,
        runtime,
        journalFileBytes: options.journalFileBytes ?? 1024 * 1024,
        journalBytesMax: options.journalBytesMax ?? 64 * 1024 * 1024,
        ...(options.usableBytes === undefined ? {} : { usableBytes: options.usableBytes }),
        ...(options.grownBytes === undefined ? {} : { grownBytes: options.grownBytes }),
        ...(options.replicates === undefined ? {} : { replicates: options.replicates }),
        ...(options.onKept === undefined ? {} : { onKept: options.onKept }),
        retentionCheckMs: options.retentionCheckMs ?? (() => 300_000),
        producerExpiryMs: options.producerExpiryMs ?? (() => 86_400_000),
        ...(options.producerCheckMs === undefined
          ? {}
          : { producerCheckMs: options.producerCheckMs }),
        cleaner: () => ({ ...CLEANER_DEFAULTS, ...options.cleaner }),
        onOffline: (reason) => {
          if (holder.rig === null) return;
          holder.rig.offlineReason = reason;
          holder.rig.offlineCount++;
        },
      },
      (options.topics ?? [topic("t")]).map((each) => ({
        topic: each,
        settings: settings.topicSettings(each.configs),
      })),
    );
    const api = new LogApiImpl({
      logs,
      runtime,
      xxhash: await loadXxhash(),
      decompressedBytesMax: () => 100 * 1024 * 1024,
      opensCompressed: () => opensCompressed,
      fetchBytesMax: () => 57_671_680,
      gate: options.gate ?? null,
    });
    holder.rig = new LogRig(test, storage, logs, api);
    return holder.rig;
  }

  async close(): Promise<void> {
    await this.logs.close();
    await this.storage.close();
  }

  append(batches: Uint8Array, topicName = "t", partition = 0, expectedOffset?: number) {
    return this.api
      .append(caller, {
        acks: -1,
        timeoutMs: 1000,
        transactionalId: null,
        partitions: [
          {
            topic: topicName,
            partition,
            batches,
            ...(expectedOffset === undefined ? {} : { expectedOffset }),
          },
        ],
      })
      .then((outcomes) => outcomes[0]!);
  }

  fetch(
    fetchOffset: number,
    options: { bytesMax?: number; topic?: string; partition?: number; waitMsMax?: number } = {},
  ): Promise<FetchResponse> {
    return this.api.fetch(caller, {
      isolation: "read_uncommitted",
      waitMsMax: options.waitMsMax ?? 0,
      bytesMin: 1,
      bytesMax: options.bytesMax ?? 1024 * 1024,
      partitions: [
        {
          topic: options.topic ?? "t",
          partition: options.partition ?? 0,
          fetchOffset,
          bytesMax: options.bytesMax ?? 1024 * 1024,
          leaderEpoch: -1,
        },
      ],
    });
  }

  /** Every record from `offset` on, read fetch by fetch. Throws where a fetch is refused. */
  async readAll(offset = 0, topicName = "t", partition = 0): Promise<ReadRecord[]> {
    const records: ReadRecord[] = [];
    let next = offset;
    for (;;) {
      const response = await this.fetch(next, { topic: topicName, partition, bytesMax: 64 * 1024 });
      const outcome = response.partitions[0]!;
      if (!outcome.ok) throw new Error(outcome.error.code);
      const got = outcome.value.batches.flatMap((bytes) => recordsIn(bytes));
      response.release();
      if (outcome.value.sizeBytes === 0) return records;
      for (const record of got) if (record.offset >= next) records.push(record);
      next = records.at(-1)!.offset + 1;
    }
  }
}

export function recordsIn(bytes: Uint8Array): ReadRecord[] {
  const { batches, fault } = batchesIn(bytes);
  if (fault !== null) throw new Error(fault);
  return batches.flatMap((batch) => {
    if (batch.check() !== null) throw new Error(`batch ${batch.baseOffset}: ${batch.check()}`);
    const block = openRecords(batch, { compression: hostCompression, sizeBytesMax: 1 << 28 });
    if (typeof block === "string") throw new Error(block);
    const cursor = new RecordCursor(block);
    const out: ReadRecord[] = [];
    while (cursor.next()) {
      out.push({
        offset: batch.baseOffset + cursor.offsetDelta,
        value: decoder.decode(cursor.value()!),
        timestampMs: batch.baseTimestampMs + cursor.timestampDelta,
      });
    }
    return out;
  });
}
