// UnregisterBroker, API key 64, version 0.
//
// Serves: taking a broker that is gone out of the cluster (KIP-631).
// Kafka: ReplicationControlManager.unregisterBroker.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, int16, int32, string } from "../schema.ts";

export const UnregisterBroker = api({
  apiKey: 64,
  name: "UnregisterBroker",
  versions: "0",
  flexible: "0+",
  request: {
    brokerId: int32(),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    errorMessage: string({ nullable: true }),
  },
});
export type UnregisterBrokerRequest = RequestOf<typeof UnregisterBroker>;
export type UnregisterBrokerRequestInput = RequestInputOf<typeof UnregisterBroker>;
export type UnregisterBrokerResponse = ResponseOf<typeof UnregisterBroker>;
export type UnregisterBrokerResponseInput = ResponseInputOf<typeof UnregisterBroker>;
