// What a simulated cluster's store holds of partitions, read by the simulator itself: to know when a disk may be replaced, and
// when all is in sync again. Invariant: it is only looked at, and checkers judge by what clients are told.

import type { RevisionTable } from "../../../base/revision_table.ts";

export const PARTITION_PREFIX = "partitions/";
const BROKER_PREFIX = "brokers/";

/** Leader, leader epoch, partition epoch, replicas, ISR: as core/cluster/cluster_entries writes them. */
export interface StoredPartition {
  readonly key: string;
  readonly leader: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  readonly isMoving: boolean;
}

/** Of one entry of the store. */
export function partitionsOfBlock(key: string, value: Uint8Array): StoredPartition[] {
  const { p } = JSON.parse(new TextDecoder().decode(value)) as {
    readonly p: readonly (readonly [
      number,
      number,
      number,
      number[],
      number[],
      number[]?,
      number[]?,
    ])[];
  };
  return p.map(([leader, , , replicas, isr, adding = [], removing = []]) => {
    const isMoving = adding.length + removing.length > 0;
    return { key, leader, replicas, isr, isMoving };
  });
}

export function storedPartitions(table: RevisionTable): StoredPartition[] {
  return table.read(PARTITION_PREFIX).flatMap(({ key, value }) => partitionsOfBlock(key, value));
}

/** Ids of brokers that are registered. */
export function storedBrokers(table: RevisionTable): number[] {
  return table.read(BROKER_PREFIX).map(({ key }) => Number(key.slice(BROKER_PREFIX.length)));
}

/** Every replica of every partition is in sync, and none is on its way. */
export function isAllInSync(table: RevisionTable): boolean {
  return storedPartitions(table).every(
    ({ leader, replicas, isr, isMoving }) =>
      leader >= 0 && !isMoving && isr.length === replicas.length,
  );
}
