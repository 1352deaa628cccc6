// Seeded runs of plain commits, transactions, their ends, deletions and restarts, beside a naive model: what a client
// reads is what was committed last, in the order of the log; what is open is unstable; a load comes to the same, in the
// middle of transactions too, and after the log was cleaned as far as it may be.

import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../../src/base/prng.ts";
import { cleaned } from "./cleaned_log.ts";
import { type Read, type RigProducer, TransactionsRig } from "./transactions_rig.ts";

const SEEDS = 60;
const STEPS = 120;
const GROUPS = ["a", "b"];
const TOPICS = ["t", "u"];
const PARTITIONS = 4;
const PRODUCERS = 4;

interface Kept {
  readonly offset: number;
  /** Counts what was written. */
  readonly order: number;
}

/** Offsets as anybody would keep them: flat maps. */
class Model {
  readonly committed = new Map<string, Kept>();
  readonly pending = new Map<number, Map<string, Kept>>();
  readonly #order = { next: 0 };

  commit(key: string, offset: number): void {
    this.committed.set(key, { offset, order: this.#order.next++ });
  }

  commitIn(producerId: number, key: string, offset: number): void {
    const pending = this.pending.get(producerId) ?? new Map<string, Kept>();
    this.pending.set(producerId, pending);
    pending.set(key, { offset, order: this.#order.next++ });
  }

  end(producerId: number, isCommit: boolean): void {
    for (const [key, kept] of isCommit ? (this.pending.get(producerId) ?? []) : []) {
      const known = this.committed.get(key);
      if (known === undefined || known.order < kept.order) this.committed.set(key, kept);
    }
    this.pending.delete(producerId);
  }

  forget(isMeant: (key: string) => boolean): void {
    for (const map of [this.committed, ...this.pending.values()]) {
      for (const key of [...map.keys()]) if (isMeant(key)) map.delete(key);
    }
  }

  read(group: string, topic: string, requireStable: boolean): Read[] {
    return Array.from({ length: PARTITIONS }, (_, partition) => {
      const key = keyOf(group, topic, partition);
      const isOpen = [...this.pending.values()].some((pending) => pending.has(key));
      if (requireStable && isOpen) return "unstable";
      return this.committed.get(key)?.offset ?? -1;
    });
  }
}

function keyOf(group: string, topic: string, partition: number): string {
  return `${group} ${topic}/${partition}`;
}

class Run {
  readonly random: SeededRandom;
  readonly rig = new TransactionsRig(TOPICS);
  readonly model = new Model();
  readonly producers: RigProducer[] = Array.from({ length: PRODUCERS }, (_, producerId) => ({
    producerId,
    producerEpoch: 0,
  }));
  next = 1;

  constructor(seed: number) {
    this.random = SeededRandom.of(`transactions ${seed}`);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.random.below(items.length)]!;
  }

  async step(): Promise<void> {
    const roll = this.random.below(100);
    if (roll < 20) await this.commit();
    else if (roll < 55) await this.commitIn();
    else if (roll < 60) await this.commitAsZombie();
    else if (roll < 82) await this.end();
    else if (roll < 88) await this.delete();
    else if (roll < 90) await this.deleteGroup();
    else if (roll < 92) await this.replaceTopic();
    else if (roll < 97) this.rig.crash();
    else await this.lose();
  }

  place() {
    const { random } = this;
    return {
      groupId: this.pick(GROUPS),
      topic: this.pick(TOPICS),
      partition: random.below(PARTITIONS),
    };
  }

  async commit(): Promise<void> {
    const at = this.place();
    const offset = this.next++;
    expect(await this.rig.commit(offset, at)).toBe("none");
    this.model.commit(keyOf(at.groupId, at.topic, at.partition), offset);
  }

  async commitIn(): Promise<void> {
    const at = this.place();
    const offset = this.next++;
    const producer = this.pick(this.producers);
    expect(await this.rig.commitIn(producer, offset, at)).toBe("none");
    this.model.commitIn(producer.producerId, keyOf(at.groupId, at.topic, at.partition), offset);
  }

  async commitAsZombie(): Promise<void> {
    const { producerId, producerEpoch } = this.pick(this.producers);
    const newest = this.rig.log.producers.get(producerId)?.epoch ?? 0;
    if (newest === 0 || newest > producerEpoch) return;
    const zombie = { producerId, producerEpoch: newest - 1 };
    expect(await this.rig.commitIn(zombie, 0, this.place())).toBe("invalid_producer_epoch");
  }

  async end(): Promise<void> {
    const producer = this.pick(this.producers);
    const isCommit = this.random.below(3) > 0;
    const version = 1 + this.random.below(2);
    expect(await this.rig.end(producer, isCommit, version)).toBe("none");
    this.model.end(producer.producerId, isCommit);
  }

  async delete(): Promise<void> {
    const { groupId, topic, partition } = this.place();
    const code = await this.rig.delete(topic, partition, groupId);
    expect(["none", "group_id_not_found"]).toContain(code);
    const key = keyOf(groupId, topic, partition);
    this.model.forget((each) => each === key);
  }

  async deleteGroup(): Promise<void> {
    const groupId = this.pick(GROUPS);
    expect(["none", "group_id_not_found"]).toContain(await this.rig.deleteGroup(groupId));
    this.model.forget((key) => key.startsWith(`${groupId} `));
  }

  async replaceTopic(): Promise<void> {
    const topic = this.pick(TOPICS);
    await this.rig.deleteTopic(topic);
    this.rig.topics.create(topic, PARTITIONS);
    this.model.forget((key) => key.includes(` ${topic}/`));
  }

  /** What is not committed when the broker dies was told nobody. */
  async lose(): Promise<void> {
    const { rig, random } = this;
    rig.log.commitsAtOnce = false;
    const under: Promise<string>[] = [];
    for (let i = random.below(4); i >= 0; i--) {
      const producer = this.pick(this.producers);
      under.push(
        random.below(3) === 0
          ? rig.end({ ...producer }, random.below(2) === 0)
          : rig.commitIn(producer, 0, this.place()),
      );
    }
    await Promise.resolve();
    rig.crash();
    rig.log.commitsAtOnce = true;
    for (const code of await Promise.all(under)) expect(code).not.toBe("none");
  }

  async compare(): Promise<void> {
    for (const group of GROUPS) {
      for (const topic of TOPICS) {
        for (const isStable of [true, false]) {
          const read = await this.rig.read(topic, isStable, group);
          expect([group, topic, isStable, read]).toEqual([
            group,
            topic,
            isStable,
            this.model.read(group, topic, isStable),
          ]);
        }
      }
    }
  }

  /** The same is read from the log as it is, and as the cleaner may leave it. */
  async compareLoads(): Promise<void> {
    const { rig } = this;
    await rig.read();
    const expected = rig.snapshot();
    for (const keepsTombstones of [true, false]) {
      const log = cleaned(rig.log, keepsTombstones);
      const host = rig.hostOf(log);
      const loaded = await host.run(
        (_shard, _now, reply) => ({ records: [], answers: [{ reply, response: "loaded" }] }),
        new AbortController().signal,
      );
      expect(loaded.ok).toBe(true);
      expect({ keepsTombstones, state: rig.snapshot() }).toEqual({
        keepsTombstones,
        state: expected,
      });
      host.close();
    }
    rig.crash();
    await rig.read();
    expect(rig.snapshot()).toEqual(expected);
  }
}

describe("offsets of transactions and others", () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    test(`are as the log has them, seed ${seed}`, async () => {
      const run = new Run(seed);
      for (let i = 0; i < STEPS; i++) {
        await run.step();
        await run.compare();
        if (i % 30 === 29) await run.compareLoads();
      }
      for (const producer of run.producers) {
        await run.rig.end(producer, true);
        run.model.end(producer.producerId, true);
      }
      await run.compare();
      await run.compareLoads();
      expect(run.rig.shard.offsets.pending.producerCount).toBe(0);
      expect(run.rig.test.events("coordinator_defect")).toEqual([]);
      expect(run.rig.test.failures).toEqual([]);
    });
  }
});
