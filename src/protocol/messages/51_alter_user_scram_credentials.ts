// AlterUserScramCredentials, API key 51, version 0.
//
// Serves: setting and removing SCRAM credentials (KIP-554).
// Kafka: ScramControlManager.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bytes, int8, int16, int32, string } from "../schema.ts";

export const AlterUserScramCredentials = api({
  apiKey: 51,
  name: "AlterUserScramCredentials",
  versions: "0",
  flexible: "0+",
  request: {
    deletions: array({
      name: string(),
      mechanism: int8({ about: "1 SCRAM-SHA-256, 2 SCRAM-SHA-512" }),
    }),
    upsertions: array({
      name: string(),
      mechanism: int8({ about: "1 SCRAM-SHA-256, 2 SCRAM-SHA-512" }),
      iterations: int32(),
      salt: bytes(),
      saltedPassword: bytes(),
    }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    results: array({
      user: string(),
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
    }),
  },
});
export type AlterUserScramCredentialsRequest = RequestOf<typeof AlterUserScramCredentials>;
export type AlterUserScramCredentialsRequestInput = RequestInputOf<
  typeof AlterUserScramCredentials
>;
export type AlterUserScramCredentialsResponse = ResponseOf<typeof AlterUserScramCredentials>;
export type AlterUserScramCredentialsResponseInput = ResponseInputOf<
  typeof AlterUserScramCredentials
>;
