// The replicas that a stopped broker of ours keeps in its data folder, batch by batch from the log itself: journal and segments.
// Invariant: a copy of the folder is opened, so what a check finds is still there for whoever looks.

import { createHash } from "node:crypto";
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { storageFs } from "../../plugins/storage-fs/mod.ts";
import { LogRig, topic } from "../../test/support/log_rig.ts";
import type { Replica } from "./replicas.ts";

const READ_BYTES_MAX = 1 << 20;

export interface TopicToRead {
  readonly name: string;
  readonly id: string;
  readonly partitions: number;
}

/**
 * @param data The broker's data folder. @param work A folder of one's own. @returns by place
 * @throws {Error} where the log is damaged
 */
export async function millraceReplicas(
  brokerId: number,
  data: string,
  work: string,
  topics: readonly TopicToRead[],
): Promise<Map<string, Replica>> {
  const copy = join(work, `broker-${brokerId}-copy`);
  mkdirSync(copy, { recursive: true });
  // The rig opens broker 1.
  cpSync(join(data, `broker-${brokerId}`), join(copy, "broker-1"), { recursive: true });
  const images = topics.map((each) => ({ ...topic(each.name, each.partitions), id: each.id }));
  const rig = await LogRig.open(storageFs({ directory: copy }), { topics: images });
  try {
    const replicas = new Map<string, Replica>();
    for (const { name, id, partitions } of topics) {
      for (let partition = 0; partition < partitions; partition++) {
        const place = `${name}/${partition}`;
        replicas.set(place, await replicaIn(rig, `broker ${brokerId}`, place, id, partition));
      }
    }
    return replicas;
  } finally {
    await rig.close();
    rmSync(copy, { recursive: true, force: true });
  }
}

async function replicaIn(
  rig: LogRig,
  broker: string,
  place: string,
  topicId: string,
  partition: number,
): Promise<Replica> {
  const log = rig.logs.log(topicId, partition);
  if (log === null) throw new Error(`${broker} has no ${place}`);
  const hash = createHash("sha256");
  let sizeBytes = 0;
  for (let offset = log.logStartOffset; offset < log.logEndOffset; ) {
    const read = await rig.logs.reader.read(log, offset, log.logEndOffset, READ_BYTES_MAX, true);
    if (read.fault !== null || read.batches.length === 0) {
      throw new Error(`${broker} cannot read ${place} at ${offset}: ${read.fault ?? "nothing"}`);
    }
    hash.update(read.batches);
    sizeBytes += read.batches.length;
    offset = read.endOffset;
    rig.logs.reader.release(read);
  }
  return { broker, sizeBytes, digest: hash.digest("hex").slice(0, 16) };
}
