// Virtual time: a queue of events, and the processes they belong to. Between two events all microtasks
// are drained by one real setImmediate, taken before the traps are set.
// Invariant: events run by time, ties by insertion; an event of a dead process never runs; nothing else
// makes progress. One seed gives one order, on every engine.

import { MinHeap } from "../../base/min_heap.ts";
import type { SeededRandom } from "../../base/prng.ts";
import type { Trace } from "./trace.ts";

const realSetImmediate: (task: () => void) => unknown = globalThis.setImmediate;
/** A run that needs more than this goes in circles. */
const EVENTS_MAX = 3_000_000;

interface SimEvent {
  readonly dueUs: number;
  readonly order: number;
  readonly label: string;
  readonly owner: SimProcess | null;
  /** Null once cancelled or run. */
  task: (() => void) | null;
}

/** Why a run failed: the checker that says so, or the part of the simulator that noticed. */
export interface SimFailure {
  readonly checker: string;
  readonly message: string;
  readonly atMs: number;
}

/** Cancels an event; idempotent. */
export interface SimTimer {
  cancel(): void;
}

export class World {
  nowUs = 0;
  failure: SimFailure | null = null;
  /** Once faults have ended: from then on everything has to complete. Infinity before. */
  healedUs = Number.POSITIVE_INFINITY;
  readonly trace: Trace;
  readonly random: SeededRandom;
  readonly #queue = new MinHeap<SimEvent>((a, b) => a.dueUs - b.dueUs || a.order - b.order);
  #order = 0;
  #eventCount = 0;
  #numbersGiven = 0;

  constructor(random: SeededRandom, trace: Trace) {
    this.random = random;
    this.trace = trace;
  }

  get eventCount(): number {
    return this.#eventCount;
  }

  /** Runs `task` in `delayUs` (whole microseconds) unless `owner` has died by then. */
  after(delayUs: number, label: string, owner: SimProcess | null, task: () => void): SimTimer {
    const dueUs = this.nowUs + Math.max(0, Math.ceil(delayUs));
    const event: SimEvent = { dueUs, order: this.#order++, label, owner, task };
    this.#queue.push(event);
    return {
      cancel() {
        event.task = null;
      },
    };
  }

  /** The first failure counts. */
  fail(checker: string, message: string): void {
    if (this.failure !== null) return;
    this.failure = { checker, message, atMs: this.nowUs / 1000 };
    this.trace.say(this.nowUs, () => `FAILED ${checker}: ${message}`);
  }

  /** Numbers that are unique in a run. */
  nextNumber(): number {
    return ++this.#numbersGiven;
  }

  say(text: () => string): void {
    this.trace.say(this.nowUs, text);
  }

  /**
   * Runs events until `isDone`, the virtual deadline, a failure, or nothing is left to happen.
   *
   * @returns Whether `isDone` became true.
   */
  async run(deadlineUs: number, isDone: () => boolean): Promise<boolean> {
    // What was begun before the first event gets its turn too.
    await drainMicrotasks();
    while (this.failure === null) {
      if (isDone()) return true;
      const event = this.#queue.peek();
      if (event === undefined || event.dueUs > deadlineUs) {
        this.nowUs = Math.max(this.nowUs, deadlineUs);
        return false;
      }
      this.#queue.pop();
      const { owner, task } = event;
      if (task === null || owner?.isAlive === false) continue;
      if (owner !== null && owner.pausedUntilUs > event.dueUs) {
        this.#queue.push({ ...event, dueUs: owner.pausedUntilUs });
        continue;
      }
      event.task = null;
      this.nowUs = event.dueUs;
      this.trace.add(event.label, this.nowUs, this.nowUs / 0x100000000);
      if (++this.#eventCount > EVENTS_MAX) {
        this.fail("event_budget", `more than ${EVENTS_MAX} events`);
        break;
      }
      try {
        task();
      } catch (error) {
        this.fail("event_threw", `${event.label}: ${describeError(error)}`);
      }
      await drainMicrotasks();
    }
    return false;
  }
}

/** Something that can die: all it has scheduled dies with it, and what it awaits never comes. */
export class SimProcess {
  readonly name: string;
  readonly world: World;
  /** What it runs on: processes of one machine lose power and network together. */
  readonly machine: string;
  isAlive = true;
  /** Its events wait until then: a long collection of garbage, a stopped virtual machine. */
  pausedUntilUs = 0;

  constructor(world: World, name: string, machine = "") {
    this.world = world;
    this.name = name;
    this.machine = machine;
  }

  after(delayUs: number, label: string, task: () => void): SimTimer {
    return this.world.after(delayUs, label, this, task);
  }

  sleep(delayUs: number, label: string): Promise<void> {
    return new Promise((resolve) => this.world.after(delayUs, label, this, resolve));
  }

  /** Starts a task whose rejection fails the run, unless the process has died. */
  spawn(label: string, task: () => Promise<void>): void {
    const failed = (error: unknown) => {
      if (this.isAlive) {
        this.world.fail("task_failed", `${this.name}: ${label}: ${describeError(error)}`);
      }
    };
    try {
      task().catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}

export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const frames = (error.stack ?? "").split("\n").filter((line) => /\.ts/.test(line));
  return `${error.name}: ${error.message} ${frames.slice(0, 4).join(" | ")}`;
}

function drainMicrotasks(): Promise<void> {
  return new Promise((resolve) => realSetImmediate(resolve));
}
