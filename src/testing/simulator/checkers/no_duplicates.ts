// No duplicates under idempotence: a record of an idempotent producer is in the log at most once, however
// often its batch was sent; a plain one at most as often as it was sent.

import type { Checker } from "../history.ts";
import { inWords } from "../record_values.ts";

export const noDuplicates: Checker = {
  name: "no_duplicates",

  audited(partition, { records }, fail) {
    const counts = new Map<number, number>();
    for (const { key } of records) counts.set(key, (counts.get(key) ?? 0) + 1);
    for (const batch of partition.sent.values()) {
      const most = batch.isIdempotent ? 1 : batch.attempts;
      for (let i = 0; i < batch.recordCount; i++) {
        const key = batch.producer * 0x100000000 + batch.firstSequence + i;
        const count = counts.get(key) ?? 0;
        counts.delete(key);
        if (count > most) {
          fail(
            `${inWords(key)} is in ${partition.label} ${count} times, and was sent ${batch.attempts} times`,
          );
        }
      }
    }
    for (const key of counts.keys())
      fail(`${inWords(key)} is in ${partition.label}, and was never sent`);
  },
};
