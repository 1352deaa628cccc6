// Whether the replicas of each partition hold the same bytes: what three stopped brokers have in their folders, side by side.
// Invariant: batches are compared as they lie in the log, leader epochs included, so nothing that a reader cannot see hides.

import { createHash } from "node:crypto";
import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";

const PIECE_BYTES = 1 << 20;

/** The bytes of one replica's log, as one number and one digest. */
export interface Replica {
  readonly broker: string;
  readonly sizeBytes: number;
  readonly digest: string;
}

/** A partition's .log files in a folder of Apache Kafka (or in its form), in the order of their base offsets. */
export function kafkaReplica(broker: string, folder: string): Replica {
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

/** How the replicas of `place` differ; undefined: not at all. */
export function differenceOf(place: string, replicas: readonly Replica[]): string | undefined {
  const [first, ...rest] = replicas;
  if (first === undefined || rest.length === 0) return `${place} has ${replicas.length} replicas`;
  const other = rest.find((each) => each.digest !== first.digest);
  if (other === undefined) return undefined;
  const told = ({ broker, sizeBytes, digest }: Replica): string =>
    `${broker}: ${sizeBytes} bytes, ${digest}`;
  return `${place} differs (${told(first)}; ${told(other)})`;
}

/** Compares partitions of `topics` that lie in `folders`, one of each broker, in Kafka's form. */
export function kafkaDifferences(
  folders: ReadonlyMap<string, string>,
  topics: readonly string[],
): { compared: number; differences: string[] } {
  const places = new Map<string, Replica[]>();
  for (const [broker, folder] of folders) {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const parts = /^(.+)-(\d+)$/.exec(entry.name);
      if (!entry.isDirectory() || parts === null || !topics.includes(parts[1]!)) continue;
      const place = `${parts[1]}/${parts[2]}`;
      const replica = kafkaReplica(broker, join(folder, entry.name));
      places.set(place, [...(places.get(place) ?? []), replica]);
    }
  }
  const differences = [...places]
    .map(([place, replicas]) => differenceOf(place, replicas))
    .filter((each) => each !== undefined);
  return { compared: places.size, differences };
}
