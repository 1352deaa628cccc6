// BrokerHeartbeat, API key 63, versions 0–2.
//
// Serves: a broker staying registered, asking to be unfenced or to stop (KIP-631).
// Kafka: ReplicationControlManager.processBrokerHeartbeat.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int16, int32, int64, uuid } from "../schema.ts";

// v1: adds offlineLogDirs (request).
// v2: adds cordonedLogDirs (request).
export const BrokerHeartbeat = api({
  apiKey: 63,
  name: "BrokerHeartbeat",
  versions: "0-2",
  flexible: "0+",
  request: {
    brokerId: int32(),
    brokerEpoch: int64({ default: -1 }),
    currentMetadataOffset: int64(),
    wantFence: bool(),
    wantShutDown: bool(),
    offlineLogDirs: array(uuid(), { versions: "1+", tag: 0 }),
    cordonedLogDirs: array(uuid(), { versions: "2+", nullable: true, tag: 1, default: null }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    isCaughtUp: bool(),
    isFenced: bool({ default: true }),
    shouldShutDown: bool(),
  },
});
export type BrokerHeartbeatRequest = RequestOf<typeof BrokerHeartbeat>;
export type BrokerHeartbeatRequestInput = RequestInputOf<typeof BrokerHeartbeat>;
export type BrokerHeartbeatResponse = ResponseOf<typeof BrokerHeartbeat>;
export type BrokerHeartbeatResponseInput = ResponseInputOf<typeof BrokerHeartbeat>;
