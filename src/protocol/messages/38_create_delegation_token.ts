// CreateDelegationToken, API key 38, versions 1–3.
//
// Serves: making a delegation token (KIP-48), for another owner from v3 (KIP-373).
// Kafka: DelegationTokenManager.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bytes, int16, int32, int64, string } from "../schema.ts";

// v2: flexible.
// v3: adds ownerPrincipalType, ownerPrincipalName (request); adds tokenRequesterPrincipalType,
//   tokenRequesterPrincipalName (response).
export const CreateDelegationToken = api({
  apiKey: 38,
  name: "CreateDelegationToken",
  versions: "1-3",
  flexible: "2+",
  request: {
    ownerPrincipalType: string({ versions: "3+", nullable: true }),
    ownerPrincipalName: string({ versions: "3+", nullable: true }),
    renewers: array({
      principalType: string(),
      principalName: string(),
    }),
    maxLifetimeMs: int64(),
  },
  response: {
    errorCode: int16(),
    principalType: string(),
    principalName: string(),
    tokenRequesterPrincipalType: string({ versions: "3+" }),
    tokenRequesterPrincipalName: string({ versions: "3+" }),
    issueTimestampMs: int64(),
    expiryTimestampMs: int64(),
    maxTimestampMs: int64(),
    tokenId: string(),
    hmac: bytes(),
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
  },
});
export type CreateDelegationTokenRequest = RequestOf<typeof CreateDelegationToken>;
export type CreateDelegationTokenRequestInput = RequestInputOf<typeof CreateDelegationToken>;
export type CreateDelegationTokenResponse = ResponseOf<typeof CreateDelegationToken>;
export type CreateDelegationTokenResponseInput = ResponseInputOf<typeof CreateDelegationToken>;
