// All shards of one coordinator: which partition of the internal topic is hosted, under which leader epoch, and since when.
// Invariant: a partition has one host at a time, and none once it is not led here or its topic is gone.
// Kafka: CoordinatorRuntime.

import type { Outcome } from "../../../protocol/errors.ts";
import { refuse } from "../../../protocol/errors.ts";
import type { AppendedToLog, CoordinatorLog, EndMarker } from "./coordinator_log.ts";
import type { Decide, Decision, Now, Shard } from "./shard.ts";
import { ShardHost, type ShardHostOptions, type TransactionalWrite } from "./shard_host.ts";

export interface CoordinatorRuntimeOptions<S extends Shard<R>, R> {
  /** The partition as this broker leads it now; null when it does not, or there is none. */
  readonly openLog: (partition: number) => CoordinatorLog | null;
  /** What a host of that partition is made of. */
  readonly hostOptions: (partition: number) => Omit<ShardHostOptions<S, R>, "log">;
}

export class CoordinatorRuntime<S extends Shard<R>, R> {
  readonly #options: CoordinatorRuntimeOptions<S, R>;
  readonly #hosts = new Map<number, { readonly leaderEpoch: number; host: ShardHost<S, R> }>();
  #isClosed = false;

  constructor(options: CoordinatorRuntimeOptions<S, R>) {
    this.#options = options;
  }

  /** Runs a request on the shard of a partition, which is loaded for it if need be. See ShardHost.run. */
  run<Response>(
    partition: number,
    decide: Decide<S, R, Response>,
    signal: AbortSignal,
  ): Promise<Outcome<Response>> {
    const host = this.#hostOf(partition);
    if (host === null) return Promise.resolve(refuse("not_coordinator"));
    return host.run(decide, signal);
  }

  /** Runs a request whose records belong to a transaction. See ShardHost.runInTransaction. */
  runInTransaction<Response>(
    partition: number,
    write: TransactionalWrite,
    decide: Decide<S, R, Response>,
    signal: AbortSignal,
  ): Promise<Outcome<Response>> {
    const host = this.#hostOf(partition);
    if (host === null) return Promise.resolve(refuse("not_coordinator"));
    return host.runInTransaction(write, decide, signal);
  }

  /** Runs a decision for a caller who cannot wait; null where none can be made. See ShardHost.decideAtOnce. */
  decideAtOnce<Result>(
    partition: number,
    decide: (shard: S, now: Now) => { readonly decision: Decision<R>; readonly result: Result },
  ): Result | null {
    return this.#hostOf(partition)?.decideAtOnce(decide) ?? null;
  }

  /** Ends a producer's transaction in a partition; nothing is loaded for it. See ShardHost.endTransaction. */
  endTransaction(partition: number, marker: EndMarker): Outcome<AppendedToLog> {
    const host = this.#hostOf(partition);
    return host === null ? refuse("not_leader_or_follower") : host.endTransaction(marker);
  }

  /** Begins to load a partition, unless it is hosted already. */
  load(partition: number): void {
    this.#hostOf(partition)?.start();
  }

  /** Whether the shard is there and decides at once. */
  isActive(partition: number): boolean {
    return this.#hosts.get(partition)?.host.isActive ?? false;
  }

  /** The leadership of a partition is now of that epoch: a host of an older one is dropped. */
  led(partition: number, leaderEpoch: number): void {
    const known = this.#hosts.get(partition);
    if (known !== undefined && known.leaderEpoch < leaderEpoch) this.drop(partition);
  }

  /**
   * This broker does not lead it any more, or it is gone: who waits is told not_coordinator.
   *
   * @param last Called with the shard before, if it is there
   */
  drop(partition: number, last?: (shard: S) => void): void {
    const known = this.#hosts.get(partition);
    this.#hosts.delete(partition);
    known?.host.close(last);
  }

  dropAll(last?: (shard: S) => void): void {
    for (const partition of [...this.#hosts.keys()]) this.drop(partition, last);
  }

  /** Drops all shards for good. */
  close(): void {
    this.#isClosed = true;
    this.dropAll();
  }

  #hostOf(partition: number): ShardHost<S, R> | null {
    const known = this.#hosts.get(partition);
    if (known !== undefined) return known.host;
    const log = this.#isClosed ? null : this.#options.openLog(partition);
    if (log === null) return null;
    const host = new ShardHost<S, R>({ ...this.#options.hostOptions(partition), log });
    this.#hosts.set(partition, { leaderEpoch: log.leaderEpoch, host });
    return host;
  }
}
