// The topics that members of a classic consumer group read, out of what they say to their leader.
// The format's first version is a prefix of all later ones, so that those which do not exist yet are understood, too.
// Kafka: ClassicGroup.computeSubscribedTopics, ConsumerProtocol.

import { ByteReader } from "../../../../base/byte_reader.ts";
import { codecOf } from "../../../../protocol/compile.ts";
import { ConsumerProtocolSubscription } from "../../../../protocol/internal_records/consumer_protocol.ts";

/** The protocol type of consumers: what their metadata means is known. */
export const CONSUMER_PROTOCOL_TYPE = "consumer";

/** @throws {DecodeError} when the metadata is not that of a consumer */
export function topicsOf(metadata: Uint8Array): readonly string[] {
  const reader = new ByteReader(metadata);
  reader.int16();
  return codecOf(ConsumerProtocolSubscription, 0).read(reader).topics;
}
