// CreatePartitions, API key 37, versions 0–3.
//
// Serves: raising the partition count of topics, or only checking whether it could be (validateOnly).
// Limits: waits for earlier requests of its connection, and later ones wait for it.
// v2: flexible.
// Kafka: ControllerApis.handleCreatePartitions.

import { CreatePartitions } from "../../../src/protocol/messages/37_create_partitions.ts";
import { handlerOf } from "../handler.ts";

export const createPartitions = handlerOf<typeof CreatePartitions>({
  api: CreatePartitions,
  overlap: "exclusive",
  async handle(context, caller, request, version) {
    return { response: await context.broker.topics.createPartitions(caller, request, version) };
  },
});
