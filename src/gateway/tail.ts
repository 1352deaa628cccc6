// Follows partitions of a topic from positions on: what is there first, then what comes.
// Invariant: nothing is read from the log but while somebody asks for the next batch, so a reader that is
// slow holds at most what it was given last; positions move only over what was given.
// Kafka: Fetcher and SubscriptionState, with manual assignment.

import { ok } from "../base/outcome.ts";
import type { Broker, Caller } from "../contracts/broker.ts";
import type { Runtime } from "../contracts/runtime.ts";
import type { Outcome } from "../protocol/errors.ts";
import {
  fetchRecords,
  type GatewayRecord,
  type PartitionPosition,
  waitForRecords,
} from "./fetch_records.ts";

const MIB = 1024 * 1024;
const WAIT_MS = 30_000;
const RECORDS_MAX = 1000;

/** What to follow, and the bounds of one batch. */
export interface TailOptions {
  readonly topic: string;
  /** The topic's id as it was when the positions were found; that of its name when the tail is made, if left out. */
  readonly topicId?: string | null;
  /** Each partition once, at least one, from its offset on; see `resolveOffsets`. */
  readonly partitions: readonly PartitionPosition[];
  /** Bytes of records in one batch, and one record however large; 1 MiB when left out. */
  readonly bytesMax?: number;
  /** Records in one batch; 1,000 when left out. */
  readonly recordsMax?: number;
  /** A batch without records is given after this long without any, e.g. for a sign of life; never when left out. */
  readonly quietMsMax?: number;
  readonly isolation?: "read_uncommitted" | "read_committed";
}

/** Records in the order of their offsets, partition by partition. */
export interface TailBatch {
  readonly records: readonly GatewayRecord[];
  /** Where each partition goes on, all of them, in the order given at first. */
  readonly positions: readonly PartitionPosition[];
  /** There was more than this when it was read. */
  readonly isBehind: boolean;
}

interface Followed {
  readonly partition: number;
  offset: number;
}

/**
 * Records of a topic as they come. Ends when `caller.signal` fires, and behind the first failure: an
 * offset that is gone is "offset_out_of_range", a topic that is "unknown_topic_or_partition", or "unknown_topic_id"
 * where another was made under its name meanwhile: its offsets mean other records.
 */
export class RecordTail {
  readonly #broker: Broker;
  readonly #runtime: Runtime;
  readonly #caller: Caller;
  readonly #options: TailOptions;
  readonly #of: { readonly topic: string; readonly topicId?: string };
  readonly #followed: readonly Followed[];
  /** The same, in the order they are asked for: whoever gave something goes to the end. */
  #line: Followed[];
  #isEnded = false;

  constructor(broker: Broker, runtime: Runtime, caller: Caller, options: TailOptions) {
    this.#broker = broker;
    this.#runtime = runtime;
    this.#caller = caller;
    this.#options = options;
    const { topic } = options;
    const topicId = options.topicId === undefined ? broker.log.topicIdOf(topic) : options.topicId;
    this.#of = topicId === null ? { topic } : { topic, topicId };
    this.#followed = options.partitions.map(({ partition, offset }) => ({ partition, offset }));
    this.#line = [...this.#followed];
  }

  /** Where each partition goes on. */
  get positions(): readonly PartitionPosition[] {
    return this.#followed.map(({ partition, offset }) => ({ partition, offset }));
  }

