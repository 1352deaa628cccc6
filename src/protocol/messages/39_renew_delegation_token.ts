// RenewDelegationToken, API key 39, versions 1–2.
//
// Serves: prolonging a delegation token (KIP-48).
// Kafka: DelegationTokenManager.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, bytes, int16, int32, int64 } from "../schema.ts";

// v2: flexible.
export const RenewDelegationToken = api({
  apiKey: 39,
  name: "RenewDelegationToken",
  versions: "1-2",
  flexible: "2+",
  request: {
    hmac: bytes(),
    renewPeriodMs: int64(),
  },
  response: {
    errorCode: int16(),
    expiryTimestampMs: int64(),
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
  },
});
export type RenewDelegationTokenRequest = RequestOf<typeof RenewDelegationToken>;
export type RenewDelegationTokenRequestInput = RequestInputOf<typeof RenewDelegationToken>;
export type RenewDelegationTokenResponse = ResponseOf<typeof RenewDelegationToken>;
export type RenewDelegationTokenResponseInput = ResponseInputOf<typeof RenewDelegationToken>;
