// Features as clients are told of them, and UpdateFeatures. Invariant: a level that was answered is in force, and stored.
// Kafka: QuorumController.updateFeatures, ApiVersionsResponse.

import type { Feature } from "../../contracts/broker.ts";
import { kafkaError, NONE } from "../../protocol/errors.ts";
import type {
  UpdateFeaturesRequest,
  UpdateFeaturesResponse,
} from "../../protocol/messages/57_update_features.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { CLUSTER_FEATURES, SUPPORTED_FEATURES } from "../cluster/features.ts";
import { type ApiContext, settled } from "./api_context.ts";

/** Last version whose answer has a row for each feature. */
const ROWS_UNTIL = 1;

/** Every feature with its levels and the one in force. */
export function featuresOf(cluster: Cluster): readonly Feature[] {
  const all = cluster.isShared ? CLUSTER_FEATURES : SUPPORTED_FEATURES;
  return all.map(({ name, minVersion, maxVersion }) => ({
    name,
    minVersion,
    maxVersion,
    finalizedVersion: cluster.featureLevel(name),
  }));
}

export async function updateFeatures(
  context: ApiContext,
  request: UpdateFeaturesRequest,
  version: number,
): Promise<UpdateFeaturesResponse> {
  const { featureUpdates, validateOnly } = request;
  const decision = await settled(
    context,
    "update_features",
    context.cluster.updateFeatures(featureUpdates, validateOnly),
  );
  if (!decision.ok) {
    const { wireCode, message } = kafkaError(
      decision.refusal.code,
      decision.refusal.message ?? undefined,
    );
    return { throttleTimeMs: 0, errorCode: wireCode, errorMessage: message, results: [] };
  }
  if (!validateOnly) {
    context.runtime.log.info("features_updated", {
      levels: [...decision.value].map(([name, level]) => `${name}=${level}`).join(","),
    });
  }
  // As in Kafka rows are there only where nothing went wrong.
  const results =
    version > ROWS_UNTIL
      ? []
      : featureUpdates.map(({ feature }) => ({ feature, errorCode: NONE, errorMessage: "NONE" }));
  return { throttleTimeMs: 0, errorCode: NONE, errorMessage: null, results };
}
