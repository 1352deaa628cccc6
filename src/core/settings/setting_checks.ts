// Checks the settings asked for a topic, or for a broker while it runs, before they are stored.
// Invariant: what passes is canonical and can be stored; a message names the setting, the value and what is wanted.
// Kafka: LogConfig.validate, ConfigurationControlManager, DynamicBrokerConfig.validateConfigs.

import {
  allBrokerSettings,
  allTopicSettings,
  brokerSetting,
  type SettingDefinition,
  topicSetting,
} from "./definitions.ts";
import { nearestName, readSetting } from "./values.ts";

export type CheckOutcome =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly message: string };

/** Checks one setting of a topic. */
export function checkTopicSetting(name: string, value: string): CheckOutcome {
  const definition = topicSetting(name);
  if (definition === undefined) {
    return { ok: false, message: unknown("topic", name, allTopicSettings()) };
  }
  return checkValue(definition, value);
}

/** Checks one broker setting, by type and bounds only: whether it may change while running is another question. */
export function checkBrokerSetting(name: string, value: string): CheckOutcome {
  const definition = brokerSetting(name);
  if (definition === undefined) {
    return { ok: false, message: unknown("broker", name, allBrokerSettings()) };
  }
  return checkValue(definition, value);
}

/** Checks the settings of a topic together; null when they agree. */
export function checkTopicTogether(configs: ReadonlyMap<string, string>): string | null {
  const least = configs.get("min.compaction.lag.ms");
  const most = configs.get("max.compaction.lag.ms");
  if (least !== undefined && most !== undefined && Number(least) > Number(most)) {
    return `Invalid configuration: min.compaction.lag.ms (${least}) is above max.compaction.lag.ms (${most})`;
  }
  return null;
}

function checkValue(definition: SettingDefinition, value: string): CheckOutcome {
  const outcome = readSetting(definition, value);
  if (!outcome.ok) return outcome;
  const { text } = outcome.value;
  if (definition.status === "refused" && text !== definition.defaultText) {
    return { ok: false, message: `Cannot take ${definition.name}=${text} as ${definition.text}` };
  }
  return { ok: true, text };
}

function unknown(kind: string, name: string, all: Iterable<SettingDefinition>): string {
  const names: string[] = [];
  for (const each of all) names.push(each.name);
  const near = nearestName(name, names);
  const hint = near === null ? "" : `; did you mean ${near}`;
  return `Unknown ${kind} config name: ${name}${hint}`;
}
