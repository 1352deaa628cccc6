// At the end every replica serves the same batches below the high watermark, byte for byte, epochs included.

import { crc32c } from "../../../../base/crc32c.ts";
import type { PartitionHistory } from "../../history.ts";
import type { ClusterChecker, ServedBatch } from "../cluster_history.ts";

export function replicasAgree(): ClusterChecker {
  const first = new Map<PartitionHistory, { brokerId: number; batches: readonly ServedBatch[] }>();
  return {
    name: "replicas_agree",

    replicaAudited(partition, brokerId, highWatermark, batches, fail) {
      const end = batches.at(-1)?.endOffset ?? 0;
      if (end < highWatermark) {
        fail(`${partition.label} at broker ${brokerId} ends at ${end}, below ${highWatermark}`);
        return;
      }
      const other = first.get(partition);
      if (other === undefined) {
        first.set(partition, { brokerId, batches });
        return;
      }
      const count = Math.max(batches.length, other.batches.length);
      for (let i = 0; i < count; i++) {
        const [ours, theirs] = [batches[i], other.batches[i]];
        if (ours !== undefined && theirs !== undefined && isSame(ours.bytes, theirs.bytes))
          continue;
        fail(
          `${partition.label} at broker ${brokerId} has ${inWords(ours)}, at broker ${other.brokerId} ${inWords(theirs)}`,
        );
        return;
      }
    },
  };
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function inWords(batch: ServedBatch | undefined): string {
  if (batch === undefined) return "nothing";
  const { baseOffset, endOffset, leaderEpoch, bytes } = batch;
  return `${baseOffset} to ${endOffset} of epoch ${leaderEpoch} (sum ${crc32c(bytes, 0, bytes.length)})`;
}
