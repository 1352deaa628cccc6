// IncrementalAlterConfigs, API key 44, versions 0–1.
//
// Serves: setting, deleting, appending to and subtracting from single settings (KIP-339).
// Limits: waits for earlier requests of its connection, and later ones wait for it.
// v1: flexible.
// Kafka: ControllerApis.handleIncrementalAlterConfigs.

import { IncrementalAlterConfigs } from "../../../src/protocol/messages/44_incremental_alter_configs.ts";
import { handlerOf } from "../handler.ts";

export const incrementalAlterConfigs = handlerOf<typeof IncrementalAlterConfigs>({
  api: IncrementalAlterConfigs,
  overlap: "exclusive",
  async handle(context, caller, request, version) {
    return {
      response: await context.broker.admin.incrementalAlterConfigs(caller, request, version),
    };
  },
});
