// All logs of this broker: opens the folder, makes partition logs on first use, runs retention, the
// giving up of journal files and the cleaner in the background, and takes the folder offline when it fails.
// Kafka: LogManager, ReplicaManager's local part.

import { BufferPool } from "../../base/buffer_pool.ts";
import { uuidToBytes, uuidToHex } from "../../base/uuid.ts";
import type { Runtime, Timer } from "../../contracts/runtime.ts";
import type { SegmentStore } from "../../contracts/storage.ts";
import type { TopicImage } from "../cluster/image.ts";
import { AbortedIndex } from "../log/aborted_index.ts";
import type { CleanerSettings } from "../log/cleaner.ts";
import type { CleaningFigures } from "../log/cleaner_figures.ts";
import { Journal } from "../log/journal.ts";
import { LogReader } from "../log/log_reader.ts";
import { PartitionLog } from "../log/partition_log.ts";
import type { PartitionRole } from "../log/partition_role.ts";
import { findJournal, type ReplayFindings, replayJournal } from "../log/recover.ts";
import type { ReplicaLogs } from "../log/replica_logs.ts";
import { expiredSegments } from "../log/retention.ts";
import { abortedFileName, SegmentFiles, segmentFileName } from "../log/segment_files.ts";
import { GROWN_BYTES, Settler } from "../log/settle.ts";
import type { TopicContext } from "../log/topic_context.ts";
import type { TopicSettings } from "../settings/topic_settings.ts";
import { CLEANER_DEFAULTS, LazyCleaner } from "./lazy_cleaner.ts";
import type {
  ActiveProducer,
  DeleteRecordsOutcome,
  PartitionStatus,
  Partitions,
} from "./partitions.ts";

/** Logs looked at between two turns of the event loop. */
const RETENTION_SLICE = 256;
const READ_POOL_BYTES = 16 * 1024 * 1024;
/** Bound of one batch opened by the cleaner where nobody gives another. */
const DECOMPRESSED_BYTES_MAX = 100 * 1024 * 1024;

export interface LogManagerOptions {
  readonly store: SegmentStore;
  readonly runtime: Runtime;
  readonly journalFileBytes: number;
  readonly journalBytesMax: number;
  /** Bytes in the journal from which a partition gets segment files; the log's own bound when left out. */
  readonly grownBytes?: number;
  /** Asked each time: they are dynamic. */
  readonly retentionCheckMs: () => number;
  readonly producerExpiryMs: () => number;
  /** How often producers are looked at; with retention when left out. */
  readonly producerCheckMs?: () => number;
  /** The settings log.cleaner.*; their defaults when left out. */
  readonly cleaner?: () => CleanerSettings & { readonly backoffMs: number };
  /** Most bytes that one compressed batch may become; 100 MiB when left out. */
  readonly decompressedBytesMax?: () => number;
  /** Free space of the volume, in bytes; −1 where nobody knows. */
  readonly usableBytes?: () => Promise<number>;
  /**
   * Where the broker is one of several: whether it has a replica of a partition. Asked for every log of the folder at its start
   * as well; what is not replicated here is dropped. Left out: it is alone, and has all.
   */
  readonly replicates?: (topicId: string, partition: number) => boolean;
  /** Called once, with a reason for people, when the log folder went offline. */
  readonly onOffline: (reason: string) => void;
  /** Called when a journal file is durable for the first time in this run, and one will be from then on. */
  readonly onKept?: () => void;
}

/** A topic this broker holds, with the logs that were needed so far. */
export class TopicLogs {
  readonly context: TopicContext;
  readonly id: string;
  partitionCount: number;
  readonly logs = new Map<number, PartitionLog>();

  constructor(id: string, context: TopicContext, partitionCount: number) {
    this.id = id;
    this.context = context;
    this.partitionCount = partitionCount;
  }
}

