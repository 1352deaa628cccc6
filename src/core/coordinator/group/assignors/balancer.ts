// Hands partitions of one topic to its least loaded readers and takes them from the most loaded ones: two ranges of a
// list of readers, sorted by load at first, whose levels move towards each other. Constant time a step.
// Invariant: within a range all had the same load when the range reached its level.
// Kafka: UniformHeterogeneousAssignmentBuilder.MemberAssignmentBalancer.

export class Balancer {
  /** Partitions of each member over all topics, by member index: the owner of this counts. */
  readonly #loads: Int32Array;
  #readers: number[] = [];

  #lowEnd = 0;
  #lowLevel = -1;
  #nextLow = 0;

  #highStart = 0;
  #highEnd = 0;
  #highLevel = 0;
  #nextHigh = -1;

  constructor(loads: Int32Array) {
    this.#loads = loads;
  }

  /** Starts over with the readers of a topic, one at least. @returns how far their loads are apart */
  start(readers: readonly number[]): number {
    const loads = this.#loads;
    this.#readers = [...readers].sort((a, b) => loads[a]! - loads[b]! || a - b);
    const least = loads[this.#readers[0]!]!;
    const most = loads[this.#readers.at(-1)!]!;
    this.#lowEnd = 0;
    this.#lowLevel = least - 1;
    this.#nextLow = 0;
    this.#highStart = this.#readers.length;
    this.#highEnd = this.#readers.length;
    this.#highLevel = most + 1;
    this.#nextHigh = this.#readers.length - 1;
    return most - least;
  }

  /** Whom to give a partition; takes it that this happens. */
  least(): number {
    if (this.#nextLow >= this.#lowEnd) {
      // Everybody in the range has got one: its level rises, and it swallows those who were there already.
      this.#lowLevel++;
      while (
        this.#lowEnd < this.#readers.length &&
        this.#loads[this.#readers[this.#lowEnd]!] === this.#lowLevel
      ) {
        this.#lowEnd++;
      }
      this.#nextLow = 0;
    }
    return this.#readers[this.#nextLow++]!;
  }

  /** Whom to take a partition from, -1 when nobody is left; takes it that this happens. */
  most(): number {
    if (this.#nextHigh < this.#highStart) {
      if (this.#highEnd <= this.#highStart && this.#highStart > 0) {
        // All of the range had nothing to give: go on with whoever comes below.
        this.#highLevel = this.#loads[this.#readers[this.#highStart - 1]!]!;
      } else {
        this.#highLevel--;
      }
      while (
        this.#highStart > 0 &&
        this.#loads[this.#readers[this.#highStart - 1]!] === this.#highLevel
      ) {
        this.#highStart--;
      }
      this.#nextHigh = this.#highEnd - 1;
    }
    return this.#nextHigh < 0 ? -1 : this.#readers[this.#nextHigh--]!;
  }

  /** The one that `most` gave has nothing to give of this topic. */
  skipMost(): void {
    const at = this.#nextHigh + 1;
    const last = this.#highEnd - 1;
    const reader = this.#readers[at]!;
    this.#readers[at] = this.#readers[last]!;
    this.#readers[last] = reader;
    this.#highEnd--;
  }

  /** Nothing is won by moving one more. */
  get isBalanced(): boolean {
    return this.#highLevel - this.#lowLevel <= 1;
  }
}
