// Timers of one life of a shard, by key: thousands of sessions on one timer of the host.
// Invariant: timers that are due run in order of their time, then of their setting; none runs after `clear`.
// A session that is put off again and again stays where it is in the heap until its old time comes.
// Kafka: CoordinatorTimerImpl, SystemTimer.

import { MinHeap } from "../../../base/min_heap.ts";
import type { Clock, Scheduler, Timer } from "../../../contracts/runtime.ts";
import type { Decision, Now, ShardTimers } from "./shard.ts";

interface Entry<R> {
  readonly key: string;
  dueMs: number;
  order: number;
  /** Where the heap has it: not later than `dueMs`, and not changed while it is there. */
  heapDueMs: number;
  heapOrder: number;
  /** Null once cancelled. */
  decide: ((now: Now) => Decision<R>) | null;
}

/** Entries of the heap that stand for nothing, above which it is cleaned. */
const STALE_MAX = 1024;

export class KeyedTimers<R> implements ShardTimers<R> {
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #run: (decide: (now: Now) => Decision<R>) => void;
  readonly #byKey = new Map<string, Entry<R>>();
  readonly #heap = new MinHeap<Entry<R>>(
    (a, b) => a.heapDueMs - b.heapDueMs || a.heapOrder - b.heapOrder,
  );
  #stale = 0;
  #count = 0;
  #timer: Timer | null = null;
  #timerDueMs = 0;
  #isRunning = false;
  #isCleared = false;

  /** @param run Runs what has become due as a decision of its own. */
  constructor(
    clock: Clock,
    scheduler: Scheduler,
    run: (decide: (now: Now) => Decision<R>) => void,
  ) {
    this.#clock = clock;
    this.#scheduler = scheduler;
    this.#run = run;
  }

  get size(): number {
    return this.#byKey.size;
  }

  set(key: string, delayMs: number, decide: (now: Now) => Decision<R>): void {
    if (this.#isCleared) return;
    const dueMs = this.#clock.monotonicMs() + Math.max(delayMs, 0);
    const order = this.#count++;
    const known = this.#byKey.get(key);
    if (known !== undefined && dueMs >= known.heapDueMs) {
      known.dueMs = dueMs;
      known.order = order;
      known.decide = decide;
      return;
    }
    if (known !== undefined) this.#drop(known);
    const entry: Entry<R> = { key, dueMs, order, heapDueMs: dueMs, heapOrder: order, decide };
    this.#byKey.set(key, entry);
    this.#heap.push(entry);
    this.#arm();
  }

  putOff(key: string, delayMs: number): boolean {
    const known = this.#byKey.get(key);
    if (known === undefined) return false;
    const dueMs = this.#clock.monotonicMs() + Math.max(delayMs, 0);
    if (dueMs < known.heapDueMs) return false;
    known.dueMs = dueMs;
    known.order = this.#count++;
    return true;
  }

  cancel(key: string): void {
    const entry = this.#byKey.get(key);
    if (entry === undefined) return;
    this.#byKey.delete(key);
    this.#drop(entry);
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  /** Ends all of them, for good. */
  clear(): void {
    this.#isCleared = true;
    this.#byKey.clear();
    this.#heap.clear();
    this.#timer?.cancel();
    this.#timer = null;
  }

  #drop(entry: Entry<R>): void {
    entry.decide = null;
    if (++this.#stale <= STALE_MAX || this.#stale * 2 <= this.#heap.size) return;
    this.#heap.compact((each) => each.decide !== null);
    this.#stale = 0;
  }

  /** One timer of the host stands for the first of ours. */
  #arm(): void {
    const first = this.#heap.peek();
    if (first === undefined || this.#isRunning) return;
    if (this.#timer !== null) {
      if (this.#timerDueMs <= first.heapDueMs) return;
      this.#timer.cancel();
    }
    this.#timerDueMs = first.heapDueMs;
    const delayMs = Math.max(first.heapDueMs - this.#clock.monotonicMs(), 0);
    this.#timer = this.#scheduler.after(delayMs, "coordinator_timer", () => {
      this.#timer = null;
      this.#runDue();
    });
  }

  #runDue(): void {
    // What a timer sets with no delay comes next time: others get their turn in between.
    const nowMs = this.#clock.monotonicMs();
    const last = this.#count;
    this.#isRunning = true;
    for (;;) {
      const entry = this.#heap.peek();
      if (entry === undefined || entry.heapDueMs > nowMs) break;
      if (entry.heapOrder >= last) break;
      this.#heap.pop();
      const { decide } = entry;
      if (decide === null) {
        this.#stale = Math.max(this.#stale - 1, 0);
      } else if (entry.dueMs > entry.heapDueMs) {
        entry.heapDueMs = entry.dueMs;
        entry.heapOrder = entry.order;
        this.#heap.push(entry);
      } else {
        this.#byKey.delete(entry.key);
        this.#run(decide);
      }
    }
    this.#isRunning = false;
    this.#arm();
  }
}
