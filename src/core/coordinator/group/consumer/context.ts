// What all parts of the consumer side share within a shard.

import type { GroupShardOptions } from "../group_shard_options.ts";
import type { Groups } from "../groups.ts";
import type { TopicView } from "../topic_view.ts";
import type { ClassicSide } from "./classic_side.ts";
import type { MemberTimers } from "./member_timers.ts";
import type { TopicHashes } from "./topic_hash.ts";

/** What a shard knows of a group and loses: made anew when it is missing. */
export interface SoftState {
  /** Revision of the image that the group's hash was last held against; -1 for none since the load. */
  revision: number;
  /** The same of its expressions. */
  regexRevision: number;
  /** Monotonic time of the last change of anything. */
  changedAtMs: number;
}

export interface ConsumerContext {
  readonly options: GroupShardOptions;
  readonly groups: Groups;
  readonly classic: ClassicSide;
  readonly timers: MemberTimers;
  readonly hashes: TopicHashes;
  readonly softStates: Map<string, SoftState>;
}

export function topicsOf(context: ConsumerContext): TopicView {
  return context.options.topics();
}

export function softStateOf(context: ConsumerContext, groupId: string): SoftState {
  let soft = context.softStates.get(groupId);
  if (soft === undefined) {
    soft = { revision: -1, regexRevision: -1, changedAtMs: Number.NEGATIVE_INFINITY };
    context.softStates.set(groupId, soft);
  }
  return soft;
}
