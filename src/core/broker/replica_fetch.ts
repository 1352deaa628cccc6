// A follower's fetch: what is appended here, synced or not, after its own position has been taken in. Parks until
// there is more, or the high watermark has passed what the follower knows. Invariant: nothing is answered by a broker that
// may lead no more, or to a follower whose history is another. Kafka: Partition.fetchRecords with a replica id, DelayedFetch.

import { ok } from "../../base/outcome.ts";
import type {
  Caller,
  FetchError,
  FetchOutcome,
  FetchPartition,
  FetchRequest,
  FetchResponse,
  FetchResult,
} from "../../contracts/broker.ts";
import type { Runtime, Timer } from "../../contracts/runtime.ts";
import { kafkaError, type Outcome, refuse } from "../../protocol/errors.ts";
import { MOVES_MAX } from "../log/log_reader.ts";
import type { PartitionLog } from "../log/partition_log.ts";
import type { LogManager } from "../partition/log_manager.ts";
import type { PartitionLeader } from "../partition/partition_leader.ts";

/** Bytes of answers to followers that may be held at once, beside those to consumers. */
const READ_MEMORY_BYTES = 192 * 1024 * 1024;
/** What a fetch gets when so much is held already; and one batch, however large, always. */
const CROWDED_BYTES = 64 * 1024;

export interface ReplicaFetchOptions {
  readonly logs: LogManager;
  readonly runtime: Runtime;
  /** Null where this broker does not lead. */
  readonly leaderOf: (topicId: string, partition: number) => PartitionLeader | null;
  /** Whether nobody else can lead what this broker leads: asked at each answer. */
  readonly isHeld: () => boolean;
}

/** The log and who leads it, once a follower's question has been found to fit. */
interface Asked {
  readonly log: PartitionLog;
  readonly leader: PartitionLeader;
}

interface Round {
  readonly outcomes: FetchOutcome[];
  sizeBytes: number;
  /** Something besides batches that the follower should know at once. */
  hasNews: boolean;
}

/** Answers one fetch of a follower; `request.replica` and the partitions' `topicId` and `follower` are set. */
export class ReplicaFetch {
  readonly #options: ReplicaFetchOptions;
  readonly #caller: Caller;
  readonly #request: FetchRequest;
  readonly #buffers: Uint8Array<ArrayBuffer>[] = [];
  #hasMoved = false;
  #wake: (() => void) | null = null;

  constructor(options: ReplicaFetchOptions, caller: Caller, request: FetchRequest) {
    this.#options = options;
    this.#caller = caller;
    this.#request = request;
  }

