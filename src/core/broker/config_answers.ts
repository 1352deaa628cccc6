// Answers DescribeConfigs: values in force, where they come from, and what they were before each layer.
// Invariant: a password is never told, nor is the value of a name without a definition.
// Kafka: ConfigHelper, DescribeConfigsResponse.

import { NONE, wireCodeOf } from "../../protocol/errors.ts";
import type { CreateTopicsResponse } from "../../protocol/messages/19_create_topics.ts";
import type {
  DescribeConfigsRequest,
  DescribeConfigsResponse,
} from "../../protocol/messages/32_describe_configs.ts";
import { ConfigResource } from "../cluster/config_controller.ts";
import type { TopicImage } from "../cluster/image.ts";
import {
  allBrokerSettings,
  allGroupConfigs,
  allTopicSettings,
  brokerSetting,
  isSensitive,
  type SettingDefinition,
  type SettingType,
} from "../settings/definitions.ts";
import { ConfigSource, type LayeredValue, type Settings } from "../settings/dynamic.ts";
import type { ApiContext } from "./api_context.ts";
import { CLEANING } from "./cleaning_answers.ts";

type Result = DescribeConfigsResponse["results"][number];
type Row = Result["configs"][number];
type CreatedRow = NonNullable<CreateTopicsResponse["topics"][number]["configs"]>[number];

const TYPE_CODES: Readonly<Record<SettingType, number>> = {
  boolean: 1,
  string: 2,
  int: 3,
  short: 4,
  long: 5,
  double: 6,
  list: 7,
  class: 8,
  password: 9,
};

interface Shown {
  readonly synonyms: boolean;
  readonly documentation: boolean;
}

/**
 * Answers for each resource asked for, in order.
 *
 * @param cleaning What the cleaner says of topics that it was asked about by name, see cleaning_answers.ts.
 */
export function answerConfigs(
  context: ApiContext,
  request: DescribeConfigsRequest,
  cleaning: ReadonlyMap<string, string>,
): DescribeConfigsResponse {
  const shown = {
    synonyms: request.includeSynonyms,
    documentation: request.includeDocumentation,
  };
  const results = request.resources.map((resource): Result => {
    const { resourceType, resourceName, configurationKeys } = resource;
    const keys = configurationKeys === null ? null : new Set(configurationKeys);
    const described = describe(context, resourceType, resourceName, keys, shown);
    const figures = resourceType === ConfigResource.topic ? cleaning.get(resourceName) : undefined;
    const configs =
      figures !== undefined && keys?.has(CLEANING) === true
        ? [...described.configs, figuresRow(figures)]
        : described.configs;
    return { ...described, configs, resourceType, resourceName };
  });
  return { throttleTimeMs: 0, results };
}

type Described = Pick<Result, "errorCode" | "errorMessage" | "configs">;

function describe(
  context: ApiContext,
  resourceType: number,
  resourceName: string,
  keys: ReadonlySet<string> | null,
  shown: Shown,
): Described {
  const { settings } = context;
  const isAsked = (name: string) => keys === null || keys.has(name);
  if (resourceType === ConfigResource.topic) {
    const topic = context.cluster.image.topicsByName.get(resourceName);
    if (topic === undefined) {
      return { errorCode: wireCodeOf("unknown_topic_or_partition"), errorMessage: "", configs: [] };
    }
    const configs: Row[] = [];
    for (const each of allTopicSettings()) {
      if (isAsked(each.name) && isShown(each, topic.configs)) {
        configs.push(row(each, topicValue(settings, topic.configs, each), shown, false));
      }
    }
    return done(configs);
  }
  if (resourceType === ConfigResource.broker) {
    if (resourceName === "") {
      const cluster = context.cluster.image.brokerConfigs.get("")?.configs ?? new Map();
      const configs: Row[] = [];
      for (const name of [...cluster.keys()].sort()) {
        const each = brokerSetting(name);
        if (each === undefined || !isAsked(name)) continue;
        const layers = settings
          .layers([name])
          .filter((layer) => layer.source === ConfigSource.dynamicDefault);
        configs.push(row(each, { text: cluster.get(name) ?? null, layers }, shown, false));
      }
      return done(configs);
    }
    if (resourceName !== String(context.brokerId)) {
      return refuse(
        `The settings of broker ${context.brokerId} can be asked for here, or "" for those of all: not those of "${resourceName}"`,
      );
    }
    const configs: Row[] = [];
    for (const each of allBrokerSettings()) {
      if (each.isInternal || !isAsked(each.name)) continue;
      const layers = settings.layers([each.name]);
      const value = { text: settings.text(each.name), layers };
      configs.push(row(each, value, shown, each.dynamic === null));
    }
    return done(configs);
  }
  if (resourceType === ConfigResource.group) {
    if (resourceName === "") return refuse("A group must be named");
    // Also of a group that is not there: what it would have.
    const own = context.cluster.image.groupConfigs.get(resourceName)?.configs ?? NO_CONFIGS;
    const configs: Row[] = [];
    for (const each of allGroupConfigs()) {
      if (isAsked(each.name))
        configs.push(row(each, groupValue(settings, own, each), shown, false));
    }
    return done(configs);
  }
  return refuse(
    resourceType === ConfigResource.brokerLogger
      ? "Log levels are not settings here: start with --log-level"
      : `Settings of resource type ${resourceType} cannot be asked for here`,
  );
}

