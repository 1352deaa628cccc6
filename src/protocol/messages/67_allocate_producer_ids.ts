// AllocateProducerIds, API key 67, version 0.
//
// Serves: a block of producer ids from the controller (KIP-730).
// Kafka: ProducerIdControlManager.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, int16, int32, int64 } from "../schema.ts";

export const AllocateProducerIds = api({
  apiKey: 67,
  name: "AllocateProducerIds",
  versions: "0",
  flexible: "0+",
  request: {
    brokerId: int32(),
    brokerEpoch: int64({ default: -1 }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    producerIdStart: int64(),
    producerIdLen: int32(),
  },
});
export type AllocateProducerIdsRequest = RequestOf<typeof AllocateProducerIds>;
export type AllocateProducerIdsRequestInput = RequestInputOf<typeof AllocateProducerIds>;
export type AllocateProducerIdsResponse = ResponseOf<typeof AllocateProducerIds>;
export type AllocateProducerIdsResponseInput = ResponseInputOf<typeof AllocateProducerIds>;
