// DescribeLogDirs, API key 35, versions 1–5.
//
// Serves: the data folder with the sizes of the partitions in it.
// Limits: as core/broker serves them.
// v2: flexible.   v3: a top-level error code.   v4: total and usable bytes.
// Kafka: KafkaApis.handleDescribeLogDirsRequest.

import { DescribeLogDirs } from "../../../src/protocol/messages/35_describe_log_dirs.ts";
import { handlerOf } from "../handler.ts";

export const describeLogDirs = handlerOf<typeof DescribeLogDirs>({
  api: DescribeLogDirs,
  overlap: "serial",
  async handle(context, caller, request, version) {
    return { response: await context.broker.admin.describeLogDirs(caller, request, version) };
  },
});
