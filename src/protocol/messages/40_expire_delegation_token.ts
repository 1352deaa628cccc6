// ExpireDelegationToken, API key 40, versions 1–2.
//
// Serves: ending a delegation token (KIP-48).
// Kafka: DelegationTokenManager.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, bytes, int16, int32, int64 } from "../schema.ts";

// v2: flexible.
export const ExpireDelegationToken = api({
  apiKey: 40,
  name: "ExpireDelegationToken",
  versions: "1-2",
  flexible: "2+",
  request: {
    hmac: bytes(),
    expiryTimePeriodMs: int64(),
  },
  response: {
    errorCode: int16(),
    expiryTimestampMs: int64(),
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
  },
});
export type ExpireDelegationTokenRequest = RequestOf<typeof ExpireDelegationToken>;
export type ExpireDelegationTokenRequestInput = RequestInputOf<typeof ExpireDelegationToken>;
export type ExpireDelegationTokenResponse = ResponseOf<typeof ExpireDelegationToken>;
export type ExpireDelegationTokenResponseInput = ResponseInputOf<typeof ExpireDelegationToken>;
