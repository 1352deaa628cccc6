// GetTelemetrySubscriptions, API key 71, version 0.
//
// Serves: which client metrics to push, and how often (KIP-714).
// Kafka: ClientMetricsManager.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int8, int16, int32, string, uuid } from "../schema.ts";

export const GetTelemetrySubscriptions = api({
  apiKey: 71,
  name: "GetTelemetrySubscriptions",
  versions: "0",
  flexible: "0+",
  request: {
    clientInstanceId: uuid(),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    clientInstanceId: uuid(),
    subscriptionId: int32(),
    acceptedCompressionTypes: array(int8()),
    pushIntervalMs: int32(),
    telemetryMaxBytes: int32(),
    deltaTemporality: bool(),
    requestedMetrics: array(string()),
  },
});
export type GetTelemetrySubscriptionsRequest = RequestOf<typeof GetTelemetrySubscriptions>;
export type GetTelemetrySubscriptionsRequestInput = RequestInputOf<
  typeof GetTelemetrySubscriptions
>;
export type GetTelemetrySubscriptionsResponse = ResponseOf<typeof GetTelemetrySubscriptions>;
export type GetTelemetrySubscriptionsResponseInput = ResponseInputOf<
  typeof GetTelemetrySubscriptions
>;
