// ListConfigResources, API key 74, versions 0–1.
//
// Serves: resources that have settings; v0 lists client metrics only (KIP-714, KIP-1142).
// Kafka: KafkaApis, LIST_CONFIG_RESOURCES.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, int8, int16, int32, string } from "../schema.ts";

// v1: adds resourceTypes (request); adds configResources.resourceType (response).
export const ListConfigResources = api({
  apiKey: 74,
  name: "ListConfigResources",
  versions: "0-1",
  flexible: "0+",
  request: {
    resourceTypes: array(int8(), { versions: "1+" }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    configResources: array({
      resourceName: string(),
      resourceType: int8({
        versions: "1+",
        default: 16,
        ignorable: true,
        about: "2 topic, 3 group, 4 cluster or broker, 5 transactional id; see the API for which",
      }),
    }),
  },
});
export type ListConfigResourcesRequest = RequestOf<typeof ListConfigResources>;
export type ListConfigResourcesRequestInput = RequestInputOf<typeof ListConfigResources>;
export type ListConfigResourcesResponse = ResponseOf<typeof ListConfigResources>;
export type ListConfigResourcesResponseInput = ResponseInputOf<typeof ListConfigResources>;
