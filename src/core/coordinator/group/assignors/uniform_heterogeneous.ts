// Uniform where members read different topics: everybody keeps what it still reads, free partitions go to the least
// loaded reader of their topic, and then topics are balanced one by one until nothing moves.
// Perfect where the readers of each topic read the same; nearly so where subscriptions overlap: there a topic's readers
// differ by one at most unless the rounds run out. Kafka: UniformHeterogeneousAssignmentBuilder.

import type { AssignorInput, TopicPartitions } from "./assignor.ts";
import { Balancer } from "./balancer.ts";

/** Each round about halves what is out of balance. */
const ROUNDS_MAX = 16;
const NOBODY = -1;

export function assignHeterogeneous(input: AssignorInput): ReadonlyMap<string, TopicPartitions> {
  return new Assignment(input).targets();
}

interface Topic {
  readonly id: string;
  /** Member indices, ascending. */
  readonly readers: number[];
  /** Member index of each partition. */
  readonly owners: Int32Array;
}

class Assignment {
  readonly #input: AssignorInput;
  readonly #loads: Int32Array;
  readonly #balancer: Balancer;
  /** Those with the most partitions a reader first. */
  readonly #topics: readonly Topic[];

  constructor(input: AssignorInput) {
    this.#input = input;
    this.#loads = new Int32Array(input.members.length);
    this.#balancer = new Balancer(this.#loads);
    const topics = new Map<string, Topic>();
    for (const [index, member] of input.members.entries()) {
      for (const id of member.topicIds) {
        const topic = topics.get(id);
        if (topic !== undefined) topic.readers.push(index);
        else {
          const owners = new Int32Array(input.partitionCount(id)).fill(NOBODY);
          topics.set(id, { id, readers: [index], owners });
        }
      }
    }
    this.#topics = [...topics.values()].sort(byPressure);
    for (const [index, member] of input.members.entries()) {
      for (const [id, partitions] of member.target) {
        if (!member.topicIds.has(id)) continue;
        const topic = topics.get(id)!;
        for (const partition of partitions) this.#give(topic, partition, index);
      }
    }
  }

  targets(): ReadonlyMap<string, TopicPartitions> {
    for (const topic of this.#topics) this.#assignFree(topic);
    this.#balance(this.#topics.filter((topic) => topic.readers.length > 1));
    const targets = this.#input.members.map(() => new Map<string, number[]>());
    for (const { id, owners } of this.#topics) {
      for (const [partition, owner] of owners.entries()) {
        const partitions = targets[owner]!.get(id);
        if (partitions === undefined) targets[owner]!.set(id, [partition]);
        else partitions.push(partition);
      }
    }
    return new Map(this.#input.members.map(({ memberId }, index) => [memberId, targets[index]!]));
  }

  #assignFree(topic: Topic): void {
    this.#balancer.start(topic.readers);
    for (const [partition, owner] of topic.owners.entries()) {
      if (owner === NOBODY) this.#give(topic, partition, this.#balancer.least());
    }
  }

  #balance(topics: readonly Topic[]): void {
    let lastMoved = -1;
    for (let round = 0; round < ROUNDS_MAX; round++) {
      for (const [index, topic] of topics.entries()) {
        // Once around without a move since this one.
        if (index === lastMoved) return;
        if (this.#balanceTopic(topic) > 0 || lastMoved === -1) lastMoved = index;
      }
    }
  }

  /** @returns how many partitions moved */
  #balanceTopic(topic: Topic): number {
    const balancer = this.#balancer;
    if (balancer.start(topic.readers) <= 1) return 0;
    const owned = new Map<number, number[]>();
    for (const [partition, owner] of topic.owners.entries()) {
      const partitions = owned.get(owner);
      if (partitions === undefined) owned.set(owner, [partition]);
      else partitions.push(partition);
    }
    for (let movedCount = 0; ; movedCount++) {
      const from = this.#giver(owned);
      if (from === NOBODY) return movedCount;
      const partition = owned.get(from)!.pop()!;
      const to = balancer.least();
      if (balancer.isBalanced) return movedCount;
      this.#give(topic, partition, to);
    }
  }

  /** The most loaded reader that has something to give. */
  #giver(owned: ReadonlyMap<number, number[]>): number {
    for (;;) {
      const reader = this.#balancer.most();
      if (reader === NOBODY || (owned.get(reader)?.length ?? 0) > 0) return reader;
      this.#balancer.skipMost();
    }
  }

  #give(topic: Topic, partition: number, to: number): void {
    const from = topic.owners[partition]!;
    if (from !== NOBODY) this.#loads[from]!--;
    topic.owners[partition] = to;
    this.#loads[to]!++;
  }
}

function byPressure(a: Topic, b: Topic): number {
  return (
    b.owners.length / b.readers.length - a.owners.length / a.readers.length ||
    a.readers.length - b.readers.length ||
    (a.id < b.id ? -1 : 1)
  );
}
