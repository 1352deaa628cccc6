// A leader epoch of a partition has one leader: nobody is told of two, and nobody else acknowledges records under it.

import type { PartitionHistory } from "../../history.ts";
import { inWords } from "../../record_values.ts";
import type { ClusterChecker } from "../cluster_history.ts";

export function oneLeaderPerEpoch(): ClusterChecker {
  const leaders = new Map<string, number>();
  /** Of offsets that were acknowledged at the first attempt: by whom. */
  const ackers = new Map<PartitionHistory, Map<number, number>>();
  const leads = (partition: PartitionHistory, epoch: number, leader: number): number => {
    const key = `${partition.label} ${epoch}`;
    const known = leaders.get(key);
    if (known === undefined) leaders.set(key, leader);
    return known ?? leader;
  };
  return {
    name: "one_leader_per_epoch",

    described(partition, { leader, leaderEpoch }, fail) {
      if (leader < 0 || leaderEpoch < 0) return;
      const known = leads(partition, leaderEpoch, leader);
      if (known === leader) return;
      fail(`${partition.label} is led by ${known} and by ${leader} in epoch ${leaderEpoch}`);
    },

    ackedBy(partition, { batch, baseOffset }, brokerId) {
      if (batch.attempts > 1) return;
      const offsets = ackers.get(partition) ?? new Map<number, number>();
      ackers.set(partition, offsets);
      offsets.set(baseOffset, brokerId);
    },

    served(partition, { baseOffset, leaderEpoch }, fail) {
      const acker = ackers.get(partition)?.get(baseOffset);
      if (acker === undefined) return;
      const known = leads(partition, leaderEpoch, acker);
      if (known === acker) return;
      const key = partition.acked.get(baseOffset);
      fail(
        `${acker} acknowledged ${key === undefined ? "a record" : inWords(key)} at ${partition.label} ${baseOffset} in epoch ${leaderEpoch}, which ${known} leads`,
      );
    },
  };
}
