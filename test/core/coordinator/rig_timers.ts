// Timers of one life of a subject under the shard rig: they fire when the test turns the clock.

import type { GroupRecord } from "../../../src/core/coordinator/group/group_record.ts";
import type { Decision, Now, ShardTimers } from "../../../src/core/coordinator/runtime/shard.ts";

interface RigTimer<R> {
  readonly key: string;
  readonly dueMs: number;
  readonly order: number;
  readonly decide: (now: Now) => Decision<R>;
}

/** The timers of one life of the subject. */
export class RigTimers<R = GroupRecord> implements ShardTimers<R> {
  readonly byKey = new Map<string, RigTimer<R>>();
  readonly #rig: { readonly now: Now };
  #count = 0;

  constructor(rig: { readonly now: Now }) {
    this.#rig = rig;
  }

  set(key: string, delayMs: number, decide: RigTimer<R>["decide"]): void {
    const dueMs = this.#rig.now.monotonicMs + Math.max(delayMs, 0);
    this.byKey.delete(key);
    this.byKey.set(key, { key, dueMs, order: this.#count++, decide });
  }

  putOff(key: string, delayMs: number): boolean {
    const known = this.byKey.get(key);
    const dueMs = this.#rig.now.monotonicMs + Math.max(delayMs, 0);
    if (known === undefined || dueMs < known.dueMs) return false;
    this.set(key, delayMs, known.decide);
    return true;
  }

  cancel(key: string): void {
    this.byKey.delete(key);
  }

  has(key: string): boolean {
    return this.byKey.has(key);
  }

  /** The one that is due first, if it is due by `untilMs`. */
  next(untilMs: number): RigTimer<R> | null {
    let first: RigTimer<R> | null = null;
    for (const timer of this.byKey.values()) {
      if (timer.dueMs > untilMs) continue;
      const isEarlier =
        first === null ||
        timer.dueMs < first.dueMs ||
        (timer.dueMs === first.dueMs && timer.order < first.order);
      if (isEarlier) first = timer;
    }
    return first;
  }
}
