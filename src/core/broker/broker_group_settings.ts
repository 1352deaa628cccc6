// What groups read of this broker's settings, each time anew: most may change while it runs.
// Invariant: what is set on a group wins over the broker's, within the broker's bounds of today.
// Kafka: GroupCoordinatorConfig, GroupConfigManager.

import type { Codec } from "../../record/compression.ts";
import { CODECS } from "../../record/compression.ts";
import type { GroupSettings } from "../coordinator/group/group_settings.ts";
import type { Settings } from "../settings/dynamic.ts";

const NO_WORDS: readonly string[] = [];

export class BrokerGroupSettings implements GroupSettings {
  readonly #settings: Settings;
  readonly #groupConfig: (groupId: string, name: string) => string | null;
  readonly #groupVersion: () => number;
  /** Lists by name, as long as the dynamic layers stay as they are. */
  readonly #words = new Map<string, readonly string[]>();
  #generation = -1;

  /**
   * @param groupConfig What is set on a group itself, by Kafka's name; null where nothing is.
   * @param groupVersion The level of the feature `group.version` now.
   */
  constructor(
    settings: Settings,
    groupConfig: (groupId: string, name: string) => string | null,
    groupVersion: () => number,
  ) {
    this.#groupVersion = groupVersion;
    this.#settings = settings;
    this.#groupConfig = groupConfig;
  }

  get sessionTimeoutMsMin(): number {
    return this.#settings.number("group.min.session.timeout.ms");
  }

  get sessionTimeoutMsMax(): number {
    return this.#settings.number("group.max.session.timeout.ms");
  }

  get initialRebalanceDelayMs(): number {
    return this.#settings.number("group.initial.rebalance.delay.ms");
  }

  get sizeMax(): number {
    return this.#settings.number("group.max.size");
  }

  get offsetMetadataBytesMax(): number {
    return this.#settings.number("offset.metadata.max.bytes");
  }

  get offsetsRetentionMs(): number {
    return this.#settings.number("offsets.retention.minutes") * 60_000;
  }

  get offsetsRetentionCheckMs(): number {
    return this.#settings.number("offsets.retention.check.interval.ms");
  }

  get servesConsumerProtocol(): boolean {
    const served = this.#list("group.coordinator.rebalance.protocols");
    return served.includes("consumer") && this.#groupVersion() >= 1;
  }

  get mayUpgrade(): boolean {
    return this.#migratesBy("UPGRADE");
  }

  get mayDowngrade(): boolean {
    return this.#migratesBy("DOWNGRADE");
  }

  get consumerSizeMax(): number {
    return this.#settings.number("group.consumer.max.size");
  }

  get consumerAssignors(): readonly string[] {
    return this.#list("group.consumer.assignors");
  }

  get regexRefreshMs(): number {
    return this.#settings.number("group.consumer.regex.refresh.interval.ms");
  }

  consumerSessionTimeoutMs(groupId: string): number {
    return this.#ofGroup(groupId, "session.timeout.ms");
  }

  consumerHeartbeatIntervalMs(groupId: string): number {
    return this.#ofGroup(groupId, "heartbeat.interval.ms");
  }

  consumerAssignmentIntervalMs(groupId: string): number {
    return this.#ofGroup(groupId, "assignment.interval.ms");
  }

  /** Of the batches in __consumer_offsets. */
  get codec(): Codec {
    return CODECS[this.#settings.number("offsets.topic.compression.codec")] ?? "none";
  }

  /** The bounds may have moved since the group was given its value: it stays within them. */
  #ofGroup(groupId: string, name: string): number {
    const settings = this.#settings;
    const own = this.#groupConfig(groupId, `consumer.${name}`);
    if (own === null) return settings.number(`group.consumer.${name}`);
    const min = settings.number(`group.consumer.min.${name}`);
    const max = settings.number(`group.consumer.max.${name}`);
    return Math.min(Math.max(Number(own), min), max);
  }

  #migratesBy(direction: "UPGRADE" | "DOWNGRADE"): boolean {
    const policy = this.#settings.text("group.consumer.migration.policy")?.toUpperCase();
    return policy === "BIDIRECTIONAL" || policy === direction;
  }

  #list(name: string): readonly string[] {
    const { generation } = this.#settings;
    if (generation !== this.#generation) {
      this.#generation = generation;
      this.#words.clear();
    }
    const known = this.#words.get(name);
    if (known !== undefined) return known;
    const text = this.#settings.text(name) ?? "";
    const words = text === "" ? NO_WORDS : text.split(",");
    this.#words.set(name, words);
    return words;
  }
}
