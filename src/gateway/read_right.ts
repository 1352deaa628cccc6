// Whether a topic may be read, asked before it is followed: a stream is refused by its first answer, and does not begin.
// Kafka: a consumer hears of it with its first Fetch.

import type { Broker, Caller } from "../contracts/broker.ts";
import { type KafkaError, kafkaError } from "../protocol/errors.ts";

const REFUSED = "topic_authorization_failed";

/** Why the caller may not read `topic`, as a rule and not for what it holds; null when he may. Nothing is read. */
export async function readRefusal(
  broker: Broker,
  caller: Caller,
  topic: string,
): Promise<KafkaError | null> {
  const response = await broker.log.fetch(caller, {
    isolation: "read_uncommitted",
    waitMsMax: 0,
    bytesMin: 1,
    bytesMax: 1,
    // Behind every end there is.
    partitions: [
      {
        topic,
        partition: 0,
        fetchOffset: Number.MAX_SAFE_INTEGER,
        bytesMax: 1,
        leaderEpoch: -1,
      },
    ],
  });
  response.release();
  const [outcome] = response.partitions;
  return outcome?.ok === false && outcome.error.code === REFUSED ? kafkaError(REFUSED) : null;
}
