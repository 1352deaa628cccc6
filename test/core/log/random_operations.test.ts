// Thousands of random operations against a plain model of what a log is, over storage whose calls take a
// random while; readers look on all the time. One seed, one run: MILLRACE_TEST_SEEDS=100 tries more.

import { describe, expect, test } from "bun:test";
import process from "node:process";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import type { TopicImage } from "../../../src/core/cluster/image.ts";
import { batchesIn } from "../../../src/record/record_batch.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { batchOf, caller, LogRig, topic } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";

const OPTIONS = { journalFileBytes: 64 * 1024, journalBytesMax: 96 * 1024 };
const PARTITIONS = 2;

interface ModelBatch {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly bytes: Uint8Array;
}

interface ModelProducer {
  epoch: number;
  /** Of the newest batches, oldest first: what the client sent, and where it went. */
  sent: { readonly bytes: Uint8Array; readonly baseOffset: number }[];
  nextSequence: number;
}

class ModelLog {
  start = 0;
  /** Acknowledged. */
  ackedEnd = 0;
  batches: ModelBatch[] = [];
  producers = new Map<number, ModelProducer>();

  get end(): number {
    return this.batches.at(-1)?.endOffset ?? this.floor;
  }
  /** End when there are no batches. */
  floor = 0;

  /** Lowest offset that an acknowledged deletion allows. */
  startAcked = 0;
}

class Walk {
  readonly random: SeededRandom;
  readonly memory = storageMemory();
  rig!: LogRig;
  topics: TopicImage[];
  readonly models = new Map<string, ModelLog>();
  readonly running = new Set<Promise<void>>();
  generation = 0;
  #made = 0;
  #values = 0;
  counts: Record<string, number> = {};

  constructor(seed: number) {
    this.random = SeededRandom.of(`operations ${seed}`);
    this.topics = ["grown", "small", "fleeting"].map((name) => this.#make(name));
  }

  #make(name: string): TopicImage {
    const configs = { "segment.ms": "600000", "retention.ms": "7200000" };
    const made = topic(name, PARTITIONS, name === "small" ? {} : configs);
    const image = {
      ...made,
      id: `${made.id.slice(0, 17)}${String(this.#made++).padStart(4, "0")}A`,
    };
    for (let p = 0; p < PARTITIONS; p++) this.models.set(`${image.id}/${p}`, new ModelLog());
    return image;
  }

  async open(): Promise<void> {
    const slow = SeededRandom.of(`delays ${this.generation}`);
    const plugin = hookedStorage(this.memory, (call) => {
      if (call === "open" || call === "list" || slow.below(3) > 0) return undefined;
      return turns(slow.below(3));
    });
    const { test } = this.rig ?? {};
    this.rig = await LogRig.open(plugin, {
      ...OPTIONS,
      topics: this.topics,
      ...(test === undefined ? {} : { test }),
    });
    this.generation++;
    this.#reconcile();
  }