function done(configs: readonly Row[]): Described {
  return { errorCode: NONE, errorMessage: "", configs };
}

function refuse(message: string): Described {
  return { errorCode: wireCodeOf("invalid_request"), errorMessage: message, configs: [] };
}

interface Value {
  readonly text: string | null;
  /** Where it comes from, first the one in force. */
  readonly layers: readonly LayeredValue[];
}

/** Internal settings are shown where somebody has set them. */
function isShown(definition: SettingDefinition, configs: ReadonlyMap<string, string>): boolean {
  return !definition.isInternal || configs.has(definition.name);
}

function topicValue(
  settings: Settings,
  configs: ReadonlyMap<string, string>,
  definition: SettingDefinition,
): Value {
  const { name, synonyms } = definition;
  const own = configs.get(name);
  let layers = definition.isFixed ? [] : settings.layers(synonyms);
  // As Kafka, which shows a default only under the first name: "retention.ms" has none of hours.
  layers = layers.filter(
    (layer) => layer.source !== ConfigSource.default || layer.name === synonyms[0],
  );
  return {
    text: settings.topicText(configs, name),
    layers:
      own === undefined ? layers : [{ name, text: own, source: ConfigSource.topic }, ...layers],
  };
}

function groupValue(
  settings: Settings,
  configs: ReadonlyMap<string, string>,
  definition: SettingDefinition,
): Value {
  const { name, synonyms } = definition;
  const own = configs.get(name);
  const layers = settings.layers(synonyms);
  return {
    text: settings.groupText(configs, name),
    layers:
      own === undefined ? layers : [{ name, text: own, source: ConfigSource.group }, ...layers],
  };
}

function row(definition: SettingDefinition, value: Value, shown: Shown, readOnly: boolean): Row {
  const hidden = isSensitive(definition);
  return {
    name: definition.name,
    value: hidden ? null : value.text,
    readOnly,
    configSource: value.layers[0]?.source ?? ConfigSource.default,
    isSensitive: hidden,
    synonyms: shown.synonyms
      ? value.layers.map(({ name, text, source }) => ({
          name,
          value: hidden ? null : text,
          source,
        }))
      : [],
    configType: TYPE_CODES[definition.type],
    documentation: shown.documentation ? documentationOf(definition) : null,
  };
}

function figuresRow(text: string): Row {
  return {
    name: CLEANING,
    value: text,
    readOnly: true,
    configSource: ConfigSource.default,
    isSensitive: false,
    synonyms: [],
    configType: TYPE_CODES.string,
    documentation: null,
  };
}

function documentationOf(definition: SettingDefinition): string {
  if (definition.status === "honoured") return definition.text;
  const word = definition.status === "refused" ? "Only the default is taken" : "Without effect";
  return `${word}: ${definition.text}`;
}

/** Makes the settings of topics as CreateTopics answers them; the defaults are worked out once for all. */
export class CreatedConfigs {
  readonly #settings: Settings;
  #generation = -1;
  #defaults: readonly CreatedRow[] = [];

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Every setting of the topic with its value in force, by name in ascending order. */
  of(topic: TopicImage): readonly CreatedRow[] {
    const { generation } = this.#settings;
    if (this.#generation !== generation) {
      this.#defaults = this.#rows(NO_CONFIGS);
      this.#generation = generation;
    }
    return topic.configs.size === 0 ? this.#defaults : this.#rows(topic.configs);
  }

  #rows(configs: ReadonlyMap<string, string>): CreatedRow[] {
    const rows: CreatedRow[] = [];
    for (const each of allTopicSettings()) {
      if (!isShown(each, configs)) continue;
      const { text, layers } = topicValue(this.#settings, configs, each);
      rows.push({
        name: each.name,
        value: text,
        readOnly: false,
        configSource: layers[0]?.source ?? ConfigSource.default,
        isSensitive: false,
      });
    }
    return rows;
  }
}

const NO_CONFIGS: ReadonlyMap<string, string> = new Map();