export class LogManager implements Partitions {
  readonly pool = new BufferPool({ idleBytesMax: READ_POOL_BYTES });
  readonly journal: Journal;
  readonly reader: LogReader;
  readonly segmentFiles: SegmentFiles;
  readonly aborted: AbortedIndex;
  readonly #options: LogManagerOptions;
  readonly #settler: Settler;
  readonly #cleaner: LazyCleaner;
  readonly #byId = new Map<string, TopicLogs>();
  readonly #byName = new Map<string, TopicLogs>();
  #isOnline = true;
  #isStopped = false;
  #replicaLogs: Promise<ReplicaLogs> | null = null;
  /** Of a log until its role is known; null where the broker is alone. */
  #roleYet: PartitionRole | null = null;
  /** Logs whose files are going, by topic id and partition. */
  readonly #dropping = new Map<string, Promise<void>>();
  #maintenanceTimer: Timer | null = null;
  #retentionDueMs = 0;
  #producersDueMs = 0;
  /** The round of maintenance that runs, or null. */
  #maintaining: Promise<void> | null = null;

  private constructor(options: LogManagerOptions, journal: Journal) {
    this.#options = options;
    this.journal = journal;
    const { runtime } = options;
    this.segmentFiles = new SegmentFiles(options.store, runtime.log);
    this.reader = new LogReader({
      journal,
      segmentFiles: this.segmentFiles,
      pool: this.pool,
      crc32c: runtime.crc32c,
      log: runtime.log,
    });
    const { segmentFiles, reader } = this;
    this.aborted = new AbortedIndex({
      segmentFiles,
      reader,
      clock: runtime.clock,
      log: runtime.log,
    });
    this.#settler = new Settler({
      journal,
      reader,
      segmentFiles,
      aborted: this.aborted,
      scheduler: runtime.scheduler,
      clock: runtime.clock,
      log: runtime.log,
      journalBytesMax: options.journalBytesMax,
      isToBeCleaned: (log) => this.#cleaner.isToBeCleaned(log),
      grownBytes: options.grownBytes ?? GROWN_BYTES,
    });
    const cleanerSettings = options.cleaner ?? (() => CLEANER_DEFAULTS);
    this.#cleaner = new LazyCleaner({
      journal,
      reader,
      segmentFiles,
      aborted: this.aborted,
      runtime,
      decompressedBytesMax: options.decompressedBytesMax ?? (() => DECOMPRESSED_BYTES_MAX),
      settings: cleanerSettings,
      usableBytes: options.usableBytes ?? (async () => -1),
      backoffMs: () => cleanerSettings().backoffMs,
      logs: () => this.#compactedLogs(),
    });
  }

  /**
   * Opens the folder: replays the journal into the logs of the topics given, and drops what belongs
   * to topics that are gone.
   *
   * @throws {StorageError} when the folder cannot be read or was written by a newer version
   */
  static async open(
    options: LogManagerOptions,
    topics: Iterable<{ readonly topic: TopicImage; readonly settings: TopicSettings }>,
  ): Promise<LogManager> {
    const { store, runtime } = options;
    const startedMs = runtime.clock.monotonicMs();
    const found = await findJournal(store, runtime.log);
    const holder: { manager: LogManager | null } = { manager: null };
    const journal = new Journal(
      {
        store,
        scheduler: runtime.scheduler,
        clock: runtime.clock,
        random: runtime.random.fork("journal"),
        log: runtime.log,
        fileBytesMax: options.journalFileBytes,
        overlapBytesMin: 128 * 1024,
        groupBytesMax: 8 * 1024 * 1024,
        ...(options.usableBytes === undefined ? {} : { usableBytes: options.usableBytes }),
        onFailure: (error) => holder.manager?.goOffline(error),
        onSynced: () => options.onKept?.(),
      },
      found.sealed,
      found.active,
    );
    await journal.spare.find();
    const manager = new LogManager(options, journal);
    holder.manager = manager;
    if (options.replicates !== undefined) {
      manager.#roleYet = (await import("../log/partition_role.ts")).NO_ROLE_YET;
    }
    for (const { topic, settings } of topics) manager.topicChanged(topic, settings);
    const findings = await replayJournal({
      journal,
      found,
      crc32c: runtime.crc32c,
      log: runtime.log,
      wallMs: runtime.clock.wallMs(),
      logOf: (topicId, partition) => manager.log(topicId, partition),
    });
    await manager.#checkSegments(findings.hasDamage);
    if ([...found.sealed, found.active].some(({ file }) => file !== null)) options.onKept?.();
    manager.#reportOpened(findings, runtime.clock.monotonicMs() - startedMs);
    manager.#retentionDueMs = runtime.clock.monotonicMs() + options.retentionCheckMs();
    manager.#producersDueMs = runtime.clock.monotonicMs() + manager.#producerCheckMs();
    manager.#scheduleMaintenance();
    return manager;
  }

  *#compactedLogs(): Iterable<PartitionLog> {
    for (const topic of this.#byId.values()) {
      if (topic.context.settings.cleanupCompact) yield* topic.logs.values();
    }
  }

  get isOnline(): boolean {
    return this.#isOnline && !this.#isStopped;
  }

  topicNamed(name: string): TopicLogs | undefined {
    return this.#byName.get(name);
  }

  topicWithId(id: string): TopicLogs | undefined {
    return this.#byId.get(id);
  }

  /** The log of a partition, made on first use; null when this broker does not hold it. */
  log(topicId: string, partition: number): PartitionLog | null {
    const topic = this.#byId.get(topicId);
    return topic === undefined ? null : this.logIn(topic, partition);
  }

  logIn(topic: TopicLogs, partition: number): PartitionLog | null {
    const known = topic.logs.get(partition);
    if (known !== undefined) return known;
    if (!(partition >= 0 && partition < topic.partitionCount)) return null;
    const { replicates } = this.#options;
    if (replicates !== undefined) {
      if (!replicates(topic.id, partition) || this.#dropping.has(`${topic.id}/${partition}`))
        return null;
    }
    const log = new PartitionLog(this.journal, topic.context, partition);
    log.role = this.#roleYet;
    topic.logs.set(partition, log);
    return log;
  }

  topicChanged(topic: TopicImage, settings: TopicSettings): void {
    const known = this.#byId.get(topic.id);
    if (known !== undefined) {
      known.partitionCount = topic.partitionCount;
      known.context.settings = settings;
      known.context.leaderEpoch = topic.leaderEpoch;
      return;
    }
    const context: TopicContext = {
      name: topic.name,
      idBytes: uuidToBytes(topic.id),
      idHex: uuidToHex(topic.id).replaceAll("-", ""),
      settings,
      leaderEpoch: topic.leaderEpoch,
      isDeleted: false,
    };
    const logs = new TopicLogs(topic.id, context, topic.partitionCount);
    this.#byId.set(topic.id, logs);
    this.#byName.set(topic.name, logs);
  }

  async topicDeleted(topic: TopicImage): Promise<void> {
    const known = this.#byId.get(topic.id);
    if (known === undefined) return;
    this.#byId.delete(topic.id);
    if (this.#byName.get(topic.name) === known) this.#byName.delete(topic.name);
    known.context.isDeleted = true;
    for (const log of known.logs.values()) {
      const files = log.segments.filter((segment) => segment.settledBytes > 0);
      log.releaseAll();
      log.segments = [];
      for (const segment of files) await this.segmentFiles.remove(log, segment);
    }
  }

  /** What a follower does to its logs; the code is loaded with the first call. */
  replicaLogs(): Promise<ReplicaLogs> {
    this.#replicaLogs ??= import("../log/replica_logs.ts").then((code) => {
      const { journal, reader, segmentFiles, aborted } = this;
      const { runtime } = this.#options;
      return new code.ReplicaLogs({ journal, reader, segmentFiles, aborted, runtime });
    });
    return this.#replicaLogs;
  }

  /** Moves a follower's log start up to its leader's, to the high watermark at most. False when that could not be written. */
  async followStart(log: PartitionLog, leaderStart: number): Promise<boolean> {
    const offset = Math.min(leaderStart, log.highWatermark);
    return offset <= log.logStartOffset || (await this.#moveStart(log, offset));
  }

  /**
   * This broker has no replica of the partition any more: whoever still holds the log is told as of a deleted topic, and its files
   * go. Until that is done there is no log of the partition here, though it may have come back.
   */
  partitionDropped(topicId: string, partition: number): Promise<void> {
    const topic = this.#byId.get(topicId);
    const log = topic?.logs.get(partition);
    if (topic === undefined || log === undefined) return Promise.resolve();
    topic.logs.delete(partition);
    const key = `${topicId}/${partition}`;
    const dropping = this.#drop(log).finally(() => this.#dropping.delete(key));
    this.#dropping.set(key, dropping);
    return dropping;
  }

  async #drop(log: PartitionLog): Promise<void> {
    const { dropped, group } = log.restartAt(0);
    log.topic = { ...log.topic, isDeleted: true };
    log.releaseAll();
    // Who copies its files just now has to have let go of them.
    if (this.#maintaining !== null) await this.#maintaining;
    await this.#cleaner.settled();
    if (!(await group.settled())) return;
    for (const segment of dropped) {
      if (segment.settledBytes > 0) await this.segmentFiles.remove(log, segment);
    }
  }

  status(topicId: string, partition: number): PartitionStatus | null {
    const topic = this.#byId.get(topicId);
    if (topic === undefined || partition < 0 || partition >= topic.partitionCount) return null;
    const log = topic.logs.get(partition);
    if (log === undefined && this.#options.replicates?.(topicId, partition) === false) return null;
    return {
      leaderEpoch: log?.leaderEpoch ?? topic.context.leaderEpoch,
      logStartOffset: log?.logStartOffset ?? 0,
      highWatermark: log?.highWatermark ?? 0,
      logEndOffset: log?.logEndOffset ?? 0,
      sizeBytes: log?.sizeBytes ?? 0,
    };
  }

  async deleteRecords(
    topicId: string,
    partition: number,
    offset: number,
  ): Promise<DeleteRecordsOutcome> {
    const log = this.log(topicId, partition);
    if (!this.#isOnline) return { ok: false, code: "kafka_storage_error" };
    // Followers go after their leader's start.
    if (this.#options.replicates !== undefined && log?.role?.isLeader !== true) {
      return { ok: false, code: "not_leader_or_follower" };
    }
    if (log === null) return { ok: false, code: "kafka_storage_error" };
    if (!log.topic.settings.cleanupDelete) return { ok: false, code: "policy_violation" };
    const target = offset === -1 ? log.highWatermark : offset;
    if (target < 0 || target > log.highWatermark) return { ok: false, code: "offset_out_of_range" };
    if (target <= log.logStartOffset) {
      // Who moved it there may still be waiting for the disk; where it goes meanwhile is not synced.
      const { logStartOffset } = log;
      const isDone = (await this.journal.newestGroup?.settled()) ?? !this.journal.isFailed;
      if (!isDone) return { ok: false, code: "kafka_storage_error" };
      return { ok: true, logStartOffset };
    }
    if (!(await this.#moveStart(log, target))) return { ok: false, code: "kafka_storage_error" };
    // Retention may have moved it further meanwhile, and that may not be synced yet.
    return { ok: true, logStartOffset: target };
  }

  activeProducers(topicId: string, partition: number): readonly ActiveProducer[] | null {
    const topic = this.#byId.get(topicId);
    if (topic === undefined || partition < 0 || partition >= topic.partitionCount) return null;
    const producers = topic.logs.get(partition)?.producers;
    if (!producers) return [];
    return [...producers.entries()].map(([producerId, entry]) => ({
      producerId,
      producerEpoch: entry.epoch,
      lastSequence: entry.batches.at(-1)?.lastSequence ?? -1,
      lastTimestampMs: entry.lastTimestampMs,
      coordinatorEpoch: entry.coordinatorEpoch,
      currentTransactionStartOffset: entry.transactionStartOffset,
    }));
  }

  async cleaning(topicId: string): Promise<readonly CleaningFigures[]> {
    const topic = this.#byId.get(topicId);
    if (topic === undefined || !topic.context.settings.cleanupCompact) return [];
    const logs = [...topic.logs.values()].filter((log) => log.segments.length > 0);
    return await this.#cleaner.figuresOf(logs.sort((a, b) => a.partition - b.partition));
  }

  /** A write or sync failed: nothing is acknowledged any more, and nothing is retried (decision 14). */
  goOffline(error: unknown): void {
    if (!this.#isOnline) return;
    this.#isOnline = false;
    const reason = error instanceof Error ? error.message : String(error);
    this.#options.runtime.log.error("log_directory_offline", { reason });
    for (const topic of this.#byId.values()) {
      for (const log of topic.logs.values()) log.wakeWaiters();
    }
    this.#options.onOffline(reason);
  }

  /** Commits what is pending and closes every file; appends fail afterwards. */
  async close(): Promise<void> {
    this.#isStopped = true;
    this.#maintenanceTimer?.cancel();
    this.#settler.stop();
    await this.#cleaner.close();
    if (this.#maintaining !== null) await this.#maintaining;
    try {
      await this.journal.close();
    } finally {
      await this.segmentFiles.close();
    }
  }

  /** Runs retention, forgets producers and gives journal files up, now. The background does the same on its own. */
  async maintain(retention: boolean, producers = retention): Promise<void> {
    if (this.#maintaining !== null || !this.isOnline) return;
    this.#maintaining = this.#maintainOnce(retention, producers);
    await this.#maintaining;
    this.#maintaining = null;
  }

  /** Cleans the compacted partitions that are dirty enough, now. The background does the same on its own. */
  async clean(): Promise<number> {
    return this.isOnline ? await this.#cleaner.run() : 0;
  }

  /** Never rejects. */
  async #maintainOnce(retention: boolean, producers: boolean): Promise<void> {
    try {
      if (producers) await this.#expireProducers();
      if (retention) await this.#applyRetention();
      await this.#settler.run();
    } catch (error) {
      // A file that cannot be read or removed is not worth a broker: it is said, and tried again later.
      this.#options.runtime.log.error("log_maintenance_failed", { error: String(error) });
    }
  }

  #scheduleMaintenance(): void {
    const { clock, scheduler } = this.#options.runtime;
    const retentionInMs = Math.max(this.#retentionDueMs - clock.monotonicMs(), 0);
    const delayMs = Math.min(retentionInMs, 1000);
    this.#maintenanceTimer = scheduler.after(delayMs, "log_maintenance", () => {
      if (this.#isStopped || !this.#isOnline) return;
      const isRetentionDue = clock.monotonicMs() >= this.#retentionDueMs;
      if (isRetentionDue) {
        this.#retentionDueMs = clock.monotonicMs() + this.#options.retentionCheckMs();
      }
      const areProducersDue = clock.monotonicMs() >= this.#producersDueMs;
      if (areProducersDue) this.#producersDueMs = clock.monotonicMs() + this.#producerCheckMs();
      scheduler.spawn("log_maintenance", async () => {
        await this.maintain(isRetentionDue, areProducersDue);
        this.#cleaner.look();
        if (!this.#isStopped) this.#scheduleMaintenance();
      });
    });
  }

  #producerCheckMs(): number {
    const { producerCheckMs, retentionCheckMs } = this.#options;
    return (producerCheckMs ?? retentionCheckMs)();
  }

  async #expireProducers(): Promise<void> {
    const { clock, scheduler } = this.#options.runtime;
    let looked = 0;
    for (const topic of [...this.#byId.values()]) {
      for (const log of [...topic.logs.values()]) {
        log.expireProducers(clock.wallMs() - this.#options.producerExpiryMs());
        if (++looked % RETENTION_SLICE === 0) await scheduler.yieldNow();
      }
    }
  }

  async #applyRetention(): Promise<void> {
    const { clock, scheduler, log: logger } = this.#options.runtime;
    let looked = 0;
    for (const topic of [...this.#byId.values()]) {
      for (const log of [...topic.logs.values()]) {
        if (this.#isStopped || topic.context.isDeleted) break;
        // A follower's start is its leader's.
        if (log.role?.isLeader === false) continue;
        const wallMs = clock.wallMs();
        const count = expiredSegments(log, wallMs);
        if (count > 0) {
          const offset = log.segmentEnd(count - 1);
          logger.info("segments_expired", {
            topic: log.topic.name,
            partition: log.partition,
            count,
            logStartOffset: offset,
          });
          await this.#moveStart(log, Math.max(offset, log.logStartOffset));
        }
        if (++looked % RETENTION_SLICE === 0) await scheduler.yieldNow();
      }
    }
  }

  async #moveStart(log: PartitionLog, offset: number): Promise<boolean> {
    const { dropped, group } = log.moveStart(offset);
    log.wakeWaiters();
    if (!(await group.settled())) return false;
    for (const segment of dropped) {
      if (segment.settledBytes > 0) await this.segmentFiles.remove(log, segment);
    }
    return true;
  }

  /**
   * Holds the segment files against what the states say. Those that no state speaks of are removed: a
   * crash left them, or their topic is gone. After damage a state may be missing, and then they stay.
   */
  async #checkSegments(hasDamage: boolean): Promise<void> {
    const { store, runtime } = this.#options;
    const sizes = new Map<string, number>();
    for (const { name, sizeBytes } of await store.list("segments/")) sizes.set(name, sizeBytes);
    const orphans = new Set(sizes.keys());
    const present = new Set<string>();
    for (const topic of this.#byId.values()) {
      present.add(topic.context.idHex);
      for (const log of topic.logs.values()) {
        for (const segment of log.segments) {
          if (segment.settledBytes === 0) continue;
          const name = segmentFileName(log, segment);
          orphans.delete(name);
          orphans.delete(name.replace(/\.log$/, ".index"));
          if (segment.abortedCount > 0) orphans.delete(abortedFileName(log, segment));
          const foundBytes = sizes.get(name) ?? 0;
          if (foundBytes >= segment.settledBytes) continue;
          const settledBytes = segment.settledBytes;
          runtime.log.error("segment_cut_short", { name, sizeBytes: foundBytes, settledBytes });
          if (foundBytes > 0) continue;
          // All of it is lost: readers are told so, and do not wait for it.
          const { baseOffset: start } = segment;
          const next = log.segments[log.segments.indexOf(segment) + 1];
          const end = Math.min(next?.baseOffset ?? log.logEndOffset, log.settledEnd);
          log.holes = [...(log.holes ?? []), { start, end }];
        }
      }
    }
    for (const name of orphans) {
      if (hasDamage && present.has(name.split("/")[1]!)) {
        runtime.log.warn("orphan_kept", { name });
        continue;
      }
      runtime.log.info("orphan_removed", { name });
      await store.remove(name);
    }
  }

  #reportOpened(findings: ReplayFindings, tookMs: number): void {
    this.#options.runtime.log.info("logs_opened", {
      topics: this.#byId.size,
      logs: findings.logs.size,
      entries: findings.entryCount,
      tornBytes: findings.tornBytes,
      tookMs: Math.round(tookMs),
    });
  }
}
