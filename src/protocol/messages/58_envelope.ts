// Envelope, API key 58, version 0.
//
// Serves: a client's request forwarded by a broker to the controller (KIP-590).
// Kafka: EnvelopeUtils.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, bytes, int16 } from "../schema.ts";

export const Envelope = api({
  apiKey: 58,
  name: "Envelope",
  versions: "0",
  flexible: "0+",
  request: {
    requestData: bytes(),
    requestPrincipal: bytes({ nullable: true }),
    clientHostAddress: bytes(),
  },
  response: {
    responseData: bytes({ nullable: true, default: null }),
    errorCode: int16(),
  },
});
export type EnvelopeRequest = RequestOf<typeof Envelope>;
export type EnvelopeRequestInput = RequestInputOf<typeof Envelope>;
export type EnvelopeResponse = ResponseOf<typeof Envelope>;
export type EnvelopeResponseInput = ResponseInputOf<typeof Envelope>;
