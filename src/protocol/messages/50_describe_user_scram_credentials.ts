// DescribeUserScramCredentials, API key 50, version 0.
//
// Serves: which users have SCRAM credentials, and their iterations (KIP-554).
// Kafka: KafkaApis, DESCRIBE_USER_SCRAM_CREDENTIALS.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int8, int16, int32, string } from "../schema.ts";

export const DescribeUserScramCredentials = api({
  apiKey: 50,
  name: "DescribeUserScramCredentials",
  versions: "0",
  flexible: "0+",
  request: {
    users: array(
      {
        name: string(),
      },
      { nullable: true },
    ),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    errorMessage: string({ nullable: true }),
    results: array({
      user: string(),
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
      credentialInfos: array({
        mechanism: int8({ about: "1 SCRAM-SHA-256, 2 SCRAM-SHA-512" }),
        iterations: int32(),
      }),
    }),
  },
});
export type DescribeUserScramCredentialsRequest = RequestOf<typeof DescribeUserScramCredentials>;
export type DescribeUserScramCredentialsRequestInput = RequestInputOf<
  typeof DescribeUserScramCredentials
>;
export type DescribeUserScramCredentialsResponse = ResponseOf<typeof DescribeUserScramCredentials>;
export type DescribeUserScramCredentialsResponseInput = ResponseInputOf<
  typeof DescribeUserScramCredentials
>;
