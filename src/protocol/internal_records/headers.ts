// Headers of requests and responses as messages, for tests and tools; header.ts reads and writes
// them by hand.

import type { MessageInputOf, MessageOf } from "../infer.ts";
import { int16, int32, message, string } from "../schema.ts";

// v2: flexible.
export const RequestHeader = message({
  name: "RequestHeader",
  versions: "1-2",
  flexible: "2+",
  fields: {
    requestApiKey: int16(),
    requestApiVersion: int16(),
    correlationId: int32(),
    clientId: string({ nullable: true, nonFlexible: true }),
  },
});
export type RequestHeader = MessageOf<typeof RequestHeader>;
export type RequestHeaderInput = MessageInputOf<typeof RequestHeader>;

// v1: flexible.
export const ResponseHeader = message({
  name: "ResponseHeader",
  versions: "0-1",
  flexible: "1+",
  fields: {
    correlationId: int32(),
  },
});
export type ResponseHeader = MessageOf<typeof ResponseHeader>;
export type ResponseHeaderInput = MessageInputOf<typeof ResponseHeader>;
