// ElectLeaders, API key 43, versions 0–2.
//
// Serves: elections of preferred leaders, and of anybody where nobody leads.
// Limits: the timeout is not looked at: it is answered once the store has it.
// v1: the type of the election, a top-level error code.   v2: flexible.
// Kafka: ControllerApis.handleElectLeaders.

import { ElectLeaders } from "../../../src/protocol/messages/43_elect_leaders.ts";
import { handlerOf } from "../handler.ts";

export const electLeaders = handlerOf<typeof ElectLeaders>({
  api: ElectLeaders,
  overlap: "exclusive",
  async handle(context, caller, request, version) {
    return { response: await context.broker.admin.electLeaders(caller, request, version) };
  },
});
