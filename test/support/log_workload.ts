// A scripted life of a log folder with a ledger of what was promised when, and the check of the ledger
// against a log that was opened on what a power loss or a kill left.

import { SeededRandom } from "../../src/base/prng.ts";
import type { StoragePlugin } from "../../src/contracts/storage.ts";
import type { TopicImage } from "../../src/core/cluster/image.ts";
import { lastOffsetAt } from "../../src/record/batch_header.ts";
import { batchesIn } from "../../src/record/record_batch.ts";
import { batchOf, LogRig, topic } from "./log_rig.ts";
import { settle, type TestRuntime } from "./test_runtime.ts";

export const RIG = { journalFileBytes: 24 * 1024, journalBytesMax: 0 };

interface Promised {
  /** From this point of the recording on. */
  readonly point: number;
  readonly log: string;
  /** Everything before this offset was acknowledged; or deleted. */
  readonly kind: "end" | "start";
  readonly offset: number;
}

/** A batch of an idempotent producer that was sent, answered or not. */
interface Produced {
  readonly point: number;
  readonly log: string;
  readonly baseOffset: number;
  /** As the client sent it. */
  readonly bytes: Uint8Array;
}

/** Which topics there were from a point on. */
interface Catalog {
  readonly point: number;
  readonly topics: readonly TopicImage[];
}

/** What was issued and promised in a run, by point. */
export class Ledger {
  readonly issued = new Map<string, Map<number, Uint8Array[]>>();
  readonly promises: Promised[] = [];
  readonly produced: Produced[] = [];
  readonly catalogs: Catalog[] = [];
  /** How far a log start offset may have come. */
  readonly startMax = new Map<string, number>();

  copy(): Ledger {
    const copied = new Ledger();
    for (const [log, batches] of this.issued) copied.issued.set(log, new Map(batches));
    copied.promises.push(...this.promises);
    copied.produced.push(...this.produced);
    copied.catalogs.push(...this.catalogs);
    for (const [log, offset] of this.startMax) copied.startMax.set(log, offset);
    return copied;
  }

  issue(log: string, baseOffset: number, bytes: Uint8Array): void {
    const batches = this.issued.get(log) ?? new Map<number, Uint8Array[]>();
    this.issued.set(log, batches);
    batches.set(baseOffset, [...(batches.get(baseOffset) ?? []), bytes]);
  }

  /** Offsets past the end of a log are given to others from now on. */
  forgetProduced(isThere: (log: string, baseOffset: number) => boolean): void {
    const kept = this.produced.filter((each) => isThere(each.log, each.baseOffset));
    this.produced.splice(0, this.produced.length, ...kept);
  }

  topicsAt(point: number): readonly TopicImage[] {
    return this.catalogs.findLast((each) => each.point <= point)?.topics ?? [];
  }
}

const keyOf = (topicId: string, partition: number) => `${topicId}/${partition}`;

/** Where a run of the script is. */
interface Place {
  plugin(): StoragePlugin;
  point(): number;
  /** The process dies; the page cache stays. */
  kill(): void;
  /** What the script is doing, for who drops syncs. */
  phase(name: string): void;
  /** Given at once, for lives that are cut short. */
  begun?(ledger: Ledger): void;
  opened?(rig: LogRig): void;
}

class Run {
  readonly ledger = new Ledger();
  readonly place: Place;
  rig!: LogRig;
  topics: TopicImage[];
  readonly #random = SeededRandom.of("workload");
  #sequences = new Map<string, number>();
  #unpromised: { log: string; offset: number }[] = [];
  #count = 0;

  constructor(place: Place) {
    this.place = place;
    const roll = { "segment.ms": "60000" };
    this.topics = [
      topic("a", 2, roll),
      topic("b", 2, { "millrace.durability": "interval" }),
      topic("m", 1, { "millrace.durability": "memory" }),
      topic("s", 3),
      topic("d", 2),
      topic("r", 1, { ...roll, "retention.ms": "600000" }),
    ];
  }

  async open(test?: TestRuntime): Promise<void> {
    this.ledger.catalogs.push({ point: this.place.point(), topics: [...this.topics] });
    this.rig = await LogRig.open(this.place.plugin(), {
      ...RIG,
      topics: this.topics,
      ...(test === undefined ? {} : { test }),
    });
    this.place.opened?.(this.rig);
    this.ledger.forgetProduced((log, offset) => {
      const [id, partition] = log.split("/") as [string, string];
      const status = this.rig.logs.status(id, Number(partition));
      return status === null || offset < status.highWatermark;
    });
    // What can be read from now on is committed, whoever wrote it.
    for (const each of this.topics) {
      for (let p = 0; p < each.partitionCount; p++) {
        for (const producer of this.rig.logs.activeProducers(each.id, p)!) {
          const name = `${keyOf(each.id, p)} ${producer.producerId}`;
          this.#sequences.set(name, producer.lastSequence + 1);
        }
        const { highWatermark } = this.rig.logs.status(each.id, p)!;
        this.promise(keyOf(each.id, p), "end", highWatermark);
      }
    }
  }

