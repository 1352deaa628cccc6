// BrokerRegistration, API key 62, versions 0–4.
//
// Serves: a broker registering at the controller (KIP-631).
// Kafka: ClusterControlManager.registerBroker.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int16, int32, int64, string, uint16, uuid } from "../schema.ts";

// v1: adds isMigratingZkBroker (request).
// v2: adds logDirs (request).
// v3: adds previousBrokerEpoch (request).
// Unchanged on the wire: v4.
export const BrokerRegistration = api({
  apiKey: 62,
  name: "BrokerRegistration",
  versions: "0-4",
  flexible: "0+",
  request: {
    brokerId: int32(),
    clusterId: string(),
    incarnationId: uuid(),
    listeners: array({
      name: string(),
      host: string(),
      port: uint16(),
      securityProtocol: int16(),
    }),
    features: array({
      name: string(),
      minSupportedVersion: int16(),
      maxSupportedVersion: int16(),
    }),
    rack: string({ nullable: true }),
    isMigratingZkBroker: bool({ versions: "1+" }),
    logDirs: array(uuid(), { versions: "2+", ignorable: true }),
    previousBrokerEpoch: int64({ versions: "3+", default: -1, ignorable: true }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    brokerEpoch: int64({ default: -1 }),
  },
});
export type BrokerRegistrationRequest = RequestOf<typeof BrokerRegistration>;
export type BrokerRegistrationRequestInput = RequestInputOf<typeof BrokerRegistration>;
export type BrokerRegistrationResponse = ResponseOf<typeof BrokerRegistration>;
export type BrokerRegistrationResponseInput = ResponseInputOf<typeof BrokerRegistration>;
