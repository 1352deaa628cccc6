// Waits until what was appended to a replicated partition is committed: below the high watermark while this broker still leads.
// Invariant: each wait ends, with true or false: when the watermark has passed, or the leadership it was appended under is over.
// Waits are as many as there are batches under way. Kafka: DelayedProduce, as coordinators use it.

import type { CommitGroup } from "../log/commit_group.ts";
import type { LogWaiter, PartitionLog } from "../log/partition_log.ts";

interface Wait {
  /** Exclusive. */
  readonly endOffset: number;
  readonly mayLead: () => boolean;
  readonly resolve: (isCommitted: boolean) => void;
}

const waitsByLog = new WeakMap<PartitionLog, CommitWaits>();

class CommitWaits implements LogWaiter {
  #waits: Wait[] = [];

  add(log: PartitionLog, wait: Wait): void {
    this.#waits.push(wait);
    log.waiters ??= new Set();
    log.waiters.add(this);
  }

  onAdvance(log: PartitionLog): void {
    const waits = this.#waits;
    this.#waits = waits.filter((wait) => !settle(log, wait));
    if (this.#waits.length > 0) return;
    log.waiters?.delete(this);
    if (log.waiters?.size === 0) log.waiters = null;
  }
}

function settle(log: PartitionLog, { endOffset, mayLead, resolve }: Wait): boolean {
  // First: what another leader has written there since may have been committed instead.
  if (log.topic.isDeleted || !mayLead()) {
    resolve(false);
    return true;
  }
  if (log.highWatermark < endOffset) return false;
  resolve(true);
  return true;
}

/**
 * Resolves once all before `endOffset` is committed (true), or may never be (false).
 *
 * @param mayLead Whether this broker leads the partition under the epoch of what was appended; asked whenever the log's
 *   waiters are woken, which whoever takes the leadership away has to do
 */
export function reached(
  log: PartitionLog,
  endOffset: number,
  mayLead: () => boolean,
): Promise<boolean> {
  return new Promise((resolve) => {
    const wait = { endOffset, mayLead, resolve };
    if (settle(log, wait)) return;
    let waits = waitsByLog.get(log);
    if (waits === undefined) {
      waits = new CommitWaits();
      waitsByLog.set(log, waits);
    }
    waits.add(log, wait);
  });
}

/**
 * Resolves with whether what was appended ever will be committed. @param mayLead As above; null: nobody else can lead, and what
 * is synced is committed
 */
export async function committed(
  log: PartitionLog,
  group: CommitGroup,
  endOffset: number,
  mayLead: (() => boolean) | null,
): Promise<boolean> {
  if (!(await group.settled())) return false;
  return mayLead === null ? log.highWatermark >= endOffset : reached(log, endOffset, mayLead);
}