  /** Goes back to `positions` that it had before, where what came since could not be taken. Between calls. */
  rewind(positions: readonly PartitionPosition[]): void {
    const offsets = new Map(positions.map(({ partition, offset }) => [partition, offset]));
    for (const each of this.#followed) each.offset = offsets.get(each.partition) ?? each.offset;
  }

  /**
   * Waits until there is something to read, or a failure to tell of, without holding memory for it.
   *
   * @returns whether `next` has something to tell; false at the end, and when it was quiet for too long
   */
  async ready(): Promise<boolean> {
    const { quietMsMax } = this.#options;
    const { clock } = this.#runtime;
    const waitMs = quietMsMax ?? WAIT_MS;
    while (!this.#isEnded && !this.#caller.signal.aborted) {
      const startMs = clock.monotonicMs();
      await waitForRecords(this.#broker, this.#caller, {
        ...this.#of,
        partitions: this.#followed,
        waitMsMax: waitMs,
      });
      if (this.#caller.signal.aborted) break;
      if (clock.monotonicMs() - startMs < waitMs) return true;
      if (quietMsMax !== undefined) return false;
    }
    return false;
  }

  /**
   * The next records, when there are some. One call at a time.
   *
   * @param bounds instead of those the tail was made with; `isNow`: a batch without records where there are none yet
   * @returns null at the end; a refusal is the last thing before it
   */
  async next(
    bounds: {
      readonly bytesMax?: number;
      readonly recordsMax?: number;
      readonly isNow?: boolean;
    } = {},
  ): Promise<Outcome<TailBatch> | null> {
    const { isolation } = this.#options;
    const quietMsMax = bounds.isNow === true ? 0 : this.#options.quietMsMax;
    const { clock } = this.#runtime;
    const startMs = clock.monotonicMs();
    while (!this.#isEnded) {
      if (this.#caller.signal.aborted) break;
      const leftMs =
        quietMsMax === undefined ? WAIT_MS : startMs + quietMsMax - clock.monotonicMs();
      const asked = [...this.#line];
      const outcomes = await fetchRecords(this.#broker, this.#runtime, this.#caller, {
        ...this.#of,
        partitions: asked,
        waitMsMax: Math.max(0, Math.min(leftMs, WAIT_MS)),
        bytesMax: bounds.bytesMax ?? this.#options.bytesMax ?? MIB,
        recordsMax: bounds.recordsMax ?? this.#options.recordsMax ?? RECORDS_MAX,
        ...(isolation === undefined ? {} : { isolation }),
      });
      // Whoever has gone is given nothing, and positions stay.
      if (this.#caller.signal.aborted) break;
      const batch = this.#take(asked, outcomes);
      if (batch !== null) return batch;
      if (quietMsMax !== undefined && clock.monotonicMs() - startMs >= quietMsMax) {
        return ok({ records: [], positions: this.positions, isBehind: false });
      }
    }
    this.#isEnded = true;
    return null;
  }

  /** The batches one after the other; a refusal is the last. Leaving the loop ends the tail. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Outcome<TailBatch>, void, undefined> {
    try {
      for (;;) {
        const batch = await this.next();
        if (batch === null) return;
        yield batch;
      }
    } finally {
      this.#isEnded = true;
    }
  }

  /** What came, with positions moved over it; null when that is nothing. */
  #take(
    asked: readonly Followed[],
    outcomes: Awaited<ReturnType<typeof fetchRecords>>,
  ): Outcome<TailBatch> | null {
    const records: GatewayRecord[] = [];
    const given: Followed[] = [];
    let refusal: Outcome<TailBatch> | null = null;
    let isBehind = false;
    for (let i = 0; i < asked.length; i++) {
      const outcome = outcomes[i]!;
      const followed = asked[i]!;
      if (!outcome.ok) {
        refusal ??= about(followed, outcome);
        continue;
      }
      followed.offset = outcome.value.nextOffset;
      if (followed.offset < outcome.value.highWatermark) isBehind = true;
      if (outcome.value.records.length === 0) continue;
      given.push(followed);
      for (const record of outcome.value.records) records.push(record);
    }
    if (records.length > 0) {
      this.#line = [...asked.filter((each) => !given.includes(each)), ...given];
      // A refusal comes again with the next call.
      return ok({ records, positions: this.positions, isBehind });
    }
    if (refusal !== null) this.#isEnded = true;
    return refusal;
  }
}

function about(
  { partition, offset }: Followed,
  refusal: Outcome<unknown> & { readonly ok: false },
): Outcome<TailBatch> {
  const message = `Partition ${partition} at offset ${offset}: ${refusal.error.message}`;
  return { ok: false, error: { ...refusal.error, message } };
}
