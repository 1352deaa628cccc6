// UpdateFeatures, API key 57, versions 0–2.
//
// Serves: raising and lowering finalized feature levels (KIP-584).
// Kafka: FeatureControlManager.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int8, int16, int32, string } from "../schema.ts";

// v1: adds featureUpdates.upgradeType, validateOnly (request); drops featureUpdates.allowDowngrade
//   (request).
// v2: drops results (response).
export const UpdateFeatures = api({
  apiKey: 57,
  name: "UpdateFeatures",
  versions: "0-2",
  flexible: "0+",
  request: {
    timeoutMs: int32({ default: 60000 }),
    featureUpdates: array({
      feature: string(),
      maxVersionLevel: int16(),
      allowDowngrade: bool({ versions: "0" }),
      upgradeType: int8({ versions: "1+", default: 1 }),
    }),
    validateOnly: bool({ versions: "1+", about: "check, but do not do it" }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    errorMessage: string({ nullable: true }),
    results: array(
      {
        feature: string(),
        errorCode: int16(),
        errorMessage: string({ nullable: true }),
      },
      { versions: "0-1", ignorable: true },
    ),
  },
});
export type UpdateFeaturesRequest = RequestOf<typeof UpdateFeatures>;
export type UpdateFeaturesRequestInput = RequestInputOf<typeof UpdateFeatures>;
export type UpdateFeaturesResponse = ResponseOf<typeof UpdateFeatures>;
export type UpdateFeaturesResponseInput = ResponseInputOf<typeof UpdateFeatures>;