  /** After a start: what was not acknowledged may be there or not, whole batches of it in order. */
  #reconcile(): void {
    for (const { id, name } of this.topics) {
      for (let p = 0; p < PARTITIONS; p++) {
        const model = this.model(id, p);
        const status = this.rig.logs.status(id, p)!;
        const where = `${name}/${p}`;
        if (status.highWatermark < model.ackedEnd)
          throw new Error(`${where} lost acknowledged batches`);
        if (status.highWatermark > model.end) throw new Error(`${where} has more than was sent`);
        if (status.logStartOffset < model.startAcked)
          throw new Error(`${where} has deleted batches back`);
        model.batches = model.batches.filter((each) => each.endOffset <= status.highWatermark);
        if (model.batches.length > 0 || model.floor < status.highWatermark) {
          expect(model.end).toBe(status.highWatermark);
        }
        model.floor = status.highWatermark;
        model.ackedEnd = status.highWatermark;
        this.start(model, status.logStartOffset, true);
        for (const [producerId, producer] of model.producers) {
          producer.sent = producer.sent.filter((each) => each.baseOffset < status.highWatermark);
          const known = this.rig.logs
            .activeProducers(id, p)!
            .find((each) => each.producerId === producerId);
          if (known === undefined) {
            if (producer.sent.length > 0) throw new Error(`${where} forgot a producer`);
            model.producers.delete(producerId);
            continue;
          }
          producer.epoch = known.producerEpoch;
          producer.nextSequence = known.lastSequence + 1;
        }
      }
    }
  }

  start(model: ModelLog, offset: number, isAcked: boolean): void {
    if (offset < model.start && !isAcked) throw new Error("the start went back");
    model.floor = Math.max(model.floor, model.end);
    model.start = offset;
    if (isAcked) model.startAcked = Math.max(model.startAcked, offset);
    // Until the deletion is acknowledged, a power loss may bring them back.
    model.batches = model.batches.filter((each) => each.endOffset > model.startAcked);
  }

  model(id: string, partition: number): ModelLog {
    return this.models.get(`${id}/${partition}`)!;
  }

  any(): { image: TopicImage; partition: number; model: ModelLog } {
    const image = this.topics[this.random.below(this.topics.length)]!;
    // The first partition of the first topic is the busy one.
    const isBusy = this.random.below(2) === 0;
    const partition = isBusy ? 0 : this.random.below(PARTITIONS);
    const chosen = isBusy ? this.topics[0]! : image;
    return { image: chosen, partition, model: this.model(chosen.id, partition) };
  }

  #run(kind: string, work: Promise<void>): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    const running = work.finally(() => this.running.delete(running));
    this.running.add(running);
  }

  async idle(): Promise<void> {
    while (this.running.size > 0) await Promise.all(this.running);
  }

  step(): void {
    const draw = this.random.below(100);
    if (draw < 35) this.#append();
    else if (draw < 50) this.#appendIdempotent();
    else if (draw < 56) this.#appendBad();
    else if (draw < 84) this.#run("fetch", this.#fetch());
    else if (draw < 88) this.#run("deleteRecords", this.#deleteRecords());
    else if (draw < 96) this.#run("maintain", this.rig.logs.maintain(false));
    else this.rig.test.wallMs += this.random.below(120_000);
  }

  #values_(): string[] {
    return Array.from({ length: 1 + this.random.below(4) }, () =>
      `${this.#values++} `.padEnd(
        20 + this.random.below(this.random.below(6) === 0 ? 9000 : 300),
        "v",
      ),
    );
  }

  #send(
    target: { image: TopicImage; partition: number; model: ModelLog },
    bytes: Uint8Array,
    count: number,
    kind: string,
  ): number {
    const { image, partition, model } = target;
    const baseOffset = model.end;
    const answer = this.rig.append(bytes, image.name, partition);
    model.batches.push({ baseOffset, endOffset: baseOffset + count, bytes });
    const { generation } = this;
    this.#run(
      kind,
      answer.then((outcome) => {
        if (!outcome.ok) {
          if (generation === this.generation && this.rig.logs.isOnline) {
            throw new Error(`refused: ${outcome.error.code} ${outcome.error.message}`);
          }
          return;
        }
        expect(outcome.value.baseOffset).toBe(baseOffset);
        if (this.topics.includes(image)) {
          model.ackedEnd = Math.max(model.ackedEnd, baseOffset + count);
          const { highWatermark } = this.rig.logs.status(image.id, partition)!;
          if (generation === this.generation)
            expect(highWatermark).toBeGreaterThanOrEqual(baseOffset + count);
        }
      }),
    );
    return baseOffset;
  }

  #append(): void {
    const values = this.#values_();
    const bytes = batchOf(values, { timestampMs: this.rig.test.wallMs });
    this.#send(this.any(), bytes, values.length, "append");
  }

  #appendIdempotent(): void {
    const target = this.any();
    const producerId = this.random.below(3);
    const producer = target.model.producers.get(producerId) ?? {
      epoch: 0,
      sent: [],
      nextSequence: 0,
    };
    target.model.producers.set(producerId, producer);
    if (producer.sent.length > 0 && this.random.below(3) === 0) {
      // One of the last five again: its first answer again.
      const again = producer.sent[this.random.below(producer.sent.length)]!;
      const { image, partition } = target;
      this.#run(
        "duplicate",
        this.rig.append(again.bytes.slice(), image.name, partition).then((outcome) => {
          if (outcome.ok) expect(outcome.value.baseOffset).toBe(again.baseOffset);
          else
            expect(["kafka_storage_error", "unknown_topic_or_partition"]).toContain(
              outcome.error.code,
            );
        }),
      );
      expect(this.rig.logs.status(image.id, partition)!.logEndOffset).toBe(target.model.end);
      return;
    }
    if (this.random.below(8) === 0 && producer.sent.length > 0) {
      producer.epoch++;
      producer.nextSequence = 0;
      producer.sent = [];
    }
    const values = this.#values_();
    const bytes = batchOf(values, {
      timestampMs: this.rig.test.wallMs,
      producerId,
      producerEpoch: producer.epoch,
      baseSequence: producer.nextSequence,
    });
    const sent = bytes.slice();
    producer.nextSequence += values.length;
    const baseOffset = this.#send(target, bytes, values.length, "idempotent");
    producer.sent.push({ bytes: sent, baseOffset });
    if (producer.sent.length > 5) producer.sent.shift();
  }

  #appendBad(): void {
    const { image, partition, model } = this.any();
    const kind = this.random.below(4);
    let bytes = batchOf(["bad"], { timestampMs: this.rig.test.wallMs });
    let expected = "corrupt_message";
    if (kind === 0) bytes[bytes.length - 1]! ^= 4;
    const producer = model.producers.get(0);
    if (kind === 1) {
      if (producer === undefined || producer.sent.length === 0) return;
      expected = "out_of_order_sequence_number";
      bytes = batchOf(["gap"], {
        producerId: 0,
        producerEpoch: producer.epoch,
        baseSequence: producer.nextSequence + 1 + this.random.below(50),
      });
    } else if (kind === 2) {
      if (producer === undefined || producer.sent.length === 0 || producer.epoch === 0) return;
      expected = "invalid_producer_epoch";
      bytes = batchOf(["old"], {
        producerId: 0,
        producerEpoch: producer.epoch - 1,
        baseSequence: producer.nextSequence,
      });
    } else if (kind === 3) {
      expected = "invalid_record";
      bytes = bytes.slice(0, 61 + this.random.below(5));
    }
    this.#run(
      "bad",
      this.rig.append(bytes, image.name, partition).then((outcome) => {
        if (outcome.ok) throw new Error(`a bad batch (${expected}) was taken`);
        expect([expected, "kafka_storage_error"]).toContain(outcome.error.code);
      }),
    );
    expect(this.rig.logs.status(image.id, partition)!.logEndOffset).toBe(model.end);
  }

  async #fetch(): Promise<void> {
    const { rig, generation } = this;
    const wanted = Array.from({ length: 1 + this.random.below(3) }, () => {
      const { image, partition, model } = this.any();
      const offset = Math.max(0, model.start - 2 + this.random.below(model.end - model.start + 5));
      return { image, partition, model, offset, startBefore: model.start, endBefore: model.end };
    });
    const bytesMax = [1, 500, 20_000, 300_000][this.random.below(4)]!;
    const response = await rig.api.fetch(caller, {
      isolation: "read_uncommitted",
      waitMsMax: 0,
      bytesMin: 1,
      bytesMax: bytesMax * 2,
      partitions: wanted.map(({ image, partition, offset }) => ({
        topic: image.name,
        partition,
        fetchOffset: offset,
        bytesMax,
        leaderEpoch: -1,
      })),
    });
    await turns(generation % 3);
    let isFirst = true;
    for (const [
      i,
      { image, model, offset, startBefore, endBefore, partition },
    ] of wanted.entries()) {
      const outcome = response.partitions[i]!;
      if (!rig.logs.isOnline || generation !== this.generation || !this.topics.includes(image))
        continue;
      if (!outcome.ok) {
        expect(outcome.error.code).toBe("offset_out_of_range");
        if (offset >= model.start && offset <= endBefore && offset >= startBefore) {
          throw new Error(`offset ${offset} is in range of ${image.name}/${partition}`);
        }
        continue;
      }
      let next = -1;
      let sizeBytes = 0;
      for (const batch of outcome.value.batches.flatMap((bytes) => batchesIn(bytes).batches)) {
        if (next < 0) {
          if (batch.baseOffset > offset || batch.lastOffset < offset)
            throw new Error("the wrong batch first");
        } else if (batch.baseOffset !== next) throw new Error("batches do not follow each other");
        next = batch.lastOffset + 1;
        if (next > outcome.value.highWatermark) throw new Error("served past the high watermark");
        const known = model.batches.find((each) => each.baseOffset === batch.baseOffset);
        // It may have been deleted since.
        if (known === undefined && next > model.start)
          throw new Error(
            `unknown batch ${batch.baseOffset} to ${next} of ${image.name}/${partition}: asked ${offset}, start ${startBefore} to ${model.start}, end ${endBefore} to ${model.end}; ${JSON.stringify(model.batches.filter((b) => b.endOffset > 415 && b.baseOffset < 435).map((b) => [b.baseOffset, b.endOffset]))} ${JSON.stringify(this.counts)}`,
          );
        if (known !== undefined && !isEqual(known.bytes, batch.view()))
          throw new Error("other bytes");
        sizeBytes += batch.sizeBytes;
      }
      if (sizeBytes === 0 && offset < outcome.value.highWatermark && isFirst) {
        throw new Error(`nothing at ${offset}, below the high watermark`);
      }
      if (sizeBytes > 0) isFirst = false;
    }
    response.release();
  }

  async #deleteRecords(): Promise<void> {
    const { image, partition, model } = this.any();
    const { highWatermark } = this.rig.logs.status(image.id, partition)!;
    const offset = this.random.below(6) === 0 ? -1 : model.start + this.random.below(12) * 3;
    const { generation } = this;
    const deleting = this.rig.logs.deleteRecords(image.id, partition, offset);
    const moved = this.rig.logs.status(image.id, partition)!.logStartOffset;
    if (offset <= highWatermark) {
      expect(moved).toBe(Math.max(model.start, offset === -1 ? highWatermark : offset));
      this.start(model, moved, false);
    }
    const outcome = await deleting;
    if (!outcome.ok) {
      if (outcome.code === "offset_out_of_range") expect(offset).toBeGreaterThan(highWatermark);
      else expect(generation !== this.generation || !this.rig.logs.isOnline).toBe(true);
    } else if (this.topics.includes(image)) model.startAcked = Math.max(model.startAcked, moved);
  }

  /** Run alone, since starts move while it runs and the model has to follow. */
  async retention(): Promise<void> {
    await this.idle();
    this.rig.test.wallMs += 3_600_000;
    await this.rig.logs.maintain(true);
    let moved = 0;
    for (const { id } of this.topics) {
      for (let p = 0; p < PARTITIONS; p++) {
        const status = this.rig.logs.status(id, p)!;
        const model = this.model(id, p);
        if (status.logStartOffset === model.start) continue;
        moved++;
        this.start(model, status.logStartOffset, true);
      }
    }
    this.counts["retention"] = (this.counts["retention"] ?? 0) + moved;
  }

  async recreate(): Promise<void> {
    const old = this.topics.pop()!;
    await this.rig.logs.topicDeleted(old);
    const anew = this.#make(old.name);
    this.topics.push(anew);
    const { settings } = this.rig.logs.topicNamed("grown")!.context;
    this.rig.logs.topicChanged(anew, settings);
  }

  async restart(): Promise<void> {
    const kind = this.random.below(4);
    if (kind === 0) {
      await this.idle();
      await this.rig.close();
    } else if (kind === 1) {
      // Stopped in the middle of everything.
      await this.rig.close();
    } else if (kind === 2) await this.rig.storage.close();
    else this.memory.loseUnsynced();
    this.generation++;
    const counts = `restart ${["idle", "clean", "kill", "power"][kind]}`;
    this.counts[counts] = (this.counts[counts] ?? 0) + 1;
    const { pool } = this.rig.logs;
    await settle();
    await this.idle();
    if (kind < 2) expect(pool.lentBytes).toBe(0);
    await this.open();
  }
}

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

