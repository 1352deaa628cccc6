// What came of an append to a log, decided before anything was waited for.

import type { KafkaErrorName } from "../../protocol/errors.ts";
import type { CommitGroup } from "./commit_group.ts";

export type AppendVerdict =
  | {
      readonly kind: "appended";
      readonly baseOffset: number;
      readonly logAppendTimeMs: number;
      readonly group: CommitGroup;
    }
  | {
      readonly kind: "duplicate";
      readonly baseOffset: number;
      readonly lastOffset: number;
      readonly logAppendTimeMs: number;
    }
  | { readonly kind: "refused"; readonly code: KafkaErrorName; readonly message: string };
