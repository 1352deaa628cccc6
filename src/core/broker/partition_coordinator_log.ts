// A partition of an internal topic as its coordinator sees it: over the log that this broker keeps, under one leadership.
// Invariant: what is told as committed has reached what millrace.durability of the topic promises (the disk, by default), on every
// replica in sync; once the leadership is over, nothing is appended, and nothing is told as committed.

import type { Runtime } from "../../contracts/runtime.ts";
import type { KafkaErrorName } from "../../protocol/errors.ts";
import {
  attributesAt,
  maxTimestampAt,
  producerEpochAt,
  producerIdAt,
  recordCountAt,
  TRANSACTIONAL_BIT,
} from "../../record/batch_header.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type {
  AppendedToLog,
  CoordinatorLog,
  EndMarker,
} from "../coordinator/runtime/coordinator_log.ts";
import type { Producer } from "../coordinator/runtime/shard.ts";
import { type LogRead, MOVES_MAX } from "../log/log_reader.ts";
import type { AppendVerdict, PartitionLog } from "../log/partition_log.ts";
import type { LogManager } from "../partition/log_manager.ts";
import { committed, reached } from "./commit_waits.ts";
import { leadershipHeld } from "./partition_leaders.ts";

const REASONS: Readonly<Record<NonNullable<LogRead["fault"]>, string>> = {
  corrupt: "A batch is damaged on disk",
  io: "The disk could not be read",
  moved: "The batches were moved while they were read",
};

export class PartitionCoordinatorLog implements CoordinatorLog {
  readonly #cluster: Cluster | null;
  readonly #logs: LogManager;
  readonly #runtime: Runtime;
  readonly #log: PartitionLog;

  /** That of the leadership: the log is of no use here under any other. */
  readonly leaderEpoch: number;

  /** @param cluster Null: nobody else can ever lead the partition */
  constructor(
    logs: LogManager,
    runtime: Runtime,
    log: PartitionLog,
    cluster: Cluster | null = null,
  ) {
    this.#cluster = cluster;
    this.#logs = logs;
    this.#runtime = runtime;
    this.#log = log;
    this.leaderEpoch = log.role?.leaderEpoch ?? log.topic.leaderEpoch;
  }

  get partition(): number {
    return this.#log.partition;
  }

  get isOnline(): boolean {
    const isThere = this.#logs.isOnline && !this.#log.topic.isDeleted;
    return isThere && (this.#mayLead()?.() ?? true);
  }

  get logStartOffset(): number {
    return this.#log.logStartOffset;
  }

  get logEndOffset(): number {
    return this.#log.logEndOffset;
  }

  get highWatermark(): number {
    return this.#log.highWatermark;
  }

  get batchBytesMax(): number {
    return this.#log.topic.settings.maxMessageBytes;
  }

  append(bytes: Uint8Array): AppendedToLog | null {
    if (!this.isOnline || bytes.length > this.batchBytesMax) return null;
    const recordCount = recordCountAt(bytes, 0);
    const verdict = this.#log.append(
      {
        bytes,
        recordCount,
        maxTimestampMs: maxTimestampAt(bytes, 0),
        producerId: producerIdAt(bytes, 0),
        producerEpoch: producerEpochAt(bytes, 0),
        // A coordinator's batches are in order by themselves. Kafka: AppendOrigin.COORDINATOR.
        baseSequence: -1,
        isTransactional: (attributesAt(bytes, 0) & TRANSACTIONAL_BIT) !== 0,
        logAppendTimeMs: -1,
      },
      this.#runtime.clock.wallMs(),
    );
    return this.#appended(verdict, recordCount);
  }

  appendMarker(marker: EndMarker): AppendedToLog | null {
    if (!this.isOnline) return null;
    return this.#appended(this.#log.appendMarker(marker, this.#runtime.clock.wallMs()), 1);
  }

  #appended(verdict: AppendVerdict, recordCount: number): AppendedToLog | null {
    if (verdict.kind !== "appended") return null;
    const log = this.#log;
    const endOffset = verdict.baseOffset + recordCount;
    return { endOffset, committed: committed(log, verdict.group, endOffset, this.#mayLead()) };
  }

  refusalOf({ producerId, producerEpoch }: Producer): KafkaErrorName | null {
    const verdict = this.#log.producers?.check(producerId, producerEpoch, -1, 1, true);
    return verdict?.kind === "refused" ? verdict.code : null;
  }

  refusalOfMarker(marker: EndMarker): KafkaErrorName | null {
    return this.#log.refusalOfMarker(marker)?.code ?? null;
  }

  isOpen({ producerId, producerEpoch }: Producer): boolean {
    return this.#log.hasOpenTransaction(producerId, producerEpoch);
  }

  async settled(): Promise<boolean> {
    const { logEndOffset } = this.#log;
    if (this.#log.highWatermark < logEndOffset) {
      const mayLead = this.#mayLead();
      if (mayLead !== null) return reached(this.#log, logEndOffset, mayLead);
      await this.#logs.journal.newestGroup?.settled();
    }
    return this.#log.highWatermark >= logEndOffset;
  }

  #mayLead(): (() => boolean) | null {
    if (this.#cluster === null || this.#log.role === null) return null;
    return leadershipHeld(this.#cluster, this.#log, this.leaderEpoch, this.#runtime.clock);
  }

  async read(offset: number, bytesMax: number) {
    if (!this.isOnline) return { ok: false as const, reason: "The log folder is offline" };
    let read = await this.#readOnce(offset, bytesMax);
    // The bytes went to another file while they were read: the index knows where they are now.
    for (let tries = MOVES_MAX; read.fault === "moved" && tries > 0; tries--) {
      read = await this.#readOnce(offset, bytesMax);
    }
    if (read.fault !== null) return { ok: false as const, reason: REASONS[read.fault] };
    const taken = read;
    return {
      ok: true as const,
      batches: read.batches,
      release: () => this.#logs.reader.release(taken),
    };
  }

  #readOnce(offset: number, bytesMax: number): LogRead | Promise<LogRead> {
    return this.#logs.reader.read(this.#log, offset, this.#log.highWatermark, bytesMax, true);
  }
}
