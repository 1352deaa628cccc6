// Features and their levels: what this release knows, and what the cluster has finalized. Invariant: a level in force is one
// that this release supports: a store that holds another is refused at the start, never guessed at.
// Kafka: Feature, MetadataVersion, QuorumFeatures, FeatureControlManager.

import { MetadataStoreError } from "../../contracts/errors.ts";
import type { Entry } from "../../contracts/metadata_store.ts";
import { type Change, type Decision, refused } from "./decision.ts";
import { decodeFeatureLevels, encodeFeatureLevels, FEATURES_KEY } from "./entries.ts";
import type { BrokerImage, ClusterImage, FeaturesImage } from "./image.ts";

/** A feature and the levels of it, inclusive, that this release knows. */
export interface SupportedFeature {
  readonly name: string;
  readonly minVersion: number;
  readonly maxVersion: number;
  /** In force where nobody has said otherwise. */
  readonly defaultLevel: number;
}

const METADATA_VERSION = "metadata.version";
/** The consumer protocol (KIP-848) from 1 on. */
export const GROUP_VERSION = "group.version";
/** Flexible transaction records from 1 on, an epoch for each transaction from 2 on (KIP-890). */
export const TRANSACTION_VERSION = "transaction.version";

/** As Kafka 4.3 numbers them. */
export const SUPPORTED_FEATURES: readonly SupportedFeature[] = [
  { name: METADATA_VERSION, minVersion: 7, maxVersion: 30, defaultLevel: 30 },
  { name: GROUP_VERSION, minVersion: 0, maxVersion: 1, defaultLevel: 1 },
  { name: TRANSACTION_VERSION, minVersion: 0, maxVersion: 2, defaultLevel: 2 },
];

/**
 * Formats between brokers and in the metadata store, of a cluster: a release that brings new ones knows a higher level, and uses them
 * once that is in force. Always in the store, unlike the others: a newer release's default must not become the cluster's by itself.
 */
export const MILLRACE_VERSION = "millrace.version";

/** What a broker of a cluster knows. */
export const CLUSTER_FEATURES: readonly SupportedFeature[] = [
  ...SUPPORTED_FEATURES,
  { name: MILLRACE_VERSION, minVersion: 1, maxVersion: 1, defaultLevel: 1 },
];

/** Those that Kafka has besides: here they are off, which is level 0, and may be told so. */
const KNOWN_AND_OFF: ReadonlySet<string> = new Set([
  "kraft.version",
  "eligible.leader.replicas.version",
  "share.version",
  "streams.version",
]);

/** How a level may move: Kafka's numbers in UpdateFeatures. */
const UPGRADE = 1;
const UNSAFE_DOWNGRADE = 3;

/** A level that somebody wants. */
export interface FeatureUpdate {
  readonly feature: string;
  readonly maxVersionLevel: number;
  /** 1: only up. 2 and 3: only down, where nothing is lost, or whatever is lost. */
  readonly upgradeType: number;
}

/** Nobody has said anything. */
export const DEFAULT_FEATURES: FeaturesImage = { levels: new Map(), revision: 0 };

/** The level in force. @throws {RangeError} when there is no such feature here */
export function levelOf({ levels }: FeaturesImage, name: string): number {
  const level = levels.get(name) ?? supported(name)?.defaultLevel;
  if (level === undefined) throw new RangeError(`There is no feature "${name}"`);
  return level;
}

/** @throws {MetadataStoreError} "version" or "corrupt" */
export function featuresOf(entry: Entry): FeaturesImage {
  const levels = decodeFeatureLevels(entry);
  for (const [name, level] of levels) {
    const feature = supported(name);
    if (feature !== undefined && isWithin(feature, level)) continue;
    throw new MetadataStoreError(
      "version",
      `Cannot serve this cluster as it has ${name} at ${level}: this release ${knows(feature)}`,
    );
  }
  return { levels, revision: entry.revision };
}

