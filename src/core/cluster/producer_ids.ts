// Producer ids, handed out from blocks that the metadata store counts. Invariant: no id is ever handed
// out twice: a block is ours only once its end is committed, and what a crash leaves of it is lost.
// Kafka: ProducerIdManager, AllocateProducerIds (KIP-730).

import { MetadataStoreError } from "../../contracts/errors.ts";
import type { CommitResult, MetadataStore, Transaction } from "../../contracts/metadata_store.ts";
import { decodeNextProducerId, encodeNextProducerId, PRODUCER_IDS_KEY } from "./entries.ts";

/** Ids of one block, as in Kafka. */
export const PRODUCER_ID_BLOCK = 1000;
/** How often a block is asked for while others take theirs. */
const TRIES_MAX = 50;

/** Hands out producer ids. */
export class ProducerIds {
  readonly #metadata: MetadataStore;
  readonly #commit: (transaction: Transaction) => Promise<CommitResult>;
  #next = 0;
  /** Exclusive. */
  #end = 0;
  #loading: Promise<void> | null = null;

  /** @param commit As the cluster commits, so that the image keeps step. */
  constructor(
    metadata: MetadataStore,
    commit: (transaction: Transaction) => Promise<CommitResult>,
  ) {
    this.#metadata = metadata;
    this.#commit = commit;
  }

  /** Whether `take` gives an id. */
  get isAtHand(): boolean {
    return this.#next < this.#end;
  }

  /** The next id, for who cannot wait; null when the block is used up: see `ready`. */
  take(): number | null {
    return this.isAtHand ? this.#next++ : null;
  }

  /**
   * Resolves once an id is at hand.
   *
   * @throws {MetadataStoreError} when no block could be had
   */
  async ready(): Promise<void> {
    while (!this.isAtHand) {
      this.#loading ??= this.#load().finally(() => {
        this.#loading = null;
      });
      await this.#loading;
    }
  }

  /**
   * The next id.
   *
   * @throws {MetadataStoreError} when no block could be had
   */
  async next(): Promise<number> {
    for (;;) {
      const id = this.take();
      if (id !== null) return id;
      await this.ready();
    }
  }

  async #load(): Promise<void> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const { entries } = await this.#metadata.read(PRODUCER_IDS_KEY);
      const entry = entries.find((each) => each.key === PRODUCER_IDS_KEY);
      const first = entry === undefined ? 0 : decodeNextProducerId(entry);
      const end = first + PRODUCER_ID_BLOCK;
      const result = await this.#commit({
        conditions: [{ key: PRODUCER_IDS_KEY, revision: entry?.revision ?? 0 }],
        writes: [{ key: PRODUCER_IDS_KEY, value: encodeNextProducerId(end) }],
      });
      if (!result.ok) continue;
      this.#next = first;
      this.#end = end;
      return;
    }
    throw new MetadataStoreError(
      "unavailable",
      `Cannot get a block of producer ids as other brokers took theirs ${TRIES_MAX} times before`,
    );
  }
}
