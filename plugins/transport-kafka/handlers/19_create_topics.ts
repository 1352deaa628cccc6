// CreateTopics, API key 19, versions 2–7.
//
// Serves: creating topics, or only checking whether they could be (validateOnly).
// Limits: waits for earlier requests of its connection, and later ones wait for it.
// v4: -1 stands for the default partition count and replication factor.   v5: flexible; answers the configs.
// v7: answers the topic id.
// Kafka: ControllerApis.handleCreateTopics, ReplicationControlManager.createTopics.

import { CreateTopics } from "../../../src/protocol/messages/19_create_topics.ts";
import { handlerOf } from "../handler.ts";

export const createTopics = handlerOf<typeof CreateTopics>({
  api: CreateTopics,
  overlap: "exclusive",
  async handle(context, caller, request, version) {
    return { response: await context.broker.topics.createTopics(caller, request, version) };
  },
});
