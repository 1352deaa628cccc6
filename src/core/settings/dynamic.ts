// The settings in force: default → static (config file, -o) → cluster-wide dynamic → this broker's dynamic
// → the topic's own. Invariant: every layer holds known names with valid, canonical texts, so that
// reading never fails. Kafka: DynamicBrokerConfig, KafkaConfig.extractLogConfigMap.

import { brokerSetting, groupConfig, type SettingDefinition, topicSetting } from "./definitions.ts";
import { buildTopicSettings } from "./topic_resolution.ts";
import type { TopicSettings } from "./topic_settings.ts";
import { readSetting, type SettingValue } from "./values.ts";

/** Where a value comes from, by Kafka's numbers in DescribeConfigs. */
export const ConfigSource = {
  topic: 1,
  dynamicBroker: 2,
  dynamicDefault: 3,
  static: 4,
  default: 5,
  group: 8,
} as const;
export type ConfigSourceCode = (typeof ConfigSource)[keyof typeof ConfigSource];

/** A value of one layer. */
export interface LayeredValue {
  readonly name: string;
  readonly text: string;
  readonly source: ConfigSourceCode;
}

const EMPTY: ReadonlyMap<string, string> = new Map();

/** One broker's settings. Synchronous: everything is in memory. */
export class Settings {
  readonly #static: ReadonlyMap<string, string>;
  #cluster: ReadonlyMap<string, string> = EMPTY;
  #broker: ReadonlyMap<string, string> = EMPTY;
  #topicDefaults: TopicSettings | null = null;
  #generation = 0;
  readonly #listeners = new Set<(changed: ReadonlySet<string>) => void>();

  /** @param staticValues As `readStaticSettings` gives them. */
  constructor(staticValues: ReadonlyMap<string, string> = EMPTY) {
    this.#static = staticValues;
  }

  /** Counts the changes of the dynamic layers: what was worked out of settings holds as long as it stays. */
  get generation(): number {
    return this.#generation;
  }

  /** The value in force of a broker setting, as text; null when it has none or is unknown. */
  text(name: string): string | null {
    return (
      this.#broker.get(name) ??
      this.#cluster.get(name) ??
      this.#static.get(name) ??
      brokerSetting(name)?.defaultText ??
      null
    );
  }

  /** The value in force of a numeric broker setting; `fallback` when it has none. Longs beyond 2^53 are rounded. */
  number(name: string, fallback = 0): number {
    const text = this.text(name);
    return text === null ? fallback : Number(text);
  }

  /** The value in force of a boolean broker setting. */
  boolean(name: string): boolean {
    return this.text(name) === "true";
  }

  /** The settings of a topic, from what was set on the topic itself. One shared object where that is nothing. */
  topicSettings(topicConfigs: ReadonlyMap<string, string>): TopicSettings {
    if (topicConfigs.size > 0) return this.#build(topicConfigs);
    this.#topicDefaults ??= this.#build(topicConfigs);
    return this.#topicDefaults;
  }

  /** The value in force of one topic setting, as text; null when it has none. */
  topicText(topicConfigs: ReadonlyMap<string, string>, name: string): string | null {
    const own = topicConfigs.get(name);
    if (own !== undefined) return own;
    const definition = topicSetting(name);
    return definition === undefined ? null : this.#topicDefault(definition);
  }

  /** The value in force of one setting of a group, as text; null when it has none. */
  groupText(groupConfigs: ReadonlyMap<string, string>, name: string): string | null {
    const own = groupConfigs.get(name);
    if (own !== undefined) return own;
    const definition = groupConfig(name);
    const broker = definition?.synonyms[0];
    return (broker === undefined ? null : this.text(broker)) ?? definition?.defaultText ?? null;
  }

  /** Every layer that has a value for one of `names`: dynamic first, then static, then defaults, each in the order of `names`. */
  layers(names: readonly string[]): LayeredValue[] {
    const found: LayeredValue[] = [];
    const collect = (values: ReadonlyMap<string, string>, source: ConfigSourceCode) => {
      for (const name of names) {
        const text = values.get(name);
        if (text !== undefined) found.push({ name, text, source });
      }
    };
    collect(this.#broker, ConfigSource.dynamicBroker);
    collect(this.#cluster, ConfigSource.dynamicDefault);
    collect(this.#static, ConfigSource.static);
    for (const name of names) {
      const text = brokerSetting(name)?.defaultText;
      if (text !== undefined && text !== null) {
        found.push({ name, text, source: ConfigSource.default });
      }
    }
    return found;
  }

  /** Replaces the dynamic layers, and tells those who subscribed which names have a new value. */
  setDynamic(cluster: ReadonlyMap<string, string>, broker: ReadonlyMap<string, string>): void {
    const names = new Set([
      ...this.#cluster.keys(),
      ...this.#broker.keys(),
      ...cluster.keys(),
      ...broker.keys(),
    ]);
    const before = new Map<string, string | null>();
    for (const name of names) before.set(name, this.text(name));
    this.#cluster = cluster;
    this.#broker = broker;
    this.#generation++;
    const changed = new Set<string>();
    for (const name of names) if (this.text(name) !== before.get(name)) changed.add(name);
    if (changed.size === 0) return;
    this.#topicDefaults = null;
    for (const listener of [...this.#listeners]) listener(changed);
  }

  /** Calls `listener` with the names of broker settings whose value changed. @returns what ends it */
  onChange(listener: (changed: ReadonlySet<string>) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #build(topicConfigs: ReadonlyMap<string, string>): TopicSettings {
    return buildTopicSettings((name) => {
      const definition = topicSetting(name)!;
      const text = topicConfigs.get(name) ?? this.#topicDefault(definition);
      return text === null ? null : readOrDefault(definition, text);
    });
  }

  #topicDefault(definition: SettingDefinition): string | null {
    // Fixed at creation: a topic without a value of its own was made when the default was the table's.
    if (definition.isFixed) return definition.defaultText;
    for (const name of definition.synonyms) {
      const text = this.#broker.get(name) ?? this.#cluster.get(name) ?? this.#static.get(name);
      if (text !== undefined) return convert(definition.name, name, text);
    }
    return definition.defaultText;
  }
}

/** Brings a broker synonym's value into the topic setting's unit: hours and minutes become milliseconds. */
function convert(topicName: string, brokerName: string, text: string): string {
  if (!topicName.endsWith(".ms")) return text;
  let value = Number(text);
  if (brokerName.endsWith(".hours")) value *= 3_600_000;
  else if (brokerName.endsWith(".minutes")) value *= 60_000;
  else if (topicName !== "retention.ms") return text;
  // Kafka reads every negative retention of the broker as "for ever".
  if (topicName === "retention.ms" && value < 0) value = -1;
  return Number.isSafeInteger(value) ? String(value) : text;
}

/** A stored text that an older or newer release took, and this one does not, counts as not set. */
function readOrDefault(definition: SettingDefinition, text: string): SettingValue | null {
  const outcome = readSetting(definition, text);
  if (outcome.ok) return outcome.value;
  if (definition.defaultText === null) return null;
  const fallback = readSetting(definition, definition.defaultText);
  return fallback.ok ? fallback.value : null;
}
