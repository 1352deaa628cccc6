// DescribeConfigs, API key 32, versions 1–4.
//
// Serves: settings of topics and of this broker, with their sources and synonyms.
// Limits: as core/broker serves them.
// v3: types and documentation.   v4: flexible.
// Kafka: ConfigHelper.handleDescribeConfigsRequest.

import { DescribeConfigs } from "../../../src/protocol/messages/32_describe_configs.ts";
import { handlerOf } from "../handler.ts";

export const describeConfigs = handlerOf<typeof DescribeConfigs>({
  api: DescribeConfigs,
  overlap: "serial",
  async handle(context, caller, request, version) {
    return { response: await context.broker.admin.describeConfigs(caller, request, version) };
  },
});
