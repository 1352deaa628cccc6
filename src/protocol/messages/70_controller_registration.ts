// ControllerRegistration, API key 70, version 0.
//
// Serves: a controller registering at the active one (KIP-919).
// Kafka: ClusterControlManager.registerController.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int16, int32, string, uint16, uuid } from "../schema.ts";

export const ControllerRegistration = api({
  apiKey: 70,
  name: "ControllerRegistration",
  versions: "0",
  flexible: "0+",
  request: {
    controllerId: int32(),
    incarnationId: uuid(),
    zkMigrationReady: bool(),
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
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    errorMessage: string({ nullable: true }),
  },
});
export type ControllerRegistrationRequest = RequestOf<typeof ControllerRegistration>;
export type ControllerRegistrationRequestInput = RequestInputOf<typeof ControllerRegistration>;
export type ControllerRegistrationResponse = ResponseOf<typeof ControllerRegistration>;
export type ControllerRegistrationResponseInput = ResponseInputOf<typeof ControllerRegistration>;