  promise(log: string, kind: Promised["kind"], offset: number): void {
    this.ledger.promises.push({ point: this.place.point(), log, kind, offset });
  }

  named(name: string): TopicImage {
    return this.topics.find((each) => each.name === name)!;
  }

  /** Appends one batch; the promise is written down when the answer is there. */
  append(name: string, partition: number, options: { producer?: number; minute?: number } = {}) {
    const { id, configs } = this.named(name);
    const log = keyOf(id, partition);
    const records = 1 + this.#random.below(3);
    const values = Array.from({ length: records }, () =>
      `${name}${partition} ${this.#count++} `.padEnd(40 + this.#random.below(80), "."),
    );
    const timestampMs = this.rig.test.wallMs + (options.minute ?? 0) * 60_000;
    const sequence = this.#sequences.get(`${log} ${options.producer}`) ?? 0;
    const bytes =
      options.producer === undefined
        ? batchOf(values, { timestampMs })
        : batchOf(values, {
            timestampMs,
            producerId: options.producer,
            producerEpoch: 0,
            baseSequence: sequence,
          });
    if (options.producer !== undefined) {
      this.#sequences.set(`${log} ${options.producer}`, sequence + records);
    }
    const sent = bytes.slice();
    const baseOffset = this.rig.logs.status(id, partition)!.logEndOffset;
    const answer = this.rig.append(bytes, name, partition);
    // Offset and epoch have their place in it by now.
    this.ledger.issue(log, baseOffset, bytes);
    if (options.producer !== undefined) {
      this.ledger.produced.push({ point: this.place.point(), log, baseOffset, bytes: sent });
    }
    return answer.then((outcome) => {
      if (!outcome.ok) throw new Error(outcome.error.code);
      const durability = configs.get("millrace.durability") ?? "fsync";
      if (durability === "fsync") this.promise(log, "end", baseOffset + records);
      else this.#unpromised.push({ log, offset: baseOffset + records });
    });
  }

  /** A few appends at once to everything. */
  async burst(rounds: number, minute = 0): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      const answers: Promise<void>[] = [];
      for (const { name, partitionCount } of this.topics) {
        for (let p = 0; p < partitionCount; p++) {
          if (this.#random.below(3) === 0) continue;
          const options = p === 0 ? { producer: 7, minute } : { minute };
          answers.push(this.append(name, p, options));
        }
      }
      await Promise.all(answers);
    }
  }

  /** The time within which topics of "interval" and "memory" are synced has gone by. */
  async passInterval(): Promise<void> {
    await this.rig.test.advance(60);
    await settle();
    this.promiseAll();
  }

  /** What was acknowledged without a sync has one now. */
  promiseAll(): void {
    if (this.rig.offlineReason !== null) return;
    for (const { log, offset } of this.#unpromised) this.promise(log, "end", offset);
    this.#unpromised = [];
  }

  /** One small append after the other, with the time in between that the filling of a spare takes. */
  async trickle(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      await this.append("s", i % 3, { producer: 8 });
      await this.rig.test.advance(3);
    }
    this.promiseAll();
  }

  async deleteRecords(name: string, partition: number, offset: number): Promise<void> {
    const { id } = this.named(name);
    const deleting = this.rig.logs.deleteRecords(id, partition, offset);
    this.noteStarts(false);
    const outcome = await deleting;
    if (!outcome.ok) throw new Error(outcome.code);
    this.promise(keyOf(id, partition), "start", outcome.logStartOffset);
  }

  async maintain(retention = false): Promise<void> {
    this.place.phase(retention ? "retention" : "maintain");
    await this.rig.logs.maintain(retention);
    const hasFailed = this.rig.test.events("log_maintenance_failed").length > 0;
    this.noteStarts(retention && !hasFailed && this.rig.logs.isOnline);
    if (hasFailed) throw new Error("maintenance");
    this.place.phase("");
  }

  /** @param isDurable The starts that are there now are on disk. */
  noteStarts(isDurable: boolean): void {
    for (const { id, partitionCount } of this.topics) {
      for (let p = 0; p < partitionCount; p++) {
        const { logStartOffset } = this.rig.logs.status(id, p)!;
        this.ledger.startMax.set(keyOf(id, p), logStartOffset);
        if (isDurable) this.promise(keyOf(id, p), "start", logStartOffset);
      }
    }
  }

