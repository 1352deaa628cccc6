// InitProducerId, API key 22, versions 0–5.
//
// Serves: producer ids for idempotent producers.
// Limits: a transactional id is answered as the broker decides; v6 is unstable in Kafka and not served.
// v2: flexible.   v3: the current producer id and epoch.   v4: producer_fenced is known.   v5: transactions v2.
// Kafka: KafkaApis.handleInitProducerIdRequest.

import { InitProducerId } from "../../../src/protocol/messages/22_init_producer_id.ts";
import { handlerOf } from "../handler.ts";

export const initProducerId = handlerOf<typeof InitProducerId>({
  api: InitProducerId,
  overlap: "serial",
  async handle(context, caller, request, version) {
    return { response: await context.broker.admin.initProducerId(caller, request, version) };
  },
});
