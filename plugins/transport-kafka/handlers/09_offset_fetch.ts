// OffsetFetch, API key 9, versions 1–10.
//
// Serves: the committed offsets of a group, or of several, of the topics named or of all.
// Limits: offsets of open transactions are not here yet, so that none is unstable.
// v2: null topics mean all, an error for the group.   v6: flexible.   v7: requireStable.   v8: several groups.
// v9: member id and epoch are checked.   v10: topic ids.
// Kafka: KafkaApis.handleOffsetFetchRequest.

import { OffsetFetch } from "../../../src/protocol/messages/09_offset_fetch.ts";
import { handlerOf } from "../handler.ts";

export const offsetFetch = handlerOf<typeof OffsetFetch>({
  api: OffsetFetch,
  overlap: "parallel",
  async handle(context, caller, request, version) {
    return { response: await context.broker.groups.offsetFetch(caller, request, version) };
  },
});
