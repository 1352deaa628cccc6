// What a shard of groups is given by its host, and hands on to its parts.

import type { Logger, Random } from "../../../contracts/runtime.ts";
import type { ShardTimers } from "../runtime/shard.ts";
import type { GroupRecord } from "./group_record.ts";
import type { GroupSettings } from "./group_settings.ts";
import type { TopicView } from "./topic_view.ts";

export interface GroupShardOptions {
  readonly timers: ShardTimers<GroupRecord>;
  readonly topics: () => TopicView;
  readonly settings: GroupSettings;
  /** Of this shard alone: member ids are drawn from it. */
  readonly random: Random;
  readonly log: Logger;
}
