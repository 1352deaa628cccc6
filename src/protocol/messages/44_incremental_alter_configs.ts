// IncrementalAlterConfigs, API key 44, versions 0–1.
//
// Serves: changing single settings: set, delete, append, subtract (KIP-339).
// Kafka: ConfigAdminManager.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int8, int16, int32, string } from "../schema.ts";

// v1: flexible.
export const IncrementalAlterConfigs = api({
  apiKey: 44,
  name: "IncrementalAlterConfigs",
  versions: "0-1",
  flexible: "1+",
  request: {
    resources: array({
      resourceType: int8({
        about: "2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group",
      }),
      resourceName: string(),
      configs: array({
        name: string(),
        configOperation: int8({ about: "0 set, 1 delete, 2 append, 3 subtract" }),
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
export type IncrementalAlterConfigsRequest = RequestOf<typeof IncrementalAlterConfigs>;
export type IncrementalAlterConfigsRequestInput = RequestInputOf<typeof IncrementalAlterConfigs>;
export type IncrementalAlterConfigsResponse = ResponseOf<typeof IncrementalAlterConfigs>;
export type IncrementalAlterConfigsResponseInput = ResponseInputOf<typeof IncrementalAlterConfigs>;
