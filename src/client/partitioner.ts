// Which partition a record goes to: by a hash of its key, in turn, or the one whose batch is being filled.
// Invariant: equal keys of one topic go to one partition as long as its partition count stays; xxhash is
// what Millrace's broker computes, murmur2 what Kafka's Java clients compute (decision 10).
// Kafka: BuiltInPartitioner, RoundRobinPartitioner, KIP-480.

import { murmur2Partition } from "../base/murmur2.ts";
import { xxhashOnDemand } from "../base/xxhash.ts";
import type { Random } from "../contracts/runtime.ts";

/** A rule of one's own. @returns a partition from 0 to `partitionCount` - 1 */
export type PartitionFunction = (
  key: Uint8Array | null,
  partitionCount: number,
  topic: string,
) => number;

/**
 * How partitions are chosen for records that name none.
 *
 * - `topic`: as the topic's setting `partitioner` says; murmur2 where the broker knows no such setting.
 * - `xxhash`, `murmur2`: by the key's hash; records without a key fill one partition's batch, then another's.
 * - `round_robin`: each record goes to the next partition, whatever its key.
 * - `sticky`: whatever the key, one partition's batch is filled, then another's.
 */
export type PartitionerChoice =
  | "topic"
  | "xxhash"
  | "murmur2"
  | "round_robin"
  | "sticky"
  | PartitionFunction;

/** The choice for one topic. */
export interface Partitioner {
  partition(key: Uint8Array | null, partitionCount: number): number;
  /** A partition's batch is full: keyless records may go elsewhere. */
  batchClosed(partition: number, partitionCount: number): void;
}

type KeyHash = (key: Uint8Array, partitionCount: number) => number;

/** The partitioner of a topic. @throws {TypeError} for a word that is none */
export function partitionerFor(
  choice: Exclude<PartitionerChoice, "topic">,
  topic: string,
  random: Random,
): Partitioner {
  if (typeof choice === "function") {
    const partition = (key: Uint8Array | null, count: number) => choice(key, count, topic);
    return { partition, batchClosed() {} };
  }
  switch (choice) {
    case "xxhash":
      // Workers compile no WebAssembly out of bytes: there the plain one goes on.
      return keyed(xxhashOnDemand().partition, random);
    case "murmur2":
      return keyed(murmur2Partition, random);
    case "sticky":
      return keyed(null, random);
    case "round_robin":
      return roundRobin(random);
    default:
      throw new TypeError(`There is no partitioner ${JSON.stringify(choice)}`);
  }
}

function keyed(hash: KeyHash | null, random: Random): Partitioner {
  let current = -1;
  const other = (count: number): number => {
    if (count === 1) return 0;
    // Any but the current one, each as likely.
    const step = 1 + (random.uint32() % (count - 1));
    return current < 0 ? random.uint32() % count : (current + step) % count;
  };
  return {
    partition(key, count) {
      if (key !== null && hash !== null) return hash(key, count);
      if (current < 0 || current >= count) current = other(count);
      return current;
    },
    batchClosed(partition, count) {
      if (partition === current) current = other(count);
    },
  };
}

function roundRobin(random: Random): Partitioner {
  let next = -1;
  return {
    partition(_key, count) {
      next = next < 0 ? random.uint32() % count : (next + 1) % count;
      return next;
    },
    batchClosed() {},
  };
}
