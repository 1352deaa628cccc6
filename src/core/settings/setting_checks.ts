// Checks the settings asked for a topic, a group, or a broker while it runs, before they are stored.
// Invariant: what passes is canonical and can be stored; a message names the setting, the value and what is wanted.
// Kafka: LogConfig.validate, ConfigurationControlManager, DynamicBrokerConfig.validateConfigs.

import {
  allBrokerSettings,
  allGroupConfigs,
  allTopicSettings,
  brokerSetting,
  groupConfig,
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

/** Checks one setting of a group, by type and bounds; what the broker allows groups is `checkGroupTogether`. */
export function checkGroupConfig(name: string, value: string): CheckOutcome {
  const definition = groupConfig(name);
  if (definition === undefined) {
    return { ok: false, message: unknown("group", name, allGroupConfigs()) };
  }
  return checkValue(definition, value);
}

/**
 * Checks the settings of a group together, and against the broker's bounds for groups; null when they agree.
 *
 * @param brokerText The value in force of a broker setting.
 */
export function checkGroupTogether(
  configs: ReadonlyMap<string, string>,
  brokerText: (name: string) => string | null,
): string | null {
  const inForce = (name: string) => Number(configs.get(name) ?? brokerText(`group.${name}`));
  for (const name of ["assignment.interval.ms", "heartbeat.interval.ms", "session.timeout.ms"]) {
    const own = configs.get(`consumer.${name}`);
    if (own === undefined) continue;
    const min = `group.consumer.min.${name}`;
    const max = `group.consumer.max.${name}`;
    if (Number(own) < Number(brokerText(min))) {
      return `consumer.${name} (${own}) must be at least ${min} (${brokerText(min)})`;
    }
    if (Number(own) > Number(brokerText(max))) {
      return `consumer.${name} (${own}) must be at most ${max} (${brokerText(max)})`;
    }
  }
  const sessionMs = inForce("consumer.session.timeout.ms");
  const heartbeatMs = inForce("consumer.heartbeat.interval.ms");
  if (sessionMs <= heartbeatMs) {
    return `consumer.session.timeout.ms (${sessionMs}) must be greater than consumer.heartbeat.interval.ms (${heartbeatMs})`;
  }
  return null;
}

/**
 * Checks the settings of a topic together; null when they agree.
 *
 * @param inForce The value of a setting that the topic has none of its own for.
 */
export function checkTopicTogether(
  configs: ReadonlyMap<string, string>,
  inForce: (name: string) => string | null,
): string | null {
  return lagsFault((name) => configs.get(name) ?? inForce(name), "");
}

/**
 * Checks the settings of a broker together; null when they agree.
 *
 * @param inForce The value of a setting that `configs` has none for.
 */
export function checkBrokerTogether(
  configs: ReadonlyMap<string, string>,
  inForce: (name: string) => string | null,
): string | null {
  const textOf = (name: string) => configs.get(name) ?? inForce(name);
  return timesFault(textOf) ?? cleanerFault(textOf) ?? lagsFault(textOf, "log.cleaner.");
}

/** The offset map of a cleaner of Kafka's has to be larger than this; its start checks that. */
const DEDUPE_BYTES_A_THREAD = 1024 * 1024;

/** Kafka: KafkaConfig.validateValues; a rate of 0 it takes, and then its cleaner sleeps for ever. */
function cleanerFault(textOf: (name: string) => string | null): string | null {
  const size = "log.cleaner.dedupe.buffer.size";
  const rate = "log.cleaner.io.max.bytes.per.second";
  const sizeText = textOf(size);
  const threads = Math.max(Number(textOf("log.cleaner.threads") ?? 1), 1);
  if (sizeText !== null && Math.floor(Number(sizeText) / threads) <= DEDUPE_BYTES_A_THREAD) {
    const each = threads === 1 ? "" : ` for each of log.cleaner.threads (${threads})`;
    return `Invalid configuration: ${size} (${sizeText}) must be above ${DEDUPE_BYTES_A_THREAD}${each}`;
  }
  const rateText = textOf(rate);
  if (rateText === null || Number(rateText) > 0) return null;
  return `Invalid configuration: ${rate} (${rateText}) must be above 0: nothing would ever be cleaned`;
}

/** Bounds that the definitions of Kafka do not tell. Kafka: KafkaConfig.validateValues. */
function timesFault(textOf: (name: string) => string | null): string | null {
  const bounds = [
    ["log.roll.ms", 1],
    ["log.roll.jitter.ms", 0],
  ] as const;
  for (const [name, least] of bounds) {
    const text = textOf(name);
    if (text !== null && Number(text) < least) {
      return `Invalid configuration: ${name} (${text}) must be at least ${least}`;
    }
  }
  const names = ["log.retention.ms", "log.retention.minutes", "log.retention.hours"];
  // The first that is there is the one that counts.
  const name = names.find((each) => textOf(each) !== null);
  if (name === undefined || Number(textOf(name)) !== 0) return null;
  return `Invalid configuration: ${name} (0) must be at least 1, or -1 for no bound`;
}

function lagsFault(textOf: (name: string) => string | null, prefix: string): string | null {
  const [min, max] = [`${prefix}min.compaction.lag.ms`, `${prefix}max.compaction.lag.ms`];
  const [least, most] = [textOf(min), textOf(max)];
  if (least === null || most === null || Number(least) <= Number(most)) return null;
  return `Invalid configuration: ${min} (${least}) is above ${max} (${most})`;
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
