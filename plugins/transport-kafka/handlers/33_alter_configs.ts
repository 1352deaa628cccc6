// AlterConfigs, API key 33, versions 0–2.
//
// Serves: replacing all settings of a topic; what is not named goes back to its default.
// Limits: waits for earlier requests of its connection, and later ones wait for it.
// v2: flexible.
// Kafka: ControllerApis.handleLegacyAlterConfigs; clients use IncrementalAlterConfigs where it is listed.

import { AlterConfigs } from "../../../src/protocol/messages/33_alter_configs.ts";
import { handlerOf } from "../handler.ts";

export const alterConfigs = handlerOf<typeof AlterConfigs>({
  api: AlterConfigs,
  overlap: "exclusive",
  async handle(context, caller, request, version) {
    return { response: await context.broker.admin.alterConfigs(caller, request, version) };
  },
});
