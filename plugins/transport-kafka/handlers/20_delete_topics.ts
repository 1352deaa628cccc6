// DeleteTopics, API key 20, versions 1–6.
//
// Serves: deleting topics by name, from v6 also by id.
// Limits: waits for earlier requests of its connection, and later ones wait for it.
// v4: flexible.   v5: error messages.   v6: names and ids in one list.
// Kafka: ControllerApis.handleDeleteTopics.

import { DeleteTopics } from "../../../src/protocol/messages/20_delete_topics.ts";
import { handlerOf } from "../handler.ts";

export const deleteTopics = handlerOf<typeof DeleteTopics>({
  api: DeleteTopics,
  overlap: "exclusive",
  async handle(context, caller, request, version) {
    return { response: await context.broker.topics.deleteTopics(caller, request, version) };
  },
});
