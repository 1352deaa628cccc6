// AlterConfigs, API key 33, versions 0–2.
//
// Serves: replacing all settings of a resource. Superseded by IncrementalAlterConfigs.
// Kafka: ConfigAdminManager.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int8, int16, int32, string } from "../schema.ts";

// v2: flexible.
// Unchanged on the wire: v1.
export const AlterConfigs = api({
  apiKey: 33,
  name: "AlterConfigs",
  versions: "0-2",
  flexible: "2+",
  request: {
    resources: array({
      resourceType: int8({
        about: "2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group",
      }),
      resourceName: string(),
      configs: array({
        name: string(),
        value: string({ nullable: true }),
      }),
    }),
    validateOnly: bool({ about: "check, but do not do it" }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    responses: array({
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
      resourceType: int8({
        about: "2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group",
      }),
      resourceName: string(),
    }),
  },
});
export type AlterConfigsRequest = RequestOf<typeof AlterConfigs>;
export type AlterConfigsRequestInput = RequestInputOf<typeof AlterConfigs>;
export type AlterConfigsResponse = ResponseOf<typeof AlterConfigs>;
export type AlterConfigsResponseInput = ResponseInputOf<typeof AlterConfigs>;
