// What the logs of one topic have in common.

import type { TopicSettings } from "../settings/topic_settings.ts";
import type { CommitMode } from "./journal.ts";

/** What the logs of one topic share. Settings are replaced as a whole when they change. */
export interface TopicContext {
  readonly name: string;
  readonly idBytes: Uint8Array;
  readonly idHex: string;
  settings: TopicSettings;
  leaderEpoch: number;
  isDeleted: boolean;
}

/** What `millrace.durability` asks of the journal. */
export function commitMode(settings: TopicSettings): CommitMode {
  if (settings.durability === "fsync") return "sync";
  return settings.durability === "interval" ? settings.syncIntervalMs : Number.POSITIVE_INFINITY;
}
