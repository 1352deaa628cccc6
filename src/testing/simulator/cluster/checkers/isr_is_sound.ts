// The in-sync set is never empty, holds replicas only, each once, and the leader, if there is one.

import type { ClusterChecker } from "../cluster_history.ts";

export const isrIsSound: ClusterChecker = {
  name: "isr_is_sound",

  described(partition, { leader, replicas, isr }, fail) {
    const label = `${partition.label}, leader ${leader}, replicas ${replicas}, in sync ${isr}`;
    if (isr.length === 0) fail(`nobody is in sync: ${label}`);
    if (new Set(isr).size !== isr.length) fail(`in sync twice: ${label}`);
    if (new Set(replicas).size !== replicas.length) fail(`a replica twice: ${label}`);
    if (isr.some((id) => !replicas.includes(id))) fail(`in sync and no replica: ${label}`);
    if (leader >= 0 && !isr.includes(leader)) fail(`the leader is not in sync: ${label}`);
  },
};
