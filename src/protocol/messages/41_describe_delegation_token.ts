// DescribeDelegationToken, API key 41, versions 1–3.
//
// Serves: the delegation tokens of owners (KIP-48).
// Kafka: DelegationTokenManager.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bytes, int16, int32, int64, string } from "../schema.ts";

// v2: flexible.
// v3: adds tokens.tokenRequesterPrincipalType, tokens.tokenRequesterPrincipalName (response).
export const DescribeDelegationToken = api({
  apiKey: 41,
  name: "DescribeDelegationToken",
  versions: "1-3",
  flexible: "2+",
  request: {
    owners: array(
      {
        principalType: string(),
        principalName: string(),
      },
      { nullable: true },
    ),
  },
  response: {
    errorCode: int16(),
    tokens: array({
      principalType: string(),
      principalName: string(),
      tokenRequesterPrincipalType: string({ versions: "3+" }),
      tokenRequesterPrincipalName: string({ versions: "3+" }),
      issueTimestamp: int64(),
      expiryTimestamp: int64(),
      maxTimestamp: int64(),
      tokenId: string(),
      hmac: bytes(),
      renewers: array({
        principalType: string(),
        principalName: string(),
      }),
    }),
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
  },
});
export type DescribeDelegationTokenRequest = RequestOf<typeof DescribeDelegationToken>;
export type DescribeDelegationTokenRequestInput = RequestInputOf<typeof DescribeDelegationToken>;
export type DescribeDelegationTokenResponse = ResponseOf<typeof DescribeDelegationToken>;
export type DescribeDelegationTokenResponseInput = ResponseInputOf<typeof DescribeDelegationToken>;
