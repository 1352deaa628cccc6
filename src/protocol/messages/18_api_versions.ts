// ApiVersions, API key 18, versions 0–4.
//
// Serves: which APIs and versions there are (KIP-35), and which features (KIP-584).
// Limits: the response header is always v0, and a version above ours is answered as v0 with error
// 35 (KIP-511).
// Kafka: KafkaApis.handleApiVersionsRequest, ApiVersionManager.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int16, int32, int64, string } from "../schema.ts";

// v1: adds throttleTimeMs (response).
// v3: adds clientSoftwareName, clientSoftwareVersion (request); adds supportedFeatures,
//   finalizedFeaturesEpoch, finalizedFeatures, zkMigrationReady (response); flexible.
// Unchanged on the wire: v2, v4.
export const ApiVersions = api({
  apiKey: 18,
  name: "ApiVersions",
  versions: "0-4",
  flexible: "3+",
  request: {
    clientSoftwareName: string({
      versions: "3+",
      ignorable: true,
      about: "letters, digits, dots and dashes only, else error 42",
    }),
    clientSoftwareVersion: string({ versions: "3+", ignorable: true }),
  },
  response: {
    errorCode: int16(),
    apiKeys: array({
      apiKey: int16(),
      minVersion: int16(),
      maxVersion: int16(),
    }),
    throttleTimeMs: int32({
      versions: "1+",
      ignorable: true,
      about: "how long the request was held back by a quota",
    }),
    supportedFeatures: array(
      {
        name: string(),
        minVersion: int16(),
        maxVersion: int16(),
      },
      { versions: "3+", tag: 0, ignorable: true },
    ),
    finalizedFeaturesEpoch: int64({ versions: "3+", tag: 1, default: -1, ignorable: true }),
    finalizedFeatures: array(
      {
        name: string(),
        maxVersionLevel: int16(),
        minVersionLevel: int16(),
      },
      { versions: "3+", tag: 2, ignorable: true },
    ),
    zkMigrationReady: bool({ versions: "3+", tag: 3, ignorable: true }),
  },
});
export type ApiVersionsRequest = RequestOf<typeof ApiVersions>;
export type ApiVersionsRequestInput = RequestInputOf<typeof ApiVersions>;
export type ApiVersionsResponse = ResponseOf<typeof ApiVersions>;
export type ApiVersionsResponseInput = ResponseInputOf<typeof ApiVersions>;
