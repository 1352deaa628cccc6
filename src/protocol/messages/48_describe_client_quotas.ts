// DescribeClientQuotas, API key 48, versions 0–1.
//
// Serves: quotas by user, client id and address (KIP-546).
// Kafka: KafkaApis, DESCRIBE_CLIENT_QUOTAS.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, float64, int8, int16, int32, string } from "../schema.ts";

// v1: flexible.
export const DescribeClientQuotas = api({
  apiKey: 48,
  name: "DescribeClientQuotas",
  versions: "0-1",
  flexible: "1+",
  request: {
    components: array({
      entityType: string(),
      matchType: int8(),
      match: string({ nullable: true }),
    }),
    strict: bool(),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    errorMessage: string({ nullable: true }),
    entries: array(
      {
        entity: array({
          entityType: string(),
          entityName: string({ nullable: true }),
        }),
        values: array({
          key: string(),
          value: float64(),
        }),
      },
      { nullable: true },
    ),
  },
});
export type DescribeClientQuotasRequest = RequestOf<typeof DescribeClientQuotas>;
export type DescribeClientQuotasRequestInput = RequestInputOf<typeof DescribeClientQuotas>;
export type DescribeClientQuotasResponse = ResponseOf<typeof DescribeClientQuotas>;
export type DescribeClientQuotasResponseInput = ResponseInputOf<typeof DescribeClientQuotas>;
