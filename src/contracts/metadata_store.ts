// The cluster's small, linearizable memory: broker registrations, the controller's seat, topics,
// configs, producer-id blocks, ACLs. Called a metadata store because "coordinator" already means a
// group or transaction coordinator. What is decided is not here: that is core/cluster.

import type { PluginContext } from "./plugin.ts";

/** A commit has at most this many writes (etcd allows 128 operations; decision 8). */
export const COMMIT_WRITES_MAX = 100;
/** At most this many conditions (etcd counts comparisons as it does writes). */
export const COMMIT_CONDITIONS_MAX = 100;
/** And at most this many bytes of keys and values that are written. */
export const COMMIT_BYTES_MAX = 512 * 1024;

/**
 * Where the cluster's small memory lies: a file, another process, a service.
 * `open` throws MetadataStoreError "locked", "version" or "corrupt".
 */
export interface MetadataStorePlugin {
  readonly kind: "metadata_store";
  readonly name: string;
  readonly contract: 1;
  /** True where several brokers open the store at once: each registers and replicates, and partitions have leaders (ADR 43). */
  readonly isShared?: boolean;
  open(context: PluginContext): Promise<MetadataStore>;
}

/** A linearizable map of keys to bytes with revisions, conditions, watches and leases. Every failure is a MetadataStoreError. */
export interface MetadataStore {
  /** A consistent snapshot of every entry under `prefix`, in ascending key order, with the revision it was read at. */
  read(prefix: string): Promise<{ readonly revision: number; readonly entries: readonly Entry[] }>;
  /**
   * Applies all writes at one new revision, or none of them if any condition fails. Durable when it resolves. Where it fails with
   * "unavailable", a store in other processes may have made it, or may make it yet: the caller reads before it goes on.
   */
  commit(transaction: Transaction): Promise<CommitResult>;
  /**
   * Every change under `prefix` after `revision`, one item a revision, in order, none left out. When the store has
   * compacted past `revision` it yields "reset" once and ends: the caller reads again.
   */
  watch(
    prefix: string,
    revision: number,
    signal: AbortSignal,
  ): AsyncIterable<RevisionChanges | "reset">;
  /** A liveness lease: entries written with it vanish once it has not been renewed for `ttlMs`. */
  session(ttlMs: number): Promise<Session>;
  close(): Promise<void>;
}

/** One key as it stands. Whoever is handed the value must not change its bytes. */
export interface Entry {
  readonly key: string;
  readonly value: Uint8Array;
  /** Revision of the last write; from 1. */
  readonly revision: number;
}

/** Conditions and writes that take effect together; at most COMMIT_CONDITIONS_MAX conditions and COMMIT_WRITES_MAX writes of COMMIT_BYTES_MAX bytes. */
export interface Transaction {
  /** `revision: 0` demands that the key be absent. */
  readonly conditions: readonly { readonly key: string; readonly revision: number }[];
  /** `value: null` deletes. A key at most once. */
  readonly writes: readonly {
    readonly key: string;
    readonly value: Uint8Array | null;
    readonly session?: Session;
  }[];
}

/** The revision that the writes got, or the conditions that did not hold; then nothing was written. */
export type CommitResult =
  | { readonly ok: true; readonly revision: number }
  | {
      readonly ok: false;
      /** The revisions found (0 = absent) for the conditions that failed. */
      readonly conflicts: readonly { readonly key: string; readonly revision: number }[];
    };

/** All that one commit changed under the prefix: applied together, so no reader sees half a commit. */
export interface RevisionChanges {
  readonly revision: number;
  readonly puts: readonly Entry[];
  readonly deletes: readonly string[];
}

/** A lease that the store renews by itself until `end`, which drops its entries at once. */
export interface Session {
  readonly id: string;
  /**
   * The monotonic time until which the store surely keeps the entries: moved up by each renewal, counted from before it was asked
   * for. Infinity where nobody else may drop them. A timer may come late, as after SIGSTOP: what must not be done without the
   * session compares the clock with this.
   */
  readonly heldUntilMs: number;
  /** Fires once, no later than the store may have dropped our entries: the broker must fence itself. */
  readonly lost: AbortSignal;
  end(): Promise<void>;
}
