// PushTelemetry, API key 72, version 0.
//
// Serves: client metrics as OTLP (KIP-714).
// Kafka: ClientMetricsManager.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, bool, bytes, int8, int16, int32, uuid } from "../schema.ts";

export const PushTelemetry = api({
  apiKey: 72,
  name: "PushTelemetry",
  versions: "0",
  flexible: "0+",
  request: {
    clientInstanceId: uuid(),
    subscriptionId: int32(),
    terminating: bool(),
    compressionType: int8(),
    metrics: bytes(),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
  },
});
export type PushTelemetryRequest = RequestOf<typeof PushTelemetry>;
export type PushTelemetryRequestInput = RequestInputOf<typeof PushTelemetry>;
export type PushTelemetryResponse = ResponseOf<typeof PushTelemetry>;
export type PushTelemetryResponseInput = ResponseInputOf<typeof PushTelemetry>;
