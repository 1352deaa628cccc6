// SaslAuthenticate, API key 36, versions 0–2.
//
// Serves: one step of a SASL conversation, framed (KIP-152); lifetime of the session from v1
// (KIP-368).
// Kafka: SaslServerAuthenticator.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, bytes, int16, int64, string } from "../schema.ts";

// v1: adds sessionLifetimeMs (response).
// v2: flexible.
export const SaslAuthenticate = api({
  apiKey: 36,
  name: "SaslAuthenticate",
  versions: "0-2",
  flexible: "2+",
  request: {
    authBytes: bytes(),
  },
  response: {
    errorCode: int16(),
    errorMessage: string({ nullable: true }),
    authBytes: bytes(),
    sessionLifetimeMs: int64({ versions: "1+", ignorable: true }),
  },
});
export type SaslAuthenticateRequest = RequestOf<typeof SaslAuthenticate>;
export type SaslAuthenticateRequestInput = RequestInputOf<typeof SaslAuthenticate>;
export type SaslAuthenticateResponse = ResponseOf<typeof SaslAuthenticate>;
export type SaslAuthenticateResponseInput = ResponseInputOf<typeof SaslAuthenticate>;
