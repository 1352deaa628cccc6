// One number for all that a group knows of its topics: when it differs from the stored one, the group is to be assigned
// anew. Computed as Kafka does, so that its brokers take our groups over without a rebalance.
// Kafka: Utils.computeTopicHash, Utils.computeGroupHash (XXH3 over hash4j's stream: little endian, text as UTF-16 units
// with their count behind).

import { uuidToBytes } from "../../../../base/uuid.ts";
import { xxh3 } from "../../../../base/xxh3.ts";
import type { TopicSeen, TopicView } from "../topic_view.ts";

/** The version of the form below. */
const MAGIC = 0;

/** Hashes of topics, remembered while the image stays the same. */
export class TopicHashes {
  readonly #byName = new Map<string, bigint>();
  #revision = -1;

  /** As a signed 64-bit integer; 0 when none of the topics exists. */
  groupHash(names: Iterable<string>, topics: TopicView): bigint {
    if (topics.revision !== this.#revision) {
      this.#byName.clear();
      this.#revision = topics.revision;
    }
    const existing = [...names].filter((name) => topics.named(name) !== null).sort();
    if (existing.length === 0) return 0n;
    const view = new DataView(new ArrayBuffer(8 * existing.length));
    for (const [index, name] of existing.entries()) {
      view.setBigUint64(8 * index, this.#topicHash(name, topics), true);
    }
    return BigInt.asIntN(64, xxh3(new Uint8Array(view.buffer)));
  }

  #topicHash(name: string, topics: TopicView): bigint {
    let hash = this.#byName.get(name);
    if (hash === undefined) {
      hash = topicHash(topics.named(name)!);
      this.#byName.set(name, hash);
    }
    return hash;
  }
}

/** Unsigned. */
export function topicHash(topic: TopicSeen): bigint {
  const racks = Array.from({ length: topic.partitionCount }, (_, partition) =>
    [...topic.racks(partition)].sort(),
  );
  let size = 1 + 16 + textBytes(topic.name) + 4 + 4 * topic.partitionCount;
  for (const names of racks) for (const rack of names) size += 4 + textBytes(rack);
  const view = new DataView(new ArrayBuffer(size));
  let at = 0;
  const int32 = (value: number) => {
    view.setInt32(at, value, true);
    at += 4;
  };
  const text = (value: string) => {
    for (let unit = 0; unit < value.length; unit++) {
      view.setUint16(at, value.charCodeAt(unit), true);
      at += 2;
    }
    int32(value.length);
  };
  view.setUint8(at++, MAGIC);
  const id = new DataView(uuidToBytes(topic.id).buffer);
  for (const half of [0, 8]) {
    // Two longs: big endian in the uuid, little endian in the stream.
    view.setBigUint64(at, id.getBigUint64(half), true);
    at += 8;
  }
  text(topic.name);
  int32(topic.partitionCount);
  for (const [partition, names] of racks.entries()) {
    int32(partition);
    for (const rack of names) {
      int32(rack.length);
      text(rack);
    }
  }
  return xxh3(new Uint8Array(view.buffer));
}

function textBytes(text: string): number {
  return 2 * text.length + 4;
}
