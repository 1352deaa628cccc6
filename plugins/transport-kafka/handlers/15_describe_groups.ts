// DescribeGroups, API key 15, versions 0–6.
//
// Serves: state and members of classic groups.
// v3: authorized operations.   v4: instance ids.   v5: flexible.   v6: an unknown group is an error.
// Kafka: KafkaApis.handleDescribeGroupsRequest.

import { DescribeGroups } from "../../../src/protocol/messages/15_describe_groups.ts";
import { handlerOf } from "../handler.ts";

export const describeGroups = handlerOf<typeof DescribeGroups>({
  api: DescribeGroups,
  overlap: "parallel",
  async handle(context, caller, request, version) {
    return { response: await context.broker.groups.describeGroups(caller, request, version) };
  },
});
