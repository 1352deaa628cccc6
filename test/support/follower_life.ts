// The life of a follower's log, drawn from a seed, and every state that it has been in: what a crash leaves has to be one of
// those between what was durable and what was begun. Model: a list of batches, cut and added to.

import { expect } from "bun:test";
import type { SeededRandom } from "../../src/base/prng.ts";
import type { StoragePlugin } from "../../src/contracts/storage.ts";
import { LeaderEpochs } from "../../src/core/log/leader_epochs.ts";
import type { PartitionLog } from "../../src/core/log/partition_log.ts";
import type { ReplicaLogs } from "../../src/core/log/replica_logs.ts";
import {
  attributesAt,
  baseOffsetAt,
  CONTROL_BIT,
  lastOffsetAt,
  leaderEpochAt,
  maxTimestampAt,
  patchBaseOffset,
  patchLeaderEpoch,
  producerIdAt,
  recordCountAt,
  TRANSACTIONAL_BIT,
} from "../../src/record/batch_header.ts";
import {
  buildEndTransactionMarker,
  CONTROL_ABORT,
  CONTROL_COMMIT,
  readControlBatch,
} from "../../src/record/control_record.ts";
import { batchesIn, RecordBatch } from "../../src/record/record_batch.ts";
import { batchOf, LogRig, type RigOptions, topic } from "./log_rig.ts";

export const FOLLOWED = topic("t");

/** Small files, so that a short life has many of them, and segments. */
export const FOLLOWER_RIG: RigOptions = {
  replicates: () => true,
  journalFileBytes: 2048,
  journalBytesMax: 0,
  grownBytes: 600,
  topics: [topic("t", 1, { "internal.segment.bytes": "2048" })],
};

/** What a log holds. */
interface Content {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly batches: readonly Uint8Array[];
  readonly epochs: LeaderEpochs["starts"];
  /** Newest high watermark that was told until then. */
  readonly highWatermark: number;
}

interface Step {
  readonly what: string;
  readonly content: Content;
  readonly begunAt: number;
  /** When it was durable; infinite before. */
  durableAt: number;
}

export class FollowerLife {
  readonly steps: Step[] = [];
  readonly #plugin: () => StoragePlugin;
  readonly #random: SeededRandom;
  readonly #now: () => number;
  #rig!: LogRig;
  #log!: PartitionLog;
  #replicas!: ReplicaLogs;
  #batches: Uint8Array[] = [];
  #epochs = new LeaderEpochs();
  #startOffset = 0;
  #endOffset = 0;
  #highWatermark = 0;
  #epoch = 0;
  readonly #sequences = new Map<number, number>();

  /** @param now The point of the recording that is now. */
  constructor(plugin: () => StoragePlugin, random: SeededRandom, now: () => number) {
    this.#plugin = plugin;
    this.#random = random;
    this.#now = now;
  }

