// Records out of fetched batches, checked on the way: checksums, structure, and the identity that each
// value carries. What does not hold fails the run: a broker never serves wrong bytes, whatever its disk does.

import { batchesIn } from "../../record/record_batch.ts";
import { openRecords } from "../../record/record_block.ts";
import { RecordCursor } from "../../record/record_reader.ts";
import type { PartitionHistory, ReadRecord } from "./history.ts";
import { identityOf, recordKeyOf } from "./record_values.ts";
import { simCompression } from "./sim_compression.ts";
import type { World } from "./world.ts";

const CHECKER = "bytes_are_right";
const OPEN = { compression: simCompression, sizeBytesMax: 64 * 1024 * 1024 };

/** Records at or after `fetchOffset`; null after damage, which has failed the run. */
export function recordsIn(
  world: World,
  partition: PartitionHistory,
  fetchOffset: number,
  bytes: Uint8Array,
): readonly ReadRecord[] | null {
  const wrong = (what: string) => {
    world.fail(CHECKER, `${partition.label}, fetched at ${fetchOffset}: ${what}`);
    return null;
  };
  const { batches, fault } = batchesIn(bytes);
  if (fault !== null) return wrong(`${fault} after ${batches.length} batches`);
  const records: ReadRecord[] = [];
  for (const batch of batches) {
    const damage = batch.check();
    if (damage !== null) return wrong(`batch ${batch.baseOffset}: ${damage}`);
    const block = openRecords(batch, OPEN);
    if (typeof block === "string") return wrong(`batch ${batch.baseOffset}: ${block}`);
    const cursor = new RecordCursor(block);
    while (cursor.next()) {
      const offset = batch.baseOffset + cursor.offsetDelta;
      const value = cursor.value();
      const identity = value === null ? null : identityOf(value);
      if (identity === null) return wrong(`offset ${offset} is no value of ours`);
      if (identity.topic !== partition.topic.number || identity.partition !== partition.partition) {
        return wrong(
          `offset ${offset} is of topic ${identity.topic}, partition ${identity.partition}`,
        );
      }
      if (offset < fetchOffset) continue;
      const timestampMs = batch.isLogAppendTime
        ? batch.maxTimestampMs
        : batch.baseTimestampMs + cursor.timestampDelta;
      records.push({ offset, timestampMs, key: recordKeyOf(identity), identity });
    }
    if (cursor.fault !== null) return wrong(`batch ${batch.baseOffset}: ${cursor.fault}`);
  }
  return records;
}
