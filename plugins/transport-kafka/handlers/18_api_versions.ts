// ApiVersions, API key 18, versions 0–4.
//
// Serves: which APIs and versions there are, and the features with their levels.
// Limits: only what is fully served is listed; Produce from 0 is the one exception (decision 16).
// v3: flexible, but the response header stays at version 0; supported features whose minimum is 0 are left out.
// v4: lists them too. A version above the maximum is answered in v0 with error 35 and this API's own range.
// Kafka: KafkaApis.handleApiVersionsRequest, ApiVersionsRequest.isValid; KIP-511, KIP-584, KIP-1022.

import { wireCodeOf } from "../../../src/protocol/errors.ts";
import {
  ApiVersions,
  type ApiVersionsResponseInput,
} from "../../../src/protocol/messages/18_api_versions.ts";
import { handlerOf } from "../handler.ts";

const SOFTWARE_NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/;

export const apiVersions = handlerOf<typeof ApiVersions>({
  api: ApiVersions,
  overlap: "parallel",
  async handle(context, _caller, request, version) {
    const { clientSoftwareName, clientSoftwareVersion } = request;
    if (
      version >= 3 &&
      !(SOFTWARE_NAME.test(clientSoftwareName) && SOFTWARE_NAME.test(clientSoftwareVersion))
    ) {
      return { response: { errorCode: wireCodeOf("invalid_request"), apiKeys: [] } };
    }
    const { features, featuresEpoch } = context.broker;
    const supported = version === 3 ? features.filter((each) => each.minVersion > 0) : features;
    const finalized = features.filter((each) => each.finalizedVersion > 0);
    return {
      response: {
        errorCode: 0,
        apiKeys: context.served,
        throttleTimeMs: 0,
        supportedFeatures: supported.map(({ name, minVersion, maxVersion }) => ({
          name,
          minVersion,
          maxVersion,
        })),
        finalizedFeaturesEpoch: finalized.length > 0 ? featuresEpoch : -1,
        finalizedFeatures: finalized.map(({ name, finalizedVersion }) => ({
          name,
          maxVersionLevel: finalizedVersion,
          minVersionLevel: finalizedVersion,
        })),
      },
    };
  },
});

/** The answer, in version 0, to a version that is not served: franz-go depends on it at each connection. */
export function refuseApiVersions(): ApiVersionsResponseInput {
  const { apiKey, lowest, highestStable } = ApiVersions;
  return {
    errorCode: wireCodeOf("unsupported_version"),
    apiKeys: [{ apiKey, minVersion: lowest, maxVersion: highestStable }],
  };
}
