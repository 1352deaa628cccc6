// Deleted keys that a table still remembers, since an older record of theirs may come: one that lies before the
// table's own tombstone and has not been read yet, or one in another partition.
// Invariant: a key is forgotten only once its partition was read through its tombstone, and every partition has
// been read through an end that a fetch told of which was sent after the tombstone was taken in.
// Kafka: none.

/** How far a partition has been read. */
export interface Progress {
  readonly partition: number;
  /** The next offset to be taken in. */
  readonly applied: number;
  /** What the last answer said. */
  readonly end: number;
  /** How many answers there were. */
  readonly answers: number;
}

/** One that was under way may have been sent before. */
const ANSWERS = 2;

export class RememberedDeletes {
  /** Slot, partition and offset, again and again: there may be as many as keys. */
  #young: number[] = [];
  #old: number[] = [];
  /** By partition, what has to be read before the old ones are forgotten. */
  readonly #goals = new Map<number, { readonly answers: number; offset: number }>();

  get isEmpty(): boolean {
    return this.#young.length === 0 && this.#old.length === 0;
  }

  add(slot: number, partition: number, offset: number): void {
    this.#young.push(slot, partition, offset);
  }

  /** Called with every answer: says what may be forgotten. */
  look(
    partitions: readonly Progress[],
    forget: (slot: number, partition: number, offset: number) => void,
  ): void {
    if (this.#old.length === 0) {
      if (this.#young.length === 0) return;
      this.#old = this.#young;
      this.#young = [];
      this.#goals.clear();
      for (const { partition, answers } of partitions) {
        this.#goals.set(partition, { answers: answers + ANSWERS, offset: -1 });
      }
      return;
    }
    let isReached = true;
    for (const { partition, applied, end, answers } of partitions) {
      const goal = this.#goals.get(partition);
      if (goal === undefined || answers < goal.answers) {
        // A partition that was added since holds nothing older than itself.
        isReached &&= goal === undefined;
        continue;
      }
      if (goal.offset < 0) goal.offset = end;
      if (applied < goal.offset) isReached = false;
    }
    if (!isReached) return;
    const appliedOf = new Map(partitions.map((each) => [each.partition, each.applied]));
    const old = this.#old;
    for (let at = 0; at < old.length; at += 3) {
      const [slot, partition, offset] = [old[at]!, old[at + 1]!, old[at + 2]!];
      const applied = appliedOf.get(partition) ?? Number.POSITIVE_INFINITY;
      if (applied > offset) forget(slot, partition, offset);
      else this.#young.push(slot, partition, offset);
    }
    this.#old = [];
  }
}
