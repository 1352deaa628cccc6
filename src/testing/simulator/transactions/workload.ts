// Starts what a plan says: topics, the level of the protocol, writers, loops, readers, somebody who looks on; and says when all
// of it has come to its end.

import type { SeededRandom } from "../../../base/prng.ts";
import { GroupHistory, type GroupPlan } from "../group_history.ts";
import { type History, TopicHistory } from "../history.ts";
import { SimClassicMember } from "../sim_classic_member.ts";
import type { SimClient } from "../sim_client.ts";
import { SimConsumerMember } from "../sim_consumer_member.ts";
import type { MemberOptions } from "../sim_member.ts";
import { createTopic } from "../workload_admin.ts";
import type { World } from "../world.ts";
import { auditTransactions, type Loop } from "./audit.ts";
import {
  type ModelPartition,
  type ModelTopic,
  type SentRecord,
  TransactionModel,
} from "./model.ts";
import { PlainWriter } from "./plain_writer.ts";
import type { LoopPlan, TransactionPlan } from "./plan.ts";
import { TransactionalProducer } from "./producer.ts";
import { Reader } from "./reader.ts";
import { READ_COMMITTED, READ_UNCOMMITTED } from "./reads.ts";
import { Transform } from "./transform.ts";
import { changeLevel, deleteTopic, Watcher } from "./watcher.ts";
import { Writer } from "./writer.ts";

/** Numbers in record values that no other topic of the run has. */
const TOPIC_NUMBERS_FROM = 1000;
const KEYS = 6;
/** Within which all comes to an end once faults have: a time-out, the look for it, a start, and some. */
const BOUND_US = 30_000_000;

export interface WorkloadOptions {
  readonly plan: TransactionPlan;
  readonly world: World;
  readonly history: History;
  readonly random: SeededRandom;
  readonly clientOf: (name: string) => SimClient;
  readonly spawn: (name: string, task: () => Promise<void>) => void;
  /** The faults have ended. */
  readonly mustStop: () => boolean;
}

interface Actor {
  readonly name: string;
  readonly isDone: boolean;
}