  async run(): Promise<FetchResponse> {
    const { clock } = this.#options.runtime;
    const deadlineMs = clock.monotonicMs() + this.#request.waitMsMax;
    // Once: a follower is where it was when it asked.
    for (const partition of this.#request.partitions) this.#noteFollower(partition);
    const onMoved = () => {
      this.#hasMoved = true;
      this.#wake?.();
    };
    const leaders = this.#leaders();
    for (const leader of leaders) leader.replicaWaiters.add(onMoved);
    try {
      for (;;) {
        this.#hasMoved = false;
        const round = await this.#readAll();
        const leftMs = deadlineMs - clock.monotonicMs();
        const isDue = leftMs <= 0 || this.#caller.signal.aborted;
        if (round.hasNews || round.sizeBytes >= this.#bytesMin() || isDue) {
          return { partitions: round.outcomes, release: () => this.#release() };
        }
        this.#release();
        if (!this.#hasMoved) await this.#wait(leftMs);
      }
    } finally {
      for (const leader of leaders) leader.replicaWaiters.delete(onMoved);
    }
  }

  /** One byte at least: an empty answer is no answer before its time. */
  #bytesMin(): number {
    return Math.max(Math.min(this.#request.bytesMin, this.#request.bytesMax), 1);
  }

  #leaders(): Set<PartitionLeader> {
    const leaders = new Set<PartitionLeader>();
    for (const { topicId, partition } of this.#request.partitions) {
      const leader = this.#options.leaderOf(topicId ?? "", partition);
      if (leader !== null) leaders.add(leader);
    }
    return leaders;
  }

  #noteFollower(partition: FetchPartition): void {
    const found = this.#find(partition);
    if (!found.ok || divergingOf(found.value.log, partition) !== null) return;
    const { log, leader } = found.value;
    const { fetchOffset, follower } = partition;
    if (fetchOffset < log.logStartOffset || fetchOffset > log.logEndOffset) return;
    const { id: brokerId, epoch: brokerEpoch } = this.#request.replica!;
    leader.followerFetched({
      brokerId,
      brokerEpoch,
      fetchOffset,
      syncedEnd: follower?.syncedEnd ?? -1,
      logStartOffset: follower?.logStartOffset ?? -1,
    });
  }

  #find({ topicId = "", partition, leaderEpoch }: FetchPartition): Outcome<Asked> {
    const { logs, leaderOf, isHeld } = this.#options;
    const topic = logs.topicWithId(topicId);
    if (topic === undefined) return refuse("unknown_topic_id");
    if (!logs.isOnline) return refuse("kafka_storage_error");
    const leader = leaderOf(topicId, partition);
    const log = leader === null ? null : logs.logIn(topic, partition);
    if (leader === null || log === null || !isHeld()) return refuse("not_leader_or_follower");
    if (leaderEpoch >= 0 && leaderEpoch < leader.leaderEpoch) return refuse("fenced_leader_epoch");
    if (leaderEpoch > leader.leaderEpoch) return refuse("unknown_leader_epoch");
    if (leader.follower(this.#request.replica!.id) === null) {
      return refuse("not_leader_or_follower");
    }
    return ok({ log, leader });
  }

  async #readAll(): Promise<Round> {
    const round: Round = { outcomes: [], sizeBytes: 0, hasNews: false };
    const { pool } = this.#options.logs;
    const roomBytes = Math.max(READ_MEMORY_BYTES - pool.lentBytes, CROWDED_BYTES);
    const bytesMax = Math.min(this.#request.bytesMax, roomBytes);
    for (const partition of this.#request.partitions) {
      const outcome = await this.#readOne(partition, round, bytesMax);
      round.outcomes.push(outcome);
      if (!outcome.ok) round.hasNews = true;
      else {
        const { sizeBytes, divergingEpoch, highWatermark, logStartOffset } = outcome.value;
        round.sizeBytes += sizeBytes;
        const { follower, fetchOffset } = partition;
        // It learns of what is committed at once: consumers may read from it, and it may have to lead.
        const isBehind = isNews(Math.min(highWatermark, fetchOffset), follower?.highWatermark);
        const isStartNews = isNews(logStartOffset, follower?.logStartOffset);
        if (divergingEpoch !== undefined || isBehind || isStartNews) round.hasNews = true;
      }
    }
    return round;
  }

  async #readOne(
    partition: FetchPartition,
    round: Round,
    bytesMaxOfAll: number,
  ): Promise<FetchOutcome> {
    const { logs } = this.#options;
    for (let tries = MOVES_MAX; ; tries--) {
      const found = this.#find(partition);
      if (!found.ok) return found;
      const { log } = found.value;
      const { fetchOffset } = partition;
      const { logEndOffset: endOffset } = log;
      const diverging = divergingOf(log, partition);
      if (diverging === "unknown") return outOfRange(log);
      if (diverging !== null) return { ok: true, value: { ...stateOf(log), ...diverging } };
      if (fetchOffset < log.logStartOffset || fetchOffset > endOffset) {
        return outOfRange(log);
      }
      const leftBytes = bytesMaxOfAll - round.sizeBytes;
      const isFirst = round.sizeBytes === 0;
      if (fetchOffset >= endOffset || (leftBytes <= 0 && !isFirst)) return ok(stateOf(log));
      const bytesMax = Math.min(partition.bytesMax, leftBytes);
      const read = await logs.reader.read(log, fetchOffset, endOffset, bytesMax, isFirst);
      if (read.fault === null) {
        if (read.buffer !== null) this.#buffers.push(read.buffer);
        const sizeBytes = read.batches.length;
        // The leadership may have ended, or the log been cut, while it was read.
        const still = this.#find(partition);
        if (!still.ok) return still;
        return ok({ ...stateOf(log), batches: sizeBytes === 0 ? [] : [read.batches], sizeBytes });
      }
      if (read.fault === "corrupt") return refuse("corrupt_message");
      if (read.fault !== "moved" || tries === 0) return refuse("kafka_storage_error");
    }
  }

  /** Until something moves, the time is up, or the follower is gone. */
  async #wait(leftMs: number): Promise<void> {
    const { signal } = this.#caller;
    let timer: Timer | null = null;
    let onAbort = () => {};
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      onAbort = resolve;
      signal.addEventListener("abort", onAbort, { once: true });
      timer = this.#options.runtime.scheduler.after(leftMs, "replica_fetch_wait", resolve);
    });
    this.#wake = null;
    (timer as Timer | null)?.cancel();
    signal.removeEventListener("abort", onAbort);
  }

  #release(): void {
    for (const buffer of this.#buffers) this.#options.logs.pool.release(buffer);
    this.#buffers.length = 0;
  }
}

/** Whether it is more than the follower knows. What it did not say is no news: it would be told again and again. */
function isNews(offset: number, known: number | undefined): boolean {
  return known !== undefined && known >= 0 && offset > known;
}

/** It tells where the follower may begin anew. */
function outOfRange(log: PartitionLog): { readonly ok: false; readonly error: FetchError } {
  const error = kafkaError("offset_out_of_range");
  return { ok: false, error: { ...error, logStartOffset: log.logStartOffset } };
}

/** Null: the follower's history is ours so far. "unknown": nothing of it is known here. */
function divergingOf(
  log: PartitionLog,
  { fetchOffset, follower }: FetchPartition,
): { readonly divergingEpoch: { epoch: number; endOffset: number } } | "unknown" | null {
  const epoch = follower?.lastFetchedEpoch ?? -1;
  if (epoch < 0) return null;
  const end = log.epochs.endOf(epoch, log.logEndOffset);
  if (end === null) return "unknown";
  return end.epoch < epoch || end.endOffset < fetchOffset ? { divergingEpoch: end } : null;
}

function stateOf(log: PartitionLog): FetchResult {
  return {
    highWatermark: log.highWatermark,
    lastStableOffset: log.lastStableOffset,
    logStartOffset: log.logStartOffset,
    abortedTransactions: [],
    batches: [],
    sizeBytes: 0,
  };
}
