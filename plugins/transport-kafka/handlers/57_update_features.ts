// UpdateFeatures, API key 57, versions 0–2.
//
// Serves: raising and lowering levels of features: all of those named, or none.
// Limits: v0 cannot lower a level, as in Kafka, which does not look at allowDowngrade.
// v1: upgrade types, validateOnly.   v2: no row for each feature.
// Kafka: ControllerApis.handleUpdateFeatures, FeatureControlManager.

import { UpdateFeatures } from "../../../src/protocol/messages/57_update_features.ts";
import { handlerOf } from "../handler.ts";

export const updateFeatures = handlerOf<typeof UpdateFeatures>({
  api: UpdateFeatures,
  overlap: "exclusive",
  async handle(context, caller, request, version) {
    return { response: await context.broker.admin.updateFeatures(caller, request, version) };
  },
});