export class TransactionWorkload {
  readonly model: TransactionModel;
  readonly #options: WorkloadOptions;
  readonly #topics = new Map<string, ModelTopic>();
  readonly #loops: Loop[] = [];
  /** Writers first: readers and loops end when nothing new is written. */
  readonly #writers: Actor[] = [];
  readonly #others: Actor[] = [];
  #areLoopsOver = false;
  #writersDoneUs = Number.POSITIVE_INFINITY;
  #stoppedUs = Number.POSITIVE_INFINITY;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    this.model = new TransactionModel({ world: options.world, ...options.plan.model });
  }

  async start(setup: SimClient): Promise<void> {
    const { plan, history } = this.#options;
    if (plan.level !== 2) await changeLevel(setup, this.model, plan.level);
    for (const [i, { shape, configs, role }] of plan.topics.entries()) {
      const topic = this.model.addTopic(shape, TOPIC_NUMBERS_FROM + i, role === "doomed");
      const made = new TopicHistory(shape.name, topic.number, {
        partitionCount: shape.partitionCount,
        expires: shape.expires,
        isLossy: false,
        isStamped: false,
      });
      await createTopic(setup, made, configs);
      topic.id = made.id;
      this.#topics.set(role, topic);
    }
    this.#startWriters();
    for (const loop of plan.loops) this.#startLoop(loop, history);
    this.#startReaders();
  }

  /** Who is still at work, by name. */
  isDone(): boolean {
    const { mustStop, world } = this.#options;
    if (!mustStop()) return false;
    if (this.#stoppedUs === Number.POSITIVE_INFINITY) this.#stoppedUs = world.nowUs;
    if (!this.#areLoopsOver && this.#areWritersDone()) {
      this.#writersDoneUs = Math.min(this.#writersDoneUs, world.nowUs);
      if (this.#haveLoopsCaughtUp()) this.#endLoops();
    }
    const isDone = this.#areWritersDone() && this.#others.every((each) => each.isDone);
    if (!isDone && world.nowUs > this.#stoppedUs + BOUND_US) {
      const late = [...this.#writers, ...this.#others].filter((each) => !each.isDone);
      const names = late.map(({ name }) => name).join(", ");
      this.model.fail("transactions_come_to_an_end", `30 s after the last fault: ${names}`);
    }
    return isDone;
  }

  audit(client: SimClient): Promise<void> {
    return auditTransactions(client, this.model, this.#loops);
  }

  #areWritersDone(): boolean {
    return this.#writers.every((each) => each.isDone);
  }

  /** All of the input is stable, and committed to its end. */
  #haveLoopsCaughtUp(): boolean {
    return this.#loops.every(({ group }) =>
      group.input.partitions.every(
        ({ index, highWatermark, lastStableOffset, readUs }) =>
          readUs > this.#writersDoneUs &&
          lastStableOffset === highWatermark &&
          Math.max(group.floors[index]!, 0) >= highWatermark,
      ),
    );
  }

  #endLoops(): void {
    this.#areLoopsOver = true;
    for (const { group } of this.#loops) {
      for (const partition of group.input.partitions) {
        partition.endOfLoops = partition.highWatermark;
      }
    }
  }

  #startWriters(): void {
    const { plan, random, mustStop } = this.#options;
    const { model } = this;
    const input = this.#topics.get("input")!;
    const any = this.#topics.get("any")!;
    const plain = [...input.partitions, ...any.partitions];
    const doomed = this.#topics.get("doomed");
    const partitions = [...plain, ...(doomed?.partitions ?? [])];
    if (doomed !== undefined) this.#deleteInTheMiddle(doomed);
    for (const writer of plan.writers) {
      for (let i = 0; i < writer.instances; i++) {
        const name = `${writer.transactionalId}-${i}`;
        const dice = random.fork(name);
        const actor = new Writer({
          ...writer,
          producer: new TransactionalProducer({
            ...writer,
            client: this.#options.clientOf(name),
            model,
            id: model.idOf(writer.transactionalId),
            random: dice.fork("producer"),
          }),
          idleUsMax: i === 0 ? writer.idleUsMax : 300_000,
          random: dice,
          partitions,
          mustStop,
          recordsFor: (partition, count) => recordsFor(dice, partition, count),
        });
        this.#begin(this.#writers, name, actor);
      }
    }
    for (const [i, { isIdempotent, batchCount }] of plan.plainWriters.entries()) {
      const name = `plain-writer-${i}`;
      const dice = random.fork(name);
      const actor = new PlainWriter({
        client: this.#options.clientOf(name),
        model,
        author: model.addPlain(isIdempotent),
        random: dice,
        partitions: plain,
        batchCount,
        recordsMax: 4,
        valueBytesMax: 100,
        thinkUsMax: plan.thinkUsMax * 2,
        mustStop,
        recordsFor: (partition, count) => recordsFor(dice, partition, count),
      });
      this.#begin(this.#writers, name, actor);
    }
  }

  #deleteInTheMiddle(topic: ModelTopic): void {
    const { random, clientOf, spawn } = this.#options;
    const client = clientOf("deleter");
    const inUs = random.fork("deleter").below(600_000);
    spawn("deleter", async () => {
      await client.options.process.sleep(inUs, "deleter_waits");
      await deleteTopic(client, this.model, topic);
      client.close();
    });
  }

  #startReaders(): void {
    const { plan, random, mustStop, clientOf } = this.#options;
    const { model } = this;
    const partitions = model.topics.flatMap((topic) => topic.partitions);
    const add = (name: string, isolation: typeof READ_COMMITTED | typeof READ_UNCOMMITTED) => {
      const reader = new Reader({
        client: clientOf(name),
        model,
        isolation,
        random: random.fork(name),
        partitions,
        bytesMax: plan.readerBytesMax,
        waitMsMax: plan.waitMsMax,
        rereadsPercent: 15,
        mustStop: () => mustStop() && this.#areWritersDone() && this.#areLoopsOver,
      });
      this.#begin(this.#others, name, reader);
    };
    for (let i = 0; i < plan.committedReaders; i++) add(`committed-reader-${i}`, READ_COMMITTED);
    for (let i = 0; i < plan.uncommittedReaders; i++) {
      add(`uncommitted-reader-${i}`, READ_UNCOMMITTED);
    }
    const watcher = new Watcher({
      client: clientOf("watcher"),
      model,
      random: random.fork("watcher"),
      thinkUsMax: 60_000,
      // Stable offsets are seen by somebody to the end.
      mustStop: () => mustStop() && this.#areLoopsOver,
      isQuiet: mustStop,
      changesLevel: plan.changesLevel,
    });
    this.#begin(this.#others, "watcher", watcher);
  }

  #startLoop(plan: LoopPlan, history: History): void {
    const { groupId, kind, count } = plan;
    const { world, random, mustStop, clientOf } = this.#options;
    const { model } = this;
    const input = this.#topics.get("input")!;
    const output = this.#topics.get("output")!;
    const group = model.addGroup(groupId, input);
    this.#loops.push({ group, output });
    const groupPlan: GroupPlan = {
      ...plan,
      protocol: kind === "classic" ? "classic" : "consumer",
      topic: input.shape.name,
      partitionCount: input.shape.partitionCount,
      memberCount: count,
    };
    const members = new GroupHistory(groupPlan, world, history);
    members.topicId = input.id;
    for (let i = 0; i < count; i++) {
      const name = `${groupId}-${i}`;
      const dice = random.fork(name);
      const client = clientOf(name);
      const transform = new Transform({
        client: clientOf(`${name}-consumer`),
        model,
        producer: new TransactionalProducer({
          ...plan,
          client: clientOf(`${name}-producer`),
          model,
          id: model.idOf(kind === "alone" ? groupId : name),
          valueBytesMax: 60,
          random: dice.fork("producer"),
        }),
        group,
        output,
        random: dice.fork("transform"),
        bytesMax: plan.bytesMax,
        thinkUsMax: plan.thinkUsMax,
        mustStop,
      });
      const isOver = () => this.#areLoopsOver;
      const options: MemberOptions = {
        client,
        group: members,
        random: dice,
        mustSettle: mustStop,
        isOver,
        job: transform,
      };
      const actor =
        kind === "alone"
          ? new Alone(transform, group.input.partitions, client, dice, isOver, i > 0)
          : kind === "classic"
            ? new SimClassicMember(options)
            : new SimConsumerMember(options);
      this.#begin(this.#others, name, actor);
    }
  }

  #begin(
    list: Actor[],
    name: string,
    actor: { readonly isDone: boolean; run(): Promise<void> },
  ): void {
    list.push({
      name,
      get isDone() {
        return actor.isDone;
      },
    });
    this.#options.spawn(name, () => actor.run());
  }
}

