// InitProducerId, API key 22, versions 0–5.
//
// Serves: producer ids for idempotent producers, and for transactional ones the id and epoch that fence whoever had them.
// Limits: v6 (two-phase commit, KIP-939) is unstable in Kafka and not served.
// v2: flexible.   v3: the current producer id and epoch.   v4: producer_fenced is known.   v5: transactions v2.
// Kafka: KafkaApis.handleInitProducerIdRequest.

import { InitProducerId } from "../../../src/protocol/messages/22_init_producer_id.ts";
import { handlerOf } from "../handler.ts";

export const initProducerId = handlerOf<typeof InitProducerId>({
  api: InitProducerId,
  overlap: "serial",
  roundsBigints: true,
  async handle(context, caller, request, version) {
    const { admin, transactions } = context.broker;
    const giver = request.transactionalId === null ? admin : transactions;
    return { response: await giver.initProducerId(caller, request, version) };
  },
});
