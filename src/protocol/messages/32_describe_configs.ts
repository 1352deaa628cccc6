// DescribeConfigs, API key 32, versions 1–4.
//
// Serves: settings of topics, brokers and groups, with synonyms and documentation (KIP-133,
// KIP-569).
// Kafka: ConfigHelper.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int8, int16, int32, string } from "../schema.ts";

// v3: adds includeDocumentation (request); adds configs.configType, configs.documentation
//   (response).
// v4: flexible.
// Unchanged on the wire: v2.
export const DescribeConfigs = api({
  apiKey: 32,
  name: "DescribeConfigs",
  versions: "1-4",
  flexible: "4+",
  request: {
    resources: array({
      resourceType: int8({
        about: "2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group",
      }),
      resourceName: string(),
      configurationKeys: array(string(), { nullable: true, about: "null for all" }),
    }),
    includeSynonyms: bool(),
    includeDocumentation: bool({ versions: "3+" }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    results: array({
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
      resourceType: int8({
        about: "2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group",
      }),
      resourceName: string(),
      configs: array({
        name: string(),
        value: string({ nullable: true }),
        readOnly: bool(),
        configSource: int8({
          default: -1,
          ignorable: true,
          about:
            "1 topic, 2 broker, 3 cluster default, 4 static, 5 default, 6 logger, 7 client metrics, 8 group",
        }),
        isSensitive: bool(),
        synonyms: array(
          {
            name: string(),
            value: string({ nullable: true }),
            source: int8(),
          },
          { ignorable: true },
        ),
        configType: int8({
          versions: "3+",
          ignorable: true,
          about:
            "1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password",
        }),
        documentation: string({ versions: "3+", nullable: true, ignorable: true }),
      }),
    }),
  },
});
export type DescribeConfigsRequest = RequestOf<typeof DescribeConfigs>;
export type DescribeConfigsRequestInput = RequestInputOf<typeof DescribeConfigs>;
export type DescribeConfigsResponse = ResponseOf<typeof DescribeConfigs>;
export type DescribeConfigsResponseInput = ResponseInputOf<typeof DescribeConfigs>;
