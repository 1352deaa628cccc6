// Which version of an API both sides speak.
// Invariant: the highest that both have, within the bounds of the call; never an unstable one of ours.
// Kafka: NodeApiVersions.latestUsableVersion, KIP-35.

import type { Api } from "../protocol/schema.ts";
import { ClientError } from "./client_error.ts";

/** Lowest and highest version of an API that a broker serves, inclusive. */
export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

/**
 * The highest version that both sides have, within the bounds given.
 *
 * @param theirs undefined where the broker does not serve the API
 * @param broker whom to name in the error
 * @throws {ClientError} "unsupported_version" naming both ranges
 */
export function usableVersion(
  api: Api,
  theirs: VersionRange | undefined,
  broker: string,
  versionMin = api.lowest,
  versionMax = api.highestStable,
): number {
  const lowest = Math.max(api.lowest, versionMin);
  const highest = Math.min(api.highestStable, versionMax);
  if (theirs !== undefined) {
    const version = Math.min(highest, theirs.max);
    if (version >= lowest && version >= theirs.min) return version;
  }
  const wanted = lowest === highest ? `v${lowest}` : `v${lowest} to v${highest}`;
  const found =
    theirs === undefined ? "does not serve it" : `serves v${theirs.min} to v${theirs.max}`;
  throw new ClientError(
    "unsupported_version",
    `Cannot send ${api.name} to ${broker}: ${wanted} would do, and the broker ${found}`,
  );
}
