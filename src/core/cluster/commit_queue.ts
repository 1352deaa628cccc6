// Decisions waiting to be committed: those that do not touch each other share one commit, as many as it
// holds. Invariant: decisions are made in order of arrival, each from an image that has all before it.

import {
  COMMIT_BYTES_MAX,
  COMMIT_CONDITIONS_MAX,
  COMMIT_WRITES_MAX,
  type CommitResult,
  type Transaction,
} from "../../contracts/metadata_store.ts";
import { type Change, type Decide, type Decision, refused } from "./decision.ts";
import type { ClusterImage } from "./image.ts";

/** How often a decision is made anew because the store refused it: another broker was quicker each time. */
const TRIES_MAX = 20;
/** Decisions waiting at once; one more is refused. */
export const DECISIONS_MAX = 100_000;

export interface CommitQueueOptions {
  readonly image: () => ClusterImage;
  /** Resolves once the image has what was committed. */
  readonly commit: (transaction: Transaction) => Promise<CommitResult>;
  /** Resolves once the image is at that revision. */
  readonly reached: (revision: number) => Promise<void>;
}

interface Job {
  readonly decide: Decide<unknown>;
  readonly resolve: (decision: Decision<unknown>) => void;
  readonly reject: (error: unknown) => void;
  tries: number;
}

/** One lane: the next commit begins when the last one is in the image. */
export class CommitQueue {
  readonly #options: CommitQueueOptions;
  #jobs: Job[] = [];
  #isRunning = false;

  constructor(options: CommitQueueOptions) {
    this.#options = options;
  }

  /**
   * Decides, commits and resolves with the decision once the image has it.
   *
   * @throws {MetadataStoreError} when the store could not commit
   */
  submit<T>(decide: Decide<T>): Promise<Decision<T>> {
    if (this.#jobs.length >= DECISIONS_MAX) {
      return Promise.resolve(refused("throttling_quota_exceeded", "Too many changes are waiting"));
    }
    return new Promise((resolve, reject) => {
      this.#jobs.push({
        decide,
        resolve: resolve as (decision: Decision<unknown>) => void,
        reject,
        tries: 0,
      });
      if (!this.#isRunning) void this.#run();
    });
  }

  /** Never rejects: what goes wrong goes to the jobs it happened to. */
  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#jobs.length > 0) {
      const jobs = this.#jobs;
      this.#jobs = [];
      const left = await this.#commitSome(jobs);
      this.#jobs = left.concat(this.#jobs);
    }
    this.#isRunning = false;
  }

  /** Commits as many jobs from the front as fit together. @returns those that are still to be done */
  async #commitSome(jobs: readonly Job[]): Promise<Job[]> {
    const image = this.#options.image();
    const batch: { readonly job: Job; readonly decision: Decision<unknown> }[] = [];
    const conditions: Change["conditions"][number][] = [];
    const writes: Change["writes"][number][] = [];
    const taken = new Set<string>();
    let sizeBytes = 0;
    let next = 0;
    for (; next < jobs.length; next++) {
      const job = jobs[next]!;
      let decision: Decision<unknown>;
      try {
        decision = job.decide(image);
      } catch (error) {
        job.reject(error);
        continue;
      }
      if (!decision.ok || decision.change === null) {
        // What waits in this batch is not in the image yet, and might change the answer.
        if (batch.length > 0) break;
        job.resolve(decision);
        continue;
      }
      const { change } = decision;
      const changeBytes = bytesOf(change);
      if (
        batch.length > 0 &&
        (writes.length + change.writes.length > COMMIT_WRITES_MAX ||
          conditions.length + change.conditions.length > COMMIT_CONDITIONS_MAX ||
          sizeBytes + changeBytes > COMMIT_BYTES_MAX ||
          change.writes.some((write) => taken.has(write.key)) ||
          change.locks.some((lock) => taken.has(lock)))
      ) {
        break;
      }
      for (const write of change.writes) taken.add(write.key);
      for (const lock of change.locks) taken.add(lock);
      conditions.push(...change.conditions);
      writes.push(...change.writes);
      sizeBytes += changeBytes;
      batch.push({ job, decision });
    }
    const left = jobs.slice(next);
    if (batch.length === 0) return left;
    return [...(await this.#commitBatch(batch, { conditions, writes }, image.revision)), ...left];
  }

  async #commitBatch(
    batch: readonly { readonly job: Job; readonly decision: Decision<unknown> }[],
    transaction: Transaction,
    decidedAt: number,
  ): Promise<Job[]> {
    let result: CommitResult;
    try {
      result = await this.#options.commit(transaction);
      if (!result.ok) {
        // Somebody else wrote: decide again once we have seen what. A deleted key conflicts with 0.
        const latest = Math.max(0, ...result.conflicts.map((conflict) => conflict.revision));
        await this.#options.reached(Math.max(latest, decidedAt + 1));
      }
    } catch (error) {
      for (const { job } of batch) job.reject(error);
      return [];
    }
    if (result.ok) {
      for (const { job, decision } of batch) job.resolve(decision);
      return [];
    }
    const again: Job[] = [];
    for (const { job } of batch) {
      job.tries++;
      if (job.tries < TRIES_MAX) again.push(job);
      else job.resolve(refused("request_timed_out", "Others kept changing the same; try again"));
    }
    return again;
  }
}

function bytesOf(change: Change): number {
  let sizeBytes = 0;
  for (const { key, value } of change.writes) sizeBytes += key.length + (value?.byteLength ?? 0);
  return sizeBytes;
}