/** Decides on levels: all that are named change, or none does. The value is what is in force afterwards. */
export function decideUpdateFeatures(
  image: ClusterImage,
  updates: readonly FeatureUpdate[],
  validateOnly = false,
): Decision<ReadonlyMap<string, number>> {
  const before = image.features;
  const levels = new Map(before.levels);
  // Of a name that comes twice the last one counts.
  const byName = new Map(updates.map((update) => [update.feature, update]));
  for (const update of byName.values()) {
    const { feature: name, maxVersionLevel: level } = update;
    const fault = faultOf(before, update) ?? brokersFault(image, update);
    if (fault !== null) {
      return refused(
        "invalid_update_version",
        `The update failed for all features since one had an error: invalid update version ${level} for feature ${name}. ${fault}`,
      );
    }
    if (supported(name) !== undefined && levelOf(before, name) !== level) levels.set(name, level);
  }
  const isSame = [...levels].every(([name, level]) => levelOf(before, name) === level);
  return {
    ok: true,
    value: levels,
    change:
      validateOnly || isSame
        ? null
        : {
            conditions: [{ key: FEATURES_KEY, revision: before.revision }],
            writes: [{ key: FEATURES_KEY, value: encodeFeatureLevels(levels) }],
            locks: [],
          },
  };
}

/** What is in force where a cluster begins: all that is not in the store yet, at its default. Null where all is there. */
export function decideFinalize(image: ClusterImage): Change | null {
  const { levels, revision } = image.features;
  const missing = CLUSTER_FEATURES.filter(({ name }) => !levels.has(name));
  if (missing.length === 0) return null;
  const all = new Map(levels);
  for (const { name, defaultLevel } of missing) all.set(name, defaultLevel);
  return {
    conditions: [{ key: FEATURES_KEY, revision }],
    writes: [{ key: FEATURES_KEY, value: encodeFeatureLevels(all) }],
    locks: [],
  };
}

/** Why a broker cannot work under the levels in force, by name; null when it can. */
export function levelsFault(
  { levels }: FeaturesImage,
  knownLevels: BrokerImage["features"],
): string | null {
  for (const [name, level] of levels) {
    const range = knownLevels.get(name) ?? OFF;
    if (level >= range.min && level <= range.max) continue;
    return `the cluster has ${name} at ${level}, and this release ${knownAs(knownLevels.get(name))}`;
  }
  return null;
}

/** What a broker knows of a feature that it does not name: that it is off. */
const OFF = { min: 0, max: 0 };

/** All brokers that are there must know the level. */
function brokersFault(image: ClusterImage, update: FeatureUpdate): string | null {
  const { feature: name, maxVersionLevel: level } = update;
  for (const { id, features } of image.brokers.values()) {
    const range = features.get(name) ?? OFF;
    if (level < range.min || level > range.max) {
      return `Broker ${id} ${knownAs(features.get(name))}.`;
    }
  }
  return null;
}

function knownAs(range: { readonly min: number; readonly max: number } | undefined): string {
  return range === undefined
    ? "does not know it"
    : `only supports versions ${range.min}-${range.max}`;
}

function faultOf(before: FeaturesImage, update: FeatureUpdate): string | null {
  const { feature: name, maxVersionLevel: level, upgradeType } = update;
  if (upgradeType < UPGRADE || upgradeType > UNSAFE_DOWNGRADE) {
    return `There is no upgrade type ${upgradeType}.`;
  }
  if (level < 0) return "A feature version cannot be less than 0.";
  const feature = supported(name);
  if (feature === undefined) {
    return level === 0 && KNOWN_AND_OFF.has(name) ? null : "This release does not support it.";
  }
  if (!isWithin(feature, level)) return `This release ${knows(feature)}.`;
  const current = levelOf(before, name);
  if (level < current && upgradeType === UPGRADE) {
    return "It is lower than the one in force: the upgrade type must be a safe or an unsafe downgrade.";
  }
  if (level > current && upgradeType !== UPGRADE) {
    return "It is higher than the one in force: the upgrade type must be an upgrade.";
  }
  // What 30 brought is in the store from the first start on, and Kafka knows no way back from it either.
  if (name === METADATA_VERSION && level < current) {
    return `The level ${current} has changed how metadata is stored, so it cannot be lowered.`;
  }
  return null;
}

function supported(name: string): SupportedFeature | undefined {
  return CLUSTER_FEATURES.find((each) => each.name === name);
}

function isWithin({ minVersion, maxVersion }: SupportedFeature, level: number): boolean {
  return level >= minVersion && level <= maxVersion;
}

function knows(feature: SupportedFeature | undefined): string {
  return feature === undefined
    ? "does not know it"
    : `only supports versions ${feature.minVersion}-${feature.maxVersion}`;
}