async function walk(seed: number, steps: number): Promise<Record<string, number>> {
  const walker = new Walk(seed);
  await walker.open();
  for (let step = 1; step <= steps; step++) {
    walker.step();
    if (walker.random.below(3) === 0) await turns(1);
    if (walker.running.size > 40) await walker.idle();
    if (step % 211 === 0) {
      await walker.retention();
    }
    if (step % 307 === 0) {
      await walker.idle();
      await walker.recreate();
    }
    if (step % 163 === 0) await walker.restart();
    const error = walker.rig.test.lines.find((line) => line.level === "error");
    if (error !== undefined && !isOfAKill(error.event)) {
      throw new Error(`${error.event} ${JSON.stringify(error.fields)}`);
    }
    walker.rig.test.lines.length = 0;
  }
  await walker.idle();
  expect(walker.rig.test.failures).toEqual([]);
  expect(walker.rig.logs.pool.lentBytes).toBe(0);
  await walker.rig.close();
  return walker.counts;
}

/** What a log that lost its store under its feet says. */
function isOfAKill(event: string): boolean {
  return ["log_directory_offline", "log_read_failed", "log_maintenance_failed"].includes(event);
}

describe("random operations", () => {
  test("agree with the model", async () => {
    const seeds = Number(process.env["MILLRACE_TEST_SEEDS"] ?? 3);
    const first = Number(process.env["MILLRACE_TEST_SEED"] ?? 0);
    const seen = new Set<string>();
    for (let seed = first; seed < first + seeds; seed++) {
      try {
        for (const kind of Object.keys(await walk(seed, 1500))) seen.add(kind);
      } catch (error) {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : error}`);
      }
    }
    for (const kind of [
      "append",
      "duplicate",
      "bad",
      "fetch",
      "deleteRecords",
      "maintain",
      "retention",
    ]) {
      expect(seen.has(kind)).toBe(true);
    }
  }, 3_600_000);
});
