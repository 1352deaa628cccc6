// SaslHandshake, API key 17, versions 0–1.
//
// Serves: choosing a SASL mechanism. After v0 bare tokens follow, after v1 SaslAuthenticate
// (KIP-152).
// Kafka: SaslServerAuthenticator.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int16, string } from "../schema.ts";

// Unchanged on the wire: v1.
export const SaslHandshake = api({
  apiKey: 17,
  name: "SaslHandshake",
  versions: "0-1",
  request: {
    mechanism: string({ about: "e.g. SCRAM-SHA-512" }),
  },
  response: {
    errorCode: int16(),
    mechanisms: array(string()),
  },
});
export type SaslHandshakeRequest = RequestOf<typeof SaslHandshake>;
export type SaslHandshakeRequestInput = RequestInputOf<typeof SaslHandshake>;
export type SaslHandshakeResponse = ResponseOf<typeof SaslHandshake>;
export type SaslHandshakeResponseInput = ResponseInputOf<typeof SaslHandshake>;
