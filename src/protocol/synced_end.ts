// What a follower has durable, beside what it has: a tagged field of ours on the partitions of a replica's Fetch
// (ADR 44). Other brokers and clients skip it as any tag that they do not know. Kafka: none.

import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { type UnknownTags, unknownTags } from "./schema.ts";

/** Far from Kafka's own, which are given from 0 up. */
const SYNCED_END_TAG = 9000;

/** To be spread into a partition of a Fetch request. */
export function withSyncedEnd(syncedEnd: number): { readonly [unknownTags]: UnknownTags } {
  const writer = new ByteWriter();
  writer.int64(syncedEnd);
  return { [unknownTags]: new Map([[SYNCED_END_TAG, writer.toBytes()]]) };
}

/** -1 where it was not said, or is no offset. */
export function syncedEndOf(partition: { readonly [unknownTags]?: UnknownTags }): number {
  const bytes = partition[unknownTags]?.get(SYNCED_END_TAG);
  if (bytes === undefined || bytes.length !== 8) return -1;
  const syncedEnd = new ByteReader(bytes).int64();
  return typeof syncedEnd === "number" ? Math.max(syncedEnd, -1) : -1;
}
