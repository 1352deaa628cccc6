// OffsetDelete, API key 47, version 0.
//
// Serves: forgetting committed offsets of topics that no member reads.
// Kafka: KafkaApis.handleOffsetDeleteRequest.

import { OffsetDelete } from "../../../src/protocol/messages/47_offset_delete.ts";
import { handlerOf } from "../handler.ts";

export const offsetDelete = handlerOf<typeof OffsetDelete>({
  api: OffsetDelete,
  overlap: "parallel",
  async handle(context, caller, request, version) {
    return { response: await context.broker.groups.offsetDelete(caller, request, version) };
  },
});