  async recreate(name: string): Promise<void> {
    const old = this.named(name);
    const anew: TopicImage = { ...old, id: `${old.id.slice(0, -4)}newA`, revision: 2 };
    this.topics = this.topics.filter((each) => each !== old);
    this.ledger.catalogs.push({ point: this.place.point(), topics: [...this.topics] });
    await this.rig.logs.topicDeleted(old);
    this.topics.push(anew);
    this.ledger.catalogs.push({ point: this.place.point(), topics: [...this.topics] });
    const { settings } = this.rig.logs.topicNamed("s")!.context;
    this.rig.logs.topicChanged(anew, settings);
  }
}

/** The whole life. */
export async function liveThrough(place: Place): Promise<Ledger> {
  const run = new Run(place);
  place.begun?.(run.ledger);
  await run.open();
  await run.burst(4);
  await run.passInterval();
  await run.deleteRecords("s", 0, 2);
  await run.trickle(40);
  // One partition grows into segments, others stay small.
  for (let chunk = 0; chunk < 21; chunk++) {
    const answers: Promise<void>[] = [];
    for (let i = 0; i < 50; i++)
      answers.push(run.append("a", 0, { producer: 7, minute: chunk / 8 }));
    answers.push(run.append("s", chunk % 3, { producer: 8 }));
    if (chunk % 4 === 0) answers.push(run.append("b", 1));
    await Promise.all(answers);
  }
  await run.maintain();
  await run.burst(3, 3);
  await run.deleteRecords("a", 0, 700);
  await run.recreate("d");
  await run.burst(3, 4);
  await run.maintain();
  for (let minute = 0; minute < 4; minute++) {
    await Promise.all([run.append("r", 0, { minute: minute * 2 }), run.append("a", 1)]);
  }
  run.rig.test.wallMs += 604_000;
  await run.maintain(true);
  await run.passInterval();
  await run.rig.test.advance(300);
  await run.burst(2);

  // Files that are given up become spares, and spares the next files, which are given up again.
  for (let round = 0; round < 3; round++) {
    await run.trickle(30);
    await run.burst(8, 5);
    await run.deleteRecords("s", round, -1);
    await run.maintain();
  }

  // A clean stop with something written and not synced, and a start.
  await run.append("b", 0);
  const { test } = run.rig;
  place.phase("close");
  await run.rig.close();
  run.promiseAll();
  place.phase("");
  await run.open(test);
  await run.burst(3);
  for (let chunk = 0; chunk < 4; chunk++) {
    const answers: Promise<void>[] = [];
    for (let i = 0; i < 50; i++)
      answers.push(run.append("a", 0, { producer: 7, minute: 5 + chunk }));
    await Promise.all(answers);
  }
  await run.maintain();
  await run.deleteRecords("a", 1, -1);
  await run.burst(1);

  // The process dies with appends on their way, and another one goes on with what the page cache has.
  const lost = [run.append("s", 0, { producer: 8 }), run.append("a", 0, { producer: 7 })];
  for (const answer of lost) answer.catch(() => {});
  for (let turn = 0; turn < 6; turn++) await Promise.resolve();
  place.kill();
  await run.open();
  // And once more, with something written and not synced.
  await run.append("b", 1);
  place.kill();
  place.phase("recovery");
  await run.open();
  place.phase("");
  await run.burst(2, 9);
  await run.trickle(30);
  await run.maintain();
  await run.burst(1, 9);
  run.noteStarts(false);
  place.phase("end");
  return run.ledger;
}

/** Why the log that is open here breaks a promise of the ledger at `point`, or null. */
export async function brokenIn(rig: LogRig, ledger: Ledger, point: number): Promise<string | null> {
  const said = rig.test.lines.find((line) => line.level === "error");
  if (said !== undefined) return `${said.event} ${JSON.stringify(said.fields)}`;
  const ends = new Map<string, number>();
  const starts = new Map<string, number>();
  for (const { point: since, log, kind, offset } of ledger.promises) {
    if (since > point) continue;
    const of = kind === "end" ? ends : starts;
    of.set(log, Math.max(offset, of.get(log) ?? 0));
  }
  const topics = ledger.topicsAt(point);
  for (const each of topics) {
    for (let p = 0; p < each.partitionCount; p++) {
      const log = keyOf(each.id, p);
      const { highWatermark, logStartOffset } = rig.logs.status(each.id, p)!;
      const where = `${each.name}/${p}`;
      if (highWatermark < (ends.get(log) ?? 0)) {
        return `${where} ends at ${highWatermark}, acknowledged was ${ends.get(log)}`;
      }
      if (logStartOffset < (starts.get(log) ?? 0)) {
        return `${where} starts at ${logStartOffset}, deleted was up to ${starts.get(log)}`;
      }
      const startMax = ledger.startMax.get(log);
      if (startMax !== undefined && logStartOffset > startMax) return `${where} starts too late`;
      const wrong = await wrongBatch(rig, each.name, p, ledger.issued.get(log) ?? new Map());
      if (wrong !== null) return `${where}: ${wrong}`;
    }
  }
  return await forgottenProducer(rig, ledger, point, topics);
}

