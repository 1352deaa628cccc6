// Where replicas should go: plans for draining a broker and for evening brokers out. Pure: from what there is to a list of moves.
// Invariant: no partition gets fewer replicas or two on one broker, and evening out spreads none over fewer racks than before.

/** A broker that may be given replicas. */
export interface Place {
  readonly id: number;
  readonly rack: string | null;
}

/** A partition as it lies; replicas in order of preference. */
export interface Lying {
  readonly topic: string;
  readonly partition: number;
  readonly replicas: readonly number[];
}

export interface PlannedMove {
  readonly topic: string;
  readonly partition: number;
  readonly from: readonly number[];
  readonly to: readonly number[];
}

/** What a plan was made of, and what it comes to. */
export class Plan {
  readonly #places: readonly Place[];
  readonly #partitions: readonly { readonly before: Lying; replicas: number[] }[];

  constructor(places: readonly Place[], partitions: readonly Lying[]) {
    this.#places = places;
    this.#partitions = partitions.map((before) => ({ before, replicas: [...before.replicas] }));
  }

  /** What changes, in the order of the partitions. */
  get moves(): readonly PlannedMove[] {
    return this.#partitions
      .filter(({ before, replicas }) => replicas.some((id, at) => id !== before.replicas[at]))
      .map(({ before: { topic, partition, replicas: from }, replicas: to }) => {
        return { topic, partition, from, to };
      });
  }

  /** Replicas on each place. */
  loads(): Map<number, number> {
    return this.#count(({ replicas }) => replicas);
  }

  /** Partitions of which each place is the preferred leader. */
  leads(): Map<number, number> {
    return this.#count(({ replicas }) => replicas.slice(0, 1));
  }

  /**
   * Takes every replica off a broker; each goes to the place with the fewest that has none of the partition, in a rack of its own if
   * there is one.
   *
   * @returns the first partition for which there is no place; null where all have found one
   */
  drain(brokerId: number): Lying | null {
    const loads = this.loads();
    const leads = this.leads();
    for (const partition of this.#partitions) {
      const at = partition.replicas.indexOf(brokerId);
      if (at < 0) continue;
      const others = partition.replicas.filter((id) => id !== brokerId);
      const racks = new Set(others.map((id) => this.#rackOf(id)));
      const able = this.#places.filter(({ id }) => id !== brokerId && !others.includes(id));
      const rank = ({ id, rack }: Place) => [
        rack !== null && racks.has(rack) ? 1 : 0,
        loads.get(id)!,
        at === 0 ? leads.get(id)! : 0,
        id,
      ];
      const [next] = able.sort((a, b) => compare(rank(a), rank(b)));
      if (next === undefined) return partition.before;
      partition.replicas[at] = next.id;
      loads.set(next.id, loads.get(next.id)! + 1);
      if (at === 0) leads.set(next.id, leads.get(next.id)! + 1);
    }
    return null;
  }

  /** Moves as few replicas as even out how many each place has, to within one where racks allow. */
  spreadReplicas(): void {
    const loads = this.loads();
    // Each turn takes two places nearer to each other: as many turns as there are replicas are enough.
    let left = this.#partitions.reduce((sum, { replicas }) => sum + replicas.length, 0);
    while (left-- > 0 && this.#moveOne(loads)) {}
  }

  /** Puts another replica first where that evens out how many partitions each place leads, to within one where replicas allow. */
  spreadLeaders(): void {
    const leads = this.leads();
    let left = this.#partitions.length;
    while (left-- > 0 && this.#leadAlongPath(leads)) {}
  }

  /** @returns false where nothing is left to even out */
  #moveOne(loads: Map<number, number>): boolean {
    const ids = [...loads.keys()].sort((a, b) => loads.get(b)! - loads.get(a)! || a - b);
    for (const from of ids) {
      for (const to of ids.toReversed()) {
        if (loads.get(from)! - loads.get(to)! < 2) break;
        const found = this.#partitions.find(
          ({ replicas }) =>
            replicas.includes(from) &&
            !replicas.includes(to) &&
            this.#keepsRacks(replicas, from, to),
        );
        if (found === undefined) continue;
        found.replicas[found.replicas.indexOf(from)] = to;
        loads.set(from, loads.get(from)! - 1);
        loads.set(to, loads.get(to)! + 1);
        return true;
      }
    }
    return false;
  }

  /** From a place that leads much to one that leads little, over as many partitions as it takes. */
  #leadAlongPath(leads: Map<number, number>): boolean {
    const ids = [...leads.keys()].sort((a, b) => leads.get(b)! - leads.get(a)! || a - b);
    for (const start of ids) {
      const cameBy = new Map<number, { readonly replicas: number[]; readonly from: number }>();
      const queue = [start];
      const seen = new Set(queue);
      for (let at = 0; at < queue.length; at++) {
        const from = queue[at]!;
        if (leads.get(start)! - leads.get(from)! >= 2) {
          leads.set(start, leads.get(start)! - 1);
          leads.set(from, leads.get(from)! + 1);
          for (let id = from; id !== start; ) {
            const step = cameBy.get(id)!;
            const other = step.replicas.indexOf(id);
            step.replicas[other] = step.replicas[0]!;
            step.replicas[0] = id;
            id = step.from;
          }
          return true;
        }
        for (const { replicas } of this.#partitions) {
          if (replicas[0] !== from) continue;
          for (const id of replicas) {
            if (seen.has(id) || !leads.has(id)) continue;
            seen.add(id);
            cameBy.set(id, { replicas, from });
            queue.push(id);
          }
        }
      }
    }
    return false;
  }

  #keepsRacks(replicas: readonly number[], from: number, to: number): boolean {
    const racks = (ids: readonly number[]) =>
      new Set(ids.map((id) => this.#rackOf(id)).filter((rack) => rack !== null)).size;
    return racks(replicas.map((id) => (id === from ? to : id))) >= racks(replicas);
  }

  #rackOf(id: number): string | null {
    return this.#places.find((place) => place.id === id)?.rack ?? null;
  }

  #count(of: (partition: { replicas: number[] }) => readonly number[]): Map<number, number> {
    const counts = new Map(this.#places.map(({ id }) => [id, 0]));
    for (const partition of this.#partitions) {
      for (const id of of(partition)) {
        const count = counts.get(id);
        if (count !== undefined) counts.set(id, count + 1);
      }
    }
    return counts;
  }
}

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((each, i) => each !== b[i]);
  return at < 0 ? 0 : a[at]! - b[at]!;
}
