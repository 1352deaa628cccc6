// A group's committed offset is never below what was acknowledged, and never one that nobody asked for.

import type { ClusterChecker } from "../cluster_history.ts";

export const committedOffsetsKept: ClusterChecker = {
  name: "committed_offsets_kept",

  offsetFetched(group, offset, floor, asked, fail) {
    if (offset < floor) fail(`${group} had committed ${floor}, and is told ${offset}`);
    if (offset > asked) fail(`${group} is told ${offset}, and asked for ${asked} at most`);
  },
};
