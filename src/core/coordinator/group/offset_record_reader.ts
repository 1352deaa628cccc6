// Committed offsets as they are read by the hundred thousand when a shard loads: the same as the general decoder gives,
// at a third of the time. Invariant: what is not of the plain form (null where there is text, unknown tags, old
// versions) is left to the general decoder, which also says what is wrong with it. See group_record_serde.ts.

import { ByteReader } from "../../../base/byte_reader.ts";
import { readUuid, ZERO_UUID } from "../../../base/uuid.ts";
import type { OffsetCommitRecord } from "./group_record.ts";

const RECORD_TYPE = 1;
/** Written by Kafka up to 4.0. */
const WITH_EPOCH = 3;
/** Flexible, and may name the topic's id. */
const WITH_TOPIC_ID = 4;
const UUID_BYTES = 16;

/** @throws {DecodeError} when the bytes end too soon */
export function readOffsetCommit(key: Uint8Array, value: Uint8Array): OffsetCommitRecord | null {
  const keys = new ByteReader(key);
  if (keys.int16() !== RECORD_TYPE) return null;
  const groupBytes = keys.int16();
  if (groupBytes < 0) return null;
  const group = keys.utf8(groupBytes);
  const topicBytes = keys.int16();
  if (topicBytes < 0) return null;
  const topic = keys.utf8(topicBytes);
  const partition = keys.int32();

  const values = new ByteReader(value);
  const version = values.int16();
  if (version !== WITH_EPOCH && version !== WITH_TOPIC_ID) return null;
  const offset = values.int64();
  const leaderEpoch = values.int32();
  const metadataBytes = version === WITH_EPOCH ? values.int16() : values.uvarint() - 1;
  if (metadataBytes < 0) return null;
  const metadata = values.utf8(metadataBytes);
  const commitTimestamp = values.int64();
  let topicId = ZERO_UUID;
  if (version === WITH_TOPIC_ID) {
    const tags = values.uvarint();
    if (tags > 1) return null;
    if (tags === 1) {
      if (values.uvarint() !== 0 || values.uvarint() !== UUID_BYTES) return null;
      topicId = readUuid(values);
    }
  }
  return {
    kind: "offset_commit",
    key: { group, topic, partition },
    value: { offset, leaderEpoch, metadata, commitTimestamp, expireTimestamp: -1, topicId },
  };
}
