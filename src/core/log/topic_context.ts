// What the logs of one topic have in common.

import type { TopicSettings } from "../settings/topic_settings.ts";

/** What the logs of one topic share. Settings are replaced as a whole when they change. */
export interface TopicContext {
  readonly name: string;
  readonly idBytes: Uint8Array;
  readonly idHex: string;
  settings: TopicSettings;
  leaderEpoch: number;
  isDeleted: boolean;
}
