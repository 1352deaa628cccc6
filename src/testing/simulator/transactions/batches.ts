// Batches of the transactional workload: every record names its author and place, tombstones in a header.

import type { SeededRandom } from "../../../base/prng.ts";
import { RecordBatchBuilder } from "../../../record/record_builder.ts";
import { recordValue } from "../record_values.ts";
import { simCompression } from "../sim_compression.ts";
import { WALL_START_MS } from "../sim_runtime.ts";
import type { World } from "../world.ts";
import type { Author, ModelPartition } from "./model.ts";

const CODECS = ["none", "none", "lz4", "snappy"] as const;

/** The author's records in the partition from `first` on, as one batch. */
export function batchBytes(
  world: World,
  random: SeededRandom,
  valueBytesMax: number,
  author: Author,
  partition: ModelPartition,
  first: number,
  producer: {
    readonly producerId: number;
    readonly producerEpoch: number;
    readonly baseSequence: number;
    readonly isTransactional: boolean;
  },
): Uint8Array {
  const builder = new RecordBatchBuilder({
    codec: CODECS[random.below(CODECS.length)]!,
    compression: simCompression,
    ...producer,
  });
  const nowMs = WALL_START_MS + Math.floor(world.nowUs / 1000);
  const sent = author.sent.get(partition)!;
  for (let sequence = first; sequence < sent.length; sequence++) {
    const identity = {
      topic: partition.topic.number,
      partition: partition.index,
      producer: author.number,
      sequence,
    };
    const { key, isTombstone } = sent[sequence]!;
    const value = recordValue(identity, random.below(valueBytesMax + 1));
    const timestampMs = nowMs - random.below(50);
    if (isTombstone) builder.append(timestampMs, keyBytes(key), null, [{ key: "id", value }]);
    else builder.append(timestampMs, keyBytes(key), value);
  }
  return builder.build();
}

function keyBytes(key: number): Uint8Array {
  return new Uint8Array([0x6b, key >>> 8, key]);
}
