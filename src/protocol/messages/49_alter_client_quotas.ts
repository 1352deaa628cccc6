// AlterClientQuotas, API key 49, versions 0–1.
//
// Serves: setting quotas by user, client id and address (KIP-546).
// Kafka: ClientQuotaControlManager.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, float64, int16, int32, string } from "../schema.ts";

// v1: flexible.
export const AlterClientQuotas = api({
  apiKey: 49,
  name: "AlterClientQuotas",
  versions: "0-1",
  flexible: "1+",
  request: {
    entries: array({
      entity: array({
        entityType: string(),
        entityName: string({ nullable: true }),
      }),
      ops: array({
        key: string(),
        value: float64(),
        remove: bool(),
      }),
    }),
    validateOnly: bool({ about: "check, but do not do it" }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    entries: array({
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
      entity: array({
        entityType: string(),
        entityName: string({ nullable: true }),
      }),
    }),
  },
});
export type AlterClientQuotasRequest = RequestOf<typeof AlterClientQuotas>;
export type AlterClientQuotasRequestInput = RequestInputOf<typeof AlterClientQuotas>;
export type AlterClientQuotasResponse = ResponseOf<typeof AlterClientQuotas>;
export type AlterClientQuotasResponseInput = ResponseInputOf<typeof AlterClientQuotas>;