/** A loop with partitions of its own, one of several instances of a transactional id. */
class Alone {
  isDone = false;
  readonly #transform: Transform;
  readonly #partitions: readonly ModelPartition[];
  readonly #client: SimClient;
  readonly #random: SeededRandom;
  readonly #isOver: () => boolean;
  readonly #isSecond: boolean;

  constructor(
    transform: Transform,
    partitions: readonly ModelPartition[],
    client: SimClient,
    random: SeededRandom,
    isOver: () => boolean,
    isSecond: boolean,
  ) {
    this.#transform = transform;
    this.#partitions = partitions;
    this.#client = client;
    this.#random = random;
    this.#isOver = isOver;
    this.#isSecond = isSecond;
  }

  async run(): Promise<void> {
    const { process } = this.#client.options;
    const all = this.#partitions.map(({ index }) => index);
    while (!this.#isOver()) {
      // Two at once would only fence each other.
      if (this.#isSecond) {
        await process.sleep(this.#random.below(400_000), `${this.#client.name}_waits`);
      }
      if (this.#isOver()) break;
      for (let i = this.#isSecond ? 3 : 1; i > 0 && !this.#isOver(); i--) {
        await this.#transform.work(all, null);
      }
      await process.sleep(1 + this.#random.below(15_000), `${this.#client.name}_thinks`);
    }
    this.#client.close();
    this.isDone = true;
  }
}

function recordsFor(random: SeededRandom, partition: ModelPartition, count: number): SentRecord[] {
  const { isCompacted } = partition.topic.shape;
  return Array.from({ length: count }, () => ({
    key: random.below(KEYS),
    isTombstone: isCompacted && random.below(6) === 0,
    source: null,
  }));
}
