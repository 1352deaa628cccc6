// Whether the replicas of each partition hold the same bytes: what three stopped brokers have in their folders, side by side.
// Invariant: batches are compared as they lie in the log, leader epochs included, so nothing that a reader cannot see hides.

import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";

const PIECE_BYTES = 1 << 20;

/** The bytes of one replica's log, as one number and one digest. */
export interface Replica {
  readonly broker: string;
  readonly sizeBytes: number;
  readonly digest: string;
}

/** A partition's .log files in a folder of Apache Kafka (or in its form), in the order of their base offsets. */
function kafkaReplica(broker: string, folder: string): Replica {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  const files = readdirSync(folder).filter((name) => /^\d{20}\.log$/.test(name));
  const piece = Buffer.alloc(PIECE_BYTES);
  for (const name of files.sort()) {
    const file = openSync(join(folder, name), "r");
    for (let at = 0; ; ) {
      const read = readSync(file, piece, 0, piece.length, at);
      if (read === 0) break;
      hash.update(piece.subarray(0, read));
      at += read;
      sizeBytes += read;
    }
    closeSync(file);
  }
  return { broker, sizeBytes, digest: hash.digest("hex").slice(0, 16) };
}

/** How the replicas of `place` differ; undefined: not at all, and there are `count` of them. */
export function differenceOf(
  place: string,
  replicas: readonly Replica[],
  count: number,
): string | undefined {
  if (replicas.length !== count) return `${place} has ${replicas.length} replicas, not ${count}`;
  const [first, ...rest] = replicas as [Replica, ...Replica[]];
  const other = rest.find((each) => each.digest !== first.digest);
  if (other === undefined) return undefined;
  const told = ({ broker, sizeBytes, digest }: Replica): string =>
    `${broker}: ${sizeBytes} bytes, ${digest}`;
  return `${place} differs (${told(first)}; ${told(other)})`;
}

/** What one broker keeps of `topics` in a log folder of Kafka's form, by place. */
export function kafkaReplicas(
  brokerId: number,
  folder: string,
  topics: readonly { readonly name: string; readonly partitions: number }[],
): Map<string, Replica> {
  const replicas = new Map<string, Replica>();
  for (const { name, partitions } of topics) {
    for (let partition = 0; partition < partitions; partition++) {
      const own = join(folder, `${name}-${partition}`);
      if (!existsSync(own)) continue;
      replicas.set(`${name}/${partition}`, kafkaReplica(`broker ${brokerId}`, own));
    }
  }
  return replicas;
}
