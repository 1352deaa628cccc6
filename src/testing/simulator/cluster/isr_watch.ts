// How many replicas of each partition are in sync by the store, and since when: what min_isr_kept judges acknowledgements by.
// Invariant: it hears every commit at the moment that the store applies it.

import type { RevisionWrite } from "../../../base/revision_table.ts";
import { PARTITION_PREFIX, partitionsOfBlock } from "./store_view.ts";

/** core/cluster/cluster_entries: so many partitions are in one entry. */
const BLOCK_PARTITIONS = 100;

export class IsrWatch {
  /** By partition and size: when the in-sync set last was at least so large; Infinity while it is. */
  readonly #lastUs = new Map<string, number[]>();

  committed(writes: readonly RevisionWrite[], nowUs: number): void {
    for (const { key, value } of writes) {
      if (!key.startsWith(PARTITION_PREFIX) || value === null) continue;
      const [topicId, block] = key.slice(PARTITION_PREFIX.length).split("/");
      const first = Number(block) * BLOCK_PARTITIONS;
      const partitions = partitionsOfBlock(key, value);
      for (let i = 0; i < partitions.length; i++) {
        this.#note(`${topicId}/${first + i}`, partitions[i]!.isr.length, nowUs);
      }
    }
  }

  /** Virtual time until which the in-sync set had at least `size` replicas; Infinity: it has; -1: never. */
  lastUs(topicId: string, partition: number, size: number): number {
    return this.#lastUs.get(`${topicId}/${partition}`)?.[size] ?? -1;
  }

  #note(id: string, size: number, nowUs: number): void {
    const last = this.#lastUs.get(id) ?? [];
    this.#lastUs.set(id, last);
    for (let at = 0; at < Math.max(last.length, size + 1); at++) {
      if (at <= size) last[at] = Number.POSITIVE_INFINITY;
      else if (last[at] === Number.POSITIVE_INFINITY) last[at] = nowUs;
    }
  }
}