  async live(count: number): Promise<void> {
    await this.#open();
    this.steps.push({ what: "made", content: this.#content(), begunAt: 0, durableAt: 0 });
    for (let left = count; left > 0; left--) await this.#one();
    await this.#rig.logs.journal.flush();
    this.#allDurable();
    await this.#rig.close();
  }

  /** What a log opened after a crash at `point` breaks; null when it is as it was at a time that is allowed. */
  async brokenIn(rig: LogRig, point: number): Promise<string | null> {
    const log = rig.logs.log(FOLLOWED.id, 0)!;
    const found = await told(rig, log);
    let last = this.steps.length - 1;
    while (this.steps[last]!.begunAt > point) last--;
    const tried: string[] = [];
    let nearest = "";
    let highWatermark = 0;
    for (let i = last; i >= 0; i--) {
      const { what, content, durableAt } = this.steps[i]!;
      tried.push(what);
      if (content.endOffset === log.logEndOffset) nearest ||= toldOf(content);
      highWatermark = Math.max(highWatermark, content.highWatermark);
      if (found === toldOf(content)) {
        // What is taken for committed was told to be, then or later.
        for (let k = i; k >= 0; k--) {
          highWatermark = Math.max(highWatermark, this.steps[k]!.content.highWatermark);
        }
        if (log.highWatermark <= Math.max(highWatermark, log.logStartOffset)) {
          return wrongStableOffset(log, content);
        }
        return `the high watermark is ${log.highWatermark}, and was ${highWatermark}`;
      }
      if (durableAt <= point) break;
    }
    return `none of ${tried.join(", ")}: ${found.slice(0, 400)} and not ${nearest.slice(0, 400)}`;
  }

  async #open(): Promise<void> {
    this.#rig = await LogRig.open(this.#plugin(), FOLLOWER_RIG);
    this.#log = this.#rig.logs.log(FOLLOWED.id, 0)!;
    this.#replicas = await this.#rig.logs.replicaLogs();
  }

  async #one(): Promise<void> {
    const random = this.#random;
    const log = this.#log;
    const draw = random.below(24);
    if (draw < 12) {
      for (let left = 1 + random.below(4); left > 0; left--) this.#append();
      if (random.below(2) === 0) await this.#flushed();
    } else if (draw < 15) {
      // A leader's is where a batch ends.
      const ends = this.#batches.map((bytes) => lastOffsetAt(bytes, 0) + 1);
      const wanted = log.highWatermark + random.below(20);
      log.advanceHighWatermark(ends.findLast((end) => end <= wanted) ?? 0);
      this.#highWatermark = Math.max(this.#highWatermark, log.highWatermark);
      this.steps.push({ ...this.steps.at(-1)!, content: this.#content() });
    } else if (draw < 17) {
      await this.#rig.logs.maintain(false);
    } else if (draw === 17) {
      await this.#cut();
      await this.#compare();
    } else if (draw === 18) {
      // Settling is under way while the end goes.
      const settling = this.#rig.logs.maintain(false);
      for (let turns = random.below(30); turns > 0; turns--) await Promise.resolve();
      await this.#cut();
      await settling;
      await this.#compare();
    } else if (draw === 19) {
      this.#epoch++;
      log.beginEpoch(this.#epoch);
      this.#epochs.assign(this.#epoch, this.#endOffset);
      this.#step(`epoch ${this.#epoch}`);
    } else if (draw === 20) {
      const to = this.#endOffset + 1 + random.below(5);
      this.#replicas.fillTo(log, to);
      this.#take(fillOf(this.#endOffset, to, Math.max(this.#epochs.latest, 0)));
      this.#step(`filled to ${to}`);
    } else if (draw === 21 && random.below(3) === 0) {
      await this.#startAnew();
    } else if (draw === 22) {
      await this.#followStart();
    } else if (draw === 23) {
      await this.#rig.close();
      this.#allDurable();
      await this.#open();
    }
  }

  async #compare(): Promise<void> {
    const { length } = this.steps;
    expect([length, await told(this.#rig, this.#log)]).toEqual([length, toldOf(this.#content())]);
  }

  #append(): void {
    const random = this.#random;
    const offset = this.#endOffset;
    const producerId = random.below(4) - 1;
    const values = Array.from({ length: 1 + random.below(3) }, (_, i) => `${offset} ${i}`);
    const isMarker = producerId > 0 && random.below(3) === 0;
    let bytes: Uint8Array;
    if (isMarker) {
      bytes = buildEndTransactionMarker({
        type: random.below(2) === 0 ? CONTROL_ABORT : CONTROL_COMMIT,
        producerId,
        producerEpoch: 0,
        coordinatorEpoch: 0,
        timestampMs: 1,
        baseOffset: offset,
        leaderEpoch: this.#epoch,
      });
    } else {
      const baseSequence = this.#sequences.get(producerId) ?? 0;
      const isTransactional = producerId > 0;
      const from = { producerId, producerEpoch: 0, baseSequence, isTransactional };
      const timestampMs = 1_700_000_000_000 + random.below(1_000_000);
      bytes = batchOf(values, { timestampMs, ...(producerId < 0 ? {} : from) });
      if (producerId >= 0) this.#sequences.set(producerId, baseSequence + values.length);
      patchBaseOffset(bytes, 0, offset);
      patchLeaderEpoch(bytes, 0, this.#epoch);
    }
    const verdict = this.#replicas.append(this.#log, bytes);
    expect([this.steps.length, verdict.kind]).toEqual([this.steps.length, "appended"]);
    this.#take(bytes);
    const step = this.#step(`appended ${offset}`);
    if (verdict.kind === "appended") {
      void verdict.group!.settled().then((isDone) => {
        if (isDone) step.durableAt = Math.min(step.durableAt, this.#now());
      });
    }
  }

  async #cut(): Promise<void> {
    const random = this.#random;
    const { highWatermark, logStartOffset } = this.#log;
    const lowest = random.below(3) === 0 ? logStartOffset : Math.max(highWatermark, logStartOffset);
    const to = lowest + random.below(this.#endOffset - lowest + 1);
    const kept = this.#batches.filter((bytes) => lastOffsetAt(bytes, 0) < to);
    const end = kept.length === 0 ? this.#startOffset : lastOffsetAt(kept.at(-1)!, 0) + 1;
    this.#epoch++;
    if (to >= this.#endOffset) return;
    this.#batches = kept;
    this.#endOffset = Math.max(end, this.#startOffset);
    this.#epochs.truncateFromEnd(this.#endOffset);
    const step = this.#step(`cut to ${to}`);
    const verdict = await this.#replicas.truncateTo(this.#log, to);
    expect([this.steps.length, verdict]).toEqual([
      this.steps.length,
      { kind: "cut", endOffset: this.#endOffset },
    ]);
    step.durableAt = this.#now();
  }

  async #startAnew(): Promise<void> {
    this.#startOffset = this.#endOffset + this.#random.below(9);
    this.#endOffset = this.#startOffset;
    this.#batches = [];
    this.#epochs = new LeaderEpochs();
    this.#sequences.clear();
    const step = this.#step(`anew at ${this.#startOffset}`);
    const verdict = await this.#replicas.startAnewAt(this.#log, this.#startOffset);
    expect(verdict.kind).toBe("cut");
    step.durableAt = this.#now();
  }

  async #followStart(): Promise<void> {
    const { logStartOffset, highWatermark } = this.#log;
    const to = logStartOffset + this.#random.below(highWatermark - logStartOffset + 1);
    if (to === logStartOffset) return;
    this.#startOffset = to;
    this.#epochs.truncateFromStart(to);
    this.#batches = this.#batches.filter((bytes) => lastOffsetAt(bytes, 0) >= to);
    const step = this.#step(`starts at ${to}`);
    expect(await this.#rig.logs.followStart(this.#log, to)).toBe(true);
    step.durableAt = this.#now();
  }

  async #flushed(): Promise<void> {
    const { length } = this.steps;
    await this.#rig.logs.journal.flush();
    for (let i = 0; i < length; i++) {
      this.steps[i]!.durableAt = Math.min(this.steps[i]!.durableAt, this.#now());
    }
  }

  #allDurable(): void {
    for (const step of this.steps) step.durableAt = Math.min(step.durableAt, this.#now());
  }

  #take(bytes: Uint8Array): void {
    this.#batches = [...this.#batches, bytes];
    this.#endOffset = lastOffsetAt(bytes, 0) + 1;
    this.#epochs.assign(leaderEpochAt(bytes, 0), baseOffsetAt(bytes, 0));
  }

  #content(): Content {
    return {
      startOffset: this.#startOffset,
      endOffset: this.#endOffset,
      batches: this.#batches,
      epochs: [...this.#epochs.starts],
      highWatermark: this.#highWatermark,
    };
  }

  #step(what: string): Step {
    const step: Step = {
      what,
      content: this.#content(),
      begunAt: this.#now(),
      durableAt: Number.POSITIVE_INFINITY,
    };
    this.steps.push(step);
    return step;
  }
}

/** An empty batch as far as it is compared. */
function fillOf(start: number, end: number, epoch: number): Uint8Array {
  const bytes = batchOf(["-"]);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  patchBaseOffset(bytes, 0, start);
  patchLeaderEpoch(bytes, 0, epoch);
  view.setInt32(LAST_DELTA_AT, end - start - 1);
  view.setInt32(COUNT_AT, 0);
  return bytes;
}

const LAST_DELTA_AT = 23;
const COUNT_AT = 57;

/** Of a transaction: who, from where, up to which marker. */
type Span = readonly [producerId: number, firstOffset: number, markerOffset: number];

/** What the batches say of transactions. */
function transactionsIn(batches: readonly Uint8Array[]) {
  const open = new Map<number, number>();
  const aborted: Span[] = [];
  const ended: Span[] = [];
  for (const bytes of batches) {
    const producerId = producerIdAt(bytes, 0);
    const attributes = attributesAt(bytes, 0);
    const offset = baseOffsetAt(bytes, 0);
    if (producerId < 0 || (attributes & TRANSACTIONAL_BIT) === 0) continue;
    if ((attributes & CONTROL_BIT) === 0) {
      if (!open.has(producerId)) open.set(producerId, offset);
      continue;
    }
    const first = open.get(producerId);
    open.delete(producerId);
    if (first !== undefined) ended.push([producerId, first, offset]);
    const said = readControlBatch(new RecordBatch(bytes, 0, bytes.length));
    if (first !== undefined && said?.type === CONTROL_ABORT) {
      aborted.push([producerId, first, offset]);
    }
  }
  const left = [...open].map(([id, first]): Span => [id, first, -1]);
  return { open: left, aborted, ended };
}

const textOf = (bytes: Uint8Array) =>
  recordCountAt(bytes, 0) === 0
    ? `${baseOffsetAt(bytes, 0)}-${lastOffsetAt(bytes, 0)} empty`
    : `${baseOffsetAt(bytes, 0)}-${lastOffsetAt(bytes, 0)} ${leaderEpochAt(bytes, 0)} ${Buffer.from(bytes.subarray(61)).toString("hex").slice(0, 60)}`;

/** Text of everything that has to be right of a log that holds these. */
function toldOf({ startOffset, endOffset, batches, epochs }: Content): string {
  const { aborted } = transactionsIn(batches);
  return JSON.stringify({
    startOffset,
    endOffset,
    epochs,
    aborted: aborted.map(abortedText),
    batches: batches.map(textOf),
  });
}

function isOfTransaction(bytes: Uint8Array, producerId: number): boolean {
  const kind = attributesAt(bytes, 0) & (TRANSACTIONAL_BIT | CONTROL_BIT);
  return producerIdAt(bytes, 0) === producerId && kind === TRANSACTIONAL_BIT;
}

const abortedText = ([producerId, first, marker]: Span) => `${producerId} ${first} to ${marker}`;

/** What a reader of committed transactions may see while the high watermark rises: none whose marker is not below it. */
function wrongStableOffset(log: PartitionLog, { batches, startOffset }: Content): string | null {
  const { open, ended } = transactionsIn(batches);
  for (const bytes of batches) {
    log.advanceHighWatermark(lastOffsetAt(bytes, 0) + 1);
    const { highWatermark } = log;
    let stable = highWatermark;
    for (const [, first] of open) stable = Math.min(stable, first);
    for (const [, first, marker] of ended) {
      if (marker >= highWatermark) stable = Math.min(stable, first);
    }
    const isLast = highWatermark === log.logEndOffset && startOffset === 0;
    const found = log.lastStableOffset;
    if (found > Math.max(stable, startOffset) || (isLast && found < stable)) {
      return `${found} is the stable offset at ${highWatermark}, and should be ${stable}`;
    }
  }
  return null;
}

/** Segments name their newest record, or one before it that is to be looked from; what retention took may have been newer. */
function wrongTimestamp(log: PartitionLog, batches: readonly Uint8Array[]): string | null {
  for (const [i, segment] of log.segments.entries()) {
    const { baseOffset, maxTimestampMs, maxTimestampOffset } = segment;
    const end = log.segmentEnd(i);
    const inIt = batches.filter(
      (bytes) => baseOffsetAt(bytes, 0) >= baseOffset && baseOffsetAt(bytes, 0) < end,
    );
    const newest = Math.max(-1, ...inIt.map((bytes) => maxTimestampAt(bytes, 0)));
    if (newest > maxTimestampMs) return `${newest} in the segment of ${baseOffset} is newer`;
    if (maxTimestampOffset > baseOffset && maxTimestampOffset >= end) {
      return `the newest of the segment of ${baseOffset} lies at ${maxTimestampOffset}, behind its end`;
    }
    if (baseOffset < log.logStartOffset || newest === maxTimestampMs) continue;
    return `nothing in the segment of ${baseOffset} is as new as ${maxTimestampMs}`;
  }
  return null;
}

async function told(rig: LogRig, log: PartitionLog): Promise<string> {
  const batches: Uint8Array[] = [];
  const { logStartOffset: startOffset, logEndOffset: endOffset } = log;
  for (let offset = startOffset; offset < endOffset; ) {
    const read = await rig.logs.reader.read(log, offset, endOffset, 4096, true);
    if (read.fault !== null || read.buffer === null) return `${offset} is ${read.fault}`;
    for (const { position, sizeBytes, lastOffset } of batchesIn(read.batches).batches) {
      batches.push(read.batches.slice(position, position + sizeBytes));
      offset = lastOffset + 1;
    }
    rig.logs.reader.release(read);
  }
  const collected = await rig.logs.aborted.collect(log, startOffset, endOffset);
  if (typeof collected === "string") return `what was aborted is ${collected}`;
  // Of one whose first records are gone it is the first that is left which counts; with none left it hides nothing.
  const aborted = collected
    .map(({ producerId, firstOffset, lastOffset }): Span => {
      const first = batches.find(
        (bytes) => isOfTransaction(bytes, producerId) && baseOffsetAt(bytes, 0) >= firstOffset,
      );
      const at = first === undefined ? Number.POSITIVE_INFINITY : baseOffsetAt(first, 0);
      return [producerId, at, lastOffset];
    })
    .filter(([, first, marker]) => first < marker)
    .sort((a, b) => a[2] - b[2]);
  const wrong = wrongTimestamp(log, batches);
  if (wrong !== null) return wrong;
  return JSON.stringify({
    startOffset,
    endOffset,
    epochs: log.epochs.starts,
    aborted: aborted.map(abortedText),
    batches: batches.map(textOf),
  });
}
