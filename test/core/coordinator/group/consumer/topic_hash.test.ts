// The hash of a group's topics: what it depends on, what it does not, and the bytes that Kafka sums up.

import { describe, expect, test } from "bun:test";
import { uuidToBytes } from "../../../../../src/base/uuid.ts";
import { xxh3 } from "../../../../../src/base/xxh3.ts";
import {
  TopicHashes,
  topicHash,
} from "../../../../../src/core/coordinator/group/consumer/topic_hash.ts";
import { RigTopics } from "../../shard_rig.ts";

const ID = "VQbMoZ8SRk6IfgQrGmz-Cg";

describe("a topic's hash", () => {
  test("is over the stream of Kafka's", () => {
    const topics = new RigTopics();
    const topic = topics.create("fo", 2, [["b", "a"], []], ID);
    const id = [...uuidToBytes(ID)];
    const bytes = [
      0,
      ...id.slice(0, 8).reverse(),
      ...id.slice(8).reverse(),
      // "fo" as UTF-16 units, and how many.
      ...[0x66, 0, 0x6f, 0, 2, 0, 0, 0],
      ...[2, 0, 0, 0],
      // Partition 0 with racks "a" and "b": length, text, length of the text.
      ...[0, 0, 0, 0],
      ...[1, 0, 0, 0, 0x61, 0, 1, 0, 0, 0],
      ...[1, 0, 0, 0, 0x62, 0, 1, 0, 0, 0],
      ...[1, 0, 0, 0],
    ];
    expect(topicHash(topic)).toBe(xxh3(new Uint8Array(bytes)));
  });

  test("is another one for another id, name, partition count or rack", () => {
    const topics = new RigTopics();
    const hashes = [
      topicHash(topics.create("foo", 2, [["a"]], ID)),
      topicHash(topics.create("foo", 2, [["a"]])),
      topicHash(topics.create("bar", 2, [["a"]], ID)),
      topicHash(topics.create("foo", 3, [["a"]], ID)),
      topicHash(topics.create("foo", 2, [["b"]], ID)),
      topicHash(topics.create("foo", 2, [[], ["a"]], ID)),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
  });
});

describe("a group's hash", () => {
  test("does not depend on the order, and not on topics that do not exist", () => {
    const topics = new RigTopics();
    topics.create("a", 1);
    topics.create("b", 2);
    const hashes = new TopicHashes();
    const hash = hashes.groupHash(["a", "b"], topics);
    expect(hashes.groupHash(["b", "nope", "a"], topics)).toBe(hash);
    expect(hashes.groupHash(["b"], topics)).not.toBe(hash);
    expect(hashes.groupHash(["nope"], topics)).toBe(0n);
    expect(BigInt.asIntN(64, hash)).toBe(hash);
  });

  test("follows the image", () => {
    const topics = new RigTopics();
    topics.create("a", 1);
    const hashes = new TopicHashes();
    const before = hashes.groupHash(["a"], topics);
    topics.grow("a", 2);
    expect(hashes.groupHash(["a"], topics)).not.toBe(before);
    topics.delete("a");
    expect(hashes.groupHash(["a"], topics)).toBe(0n);
  });
});
