// Keeps the image in step with the metadata store: reads all of it, then follows every revision. A
// commit made through here is in the image when it resolves, without waiting for the watch.
// Invariant: images only move forward, by whole revisions, in the store's order.

import { MetadataStoreError } from "../../contracts/errors.ts";
import type {
  CommitResult,
  Entry,
  MetadataStore,
  RevisionChanges,
  Transaction,
} from "../../contracts/metadata_store.ts";
import type { Runtime } from "../../contracts/runtime.ts";
import { coordinatorTopicFault, coordinatorTopics } from "./coordinator_topics.ts";
import { decodeTopic, topicKey } from "./entries.ts";
import type { ClusterImage } from "./image.ts";
import { type ImageStep, imageOf, stepBetween, stepOf } from "./image_changes.ts";

/** Pause before the store is asked again after a watch broke. */
const WATCH_RETRY_MS = 1000;

export interface ImageLoaderOptions {
  readonly metadata: MetadataStore;
  readonly runtime: Runtime;
  /** Called after each step, synchronously: the image is already the new one. */
  readonly onStep: (step: ImageStep) => void;
}

/** The image, and the way to change it. */
export class ImageLoader {
  readonly #options: ImageLoaderOptions;
  #image: ClusterImage;
  readonly #stop = new AbortController();
  /** Those who wait for the image to reach a revision. */
  #waiting: { readonly revision: number; readonly resolve: () => void }[] = [];

  private constructor(options: ImageLoaderOptions, image: ClusterImage) {
    this.#options = options;
    this.#image = image;
  }

  /**
   * Reads the store and follows it from there.
   *
   * @throws {MetadataStoreError} when the store cannot be read, or holds what this release does not know
   */
  static async open(options: ImageLoaderOptions): Promise<ImageLoader> {
    const { revision, entries } = await options.metadata.read("");
    const loader = new ImageLoader(options, imageOf(revision, entries));
    warnOfCoordinatorTopics(entries, options.runtime);
    options.runtime.scheduler.spawn("cluster_watch", () => loader.#follow());
    return loader;
  }

  /** The newest image. */
  get image(): ClusterImage {
    return this.#image;
  }

  /**
   * Commits, and resolves once the image has it.
   *
   * @throws {MetadataStoreError} when the store could not do it
   */
  async commit(transaction: Transaction): Promise<CommitResult> {
    const result = await this.#options.metadata.commit(transaction);
    if (!result.ok) return result;
    const { revision } = result;
    // The usual case: nobody else wrote in between, and what was written is known without asking.
    if (revision === this.#image.revision + 1) {
      const puts = [];
      const deletes = [];
      for (const { key, value } of transaction.writes) {
        if (value === null) deletes.push(key);
        else puts.push({ key, value, revision });
      }
      this.#apply({ revision, puts, deletes });
    } else {
      await this.reached(revision);
    }
    return result;
  }

  /** Resolves once the image is at `revision` or later, or following has ended. */
  reached(revision: number): Promise<void> {
    if (this.#image.revision >= revision || this.#stop.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ revision, resolve }));
  }

  /** Ends following. Idempotent. */
  close(): void {
    this.#stop.abort();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { resolve } of waiting) resolve();
  }

  async #follow(): Promise<void> {
    const { metadata, runtime } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        for await (const item of metadata.watch("", this.#image.revision, signal)) {
          if (item === "reset") break;
          if (item.revision > this.#image.revision) this.#apply(item);
        }
        // Either the store has forgotten what we have not seen, or the watch ended with us.
        if (!signal.aborted) await this.#readAgain();
      } catch (error) {
        if (signal.aborted || isFinal(error)) return;
        if (isUnreadable(error)) throw error;
        runtime.log.warn("metadata_watch_failed", { error: String(error) });
        await this.#pause();
      }
    }
  }

  async #readAgain(): Promise<void> {
    const { revision, entries } = await this.#options.metadata.read("");
    // A commit of our own may have come in between: then its image is the newer one.
    if (revision <= this.#image.revision) return;
    this.#take(stepBetween(this.#image, imageOf(revision, entries)));
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#stop;
      const go = (): void => {
        timer.cancel();
        signal.removeEventListener("abort", go);
        resolve();
      };
      const { scheduler } = this.#options.runtime;
      const timer = scheduler.after(WATCH_RETRY_MS, "cluster_watch_retry", go);
      signal.addEventListener("abort", go, { once: true });
    });
  }

  #apply(changes: RevisionChanges): void {
    this.#take(stepOf(this.#image, changes));
  }

  #take(step: ImageStep): void {
    this.#image = step.image;
    this.#options.onStep(step);
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((each) => each.revision > step.image.revision);
    for (const each of waiting) if (each.revision <= step.image.revision) each.resolve();
  }
}

/** Releases before this one let them be set to what loses records. */
function warnOfCoordinatorTopics(entries: readonly Entry[], runtime: Runtime): void {
  for (const topic of coordinatorTopics()) {
    const key = topicKey(topic);
    const entry = entries.find((each) => each.key === key);
    if (entry === undefined) continue;
    const reason = coordinatorTopicFault(topic, decodeTopic(entry).configs);
    if (reason !== null) runtime.log.warn("coordinator_topic_setting_ignored", { topic, reason });
  }
}

function isFinal(error: unknown): boolean {
  return error instanceof MetadataStoreError && error.code === "closed";
}

/** What another try cannot mend: entries of a newer release, or broken ones. */
function isUnreadable(error: unknown): boolean {
  return (
    error instanceof MetadataStoreError && (error.code === "version" || error.code === "corrupt")
  );
}