async function wrongBatch(
  rig: LogRig,
  name: string,
  partition: number,
  issued: ReadonlyMap<number, readonly Uint8Array[]>,
): Promise<string | null> {
  const { id } = rig.logs.topicNamed(name)!;
  const { highWatermark, logStartOffset } = rig.logs.status(id, partition)!;
  let next = logStartOffset;
  let isFirst = true;
  while (next < highWatermark) {
    const response = await rig.fetch(next, { topic: name, partition, bytesMax: 256 * 1024 });
    const outcome = response.partitions[0]!;
    if (!outcome.ok) return `${outcome.error.code} at ${next}`;
    if (outcome.value.sizeBytes === 0) return `nothing at ${next}`;
    for (const batch of outcome.value.batches.flatMap((bytes) => batchesIn(bytes).batches)) {
      if (isFirst ? batch.baseOffset > next : batch.baseOffset !== next) {
        return `${batch.baseOffset} instead of ${next}`;
      }
      isFirst = false;
      const view = batch.view();
      const isKnown = (issued.get(batch.baseOffset) ?? []).some((each) => isEqual(each, view));
      if (!isKnown) return `the batch at ${batch.baseOffset} is not what was sent`;
      next = batch.lastOffset + 1;
    }
    response.release();
  }
  return null;
}

async function forgottenProducer(
  rig: LogRig,
  ledger: Ledger,
  point: number,
  topics: readonly TopicImage[],
): Promise<string | null> {
  const newest = new Map<string, Produced>();
  for (const each of ledger.produced) {
    if (each.point > point) continue;
    const [id, partition] = each.log.split("/") as [string, string];
    const status = rig.logs.status(id, Number(partition));
    // The newest one that is there: of those before it, only five are remembered.
    if (status === null || each.baseOffset >= status.highWatermark) continue;
    newest.set(`${each.log} ${producerOf(each.bytes)}`, each);
  }
  for (const { log, baseOffset, bytes } of newest.values()) {
    const found = topics.find((each) => log.startsWith(each.id))!;
    const partition = Number(log.slice(log.indexOf("/") + 1));
    const before = rig.logs.status(found.id, partition)!.logEndOffset;
    const again = await rig.append(bytes.slice(), found.name, partition);
    const isSame = again.ok && again.value.baseOffset === baseOffset;
    if (!isSame || rig.logs.status(found.id, partition)!.logEndOffset !== before) {
      return `the batch at ${baseOffset} of ${found.name}/${partition} sent again is not known: ${JSON.stringify(again)}, the log ends at ${before}`;
    }
  }
  return null;
}

/** Appends to every partition of a log that was just opened, and writes that into the ledger. */
export async function appendToAll(
  rig: LogRig,
  ledger: Ledger,
  point: number,
): Promise<string | null> {
  ledger.forgetProduced((log, offset) => {
    const [id, partition] = log.split("/") as [string, string];
    return offset < (rig.logs.status(id, Number(partition))?.highWatermark ?? 0);
  });
  const answers: Promise<string | null>[] = [];
  for (const each of ledger.topicsAt(point)) {
    for (let p = 0; p < each.partitionCount; p++) {
      const log = keyOf(each.id, p);
      const bytes = batchOf([`after ${point}`, "x".repeat(point % 90)]);
      const baseOffset = rig.logs.status(each.id, p)!.logEndOffset;
      const answer = rig.append(bytes, each.name, p);
      ledger.issue(log, baseOffset, bytes);
      answers.push(
        answer.then((outcome) => {
          if (!outcome.ok) return `${each.name}/${p} takes no more: ${outcome.error.code}`;
          if (!each.configs.has("millrace.durability")) {
            ledger.promises.push({ point, log, kind: "end", offset: lastOffsetAt(bytes, 0) + 1 });
          }
          return null;
        }),
      );
    }
  }
  return (await Promise.all(answers)).find((each) => each !== null) ?? null;
}

function producerOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(47);
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
