// Settings given before the start (config file, environment, -o), checked against the table.
// Invariant: what is taken is known, valid and canonical; what does nothing is warned about by name.
// `-o` takes every name of Kafka's: a setting of topics or groups given here becomes the default of all of them.

import {
  allBrokerSettings,
  allTopicSettings,
  brokerSetting,
  groupConfig,
  otherSetting,
  type SettingDefinition,
  topicSetting,
} from "./definitions.ts";
import { checkBrokerTogether } from "./setting_checks.ts";
import { nearestName, readSetting } from "./values.ts";

/** Settings as a start would take them. */
export interface StaticSettings {
  /** Broker settings by name, canonical text. */
  readonly values: ReadonlyMap<string, string>;
  /** One sentence each: accepted, but without effect. */
  readonly warnings: readonly string[];
  /** One sentence each: unknown, invalid or refused. The broker does not start with any. */
  readonly errors: readonly string[];
}

/** Reads settings as they were given. Where a topic setting and its broker setting are both given, the latter wins. */
export function readStaticSettings(
  given: Readonly<Record<string, string | number | boolean>>,
): StaticSettings {
  const values = new Map<string, string>();
  const viaTopicName = new Map<string, string>();
  const warnings: string[] = [];
  const errors: string[] = [];
  for (const [name, raw] of Object.entries(given)) {
    const found = resolveName(name);
    if (found === null) {
      errors.push(unknownName(name));
      continue;
    }
    const { definition, target } = found;
    const outcome = readSetting(definition, String(raw));
    if (!outcome.ok) {
      errors.push(outcome.message);
      continue;
    }
    const { text } = outcome.value;
    if (definition.status === "refused" && text !== definition.defaultText) {
      errors.push(
        `Cannot take ${name}=${definition.type === "password" ? "…" : text} as ${definition.text}`,
      );
      continue;
    }
    if (definition.status !== "honoured") {
      warnings.push(`The setting ${name} has no effect: ${definition.text}`);
    }
    if (target === null) continue;
    if (target === name) values.set(name, text);
    else viaTopicName.set(target, text);
  }
  for (const [target, text] of viaTopicName) if (!values.has(target)) values.set(target, text);
  const fault = checkBrokerTogether(values, (name) => brokerSetting(name)?.defaultText ?? null);
  if (fault !== null) errors.push(fault);
  return { values, warnings, errors };
}

/** Settings that do something and may be given at start, by name in ascending order, with their defaults. */
export function settingDefaults(): ReadonlyMap<string, string | null> {
  const all = allBrokerSettings().filter((each) => each.status === "honoured" && !each.isInternal);
  return new Map(all.map(({ name, defaultText }) => [name, defaultText]));
}

function resolveName(
  name: string,
): { readonly definition: SettingDefinition; readonly target: string | null } | null {
  const broker = brokerSetting(name);
  if (broker !== undefined) return { definition: broker, target: name };
  const topic = topicSetting(name);
  if (topic !== undefined) return { definition: topic, target: topic.synonyms[0] ?? null };
  const group = groupConfig(name);
  if (group !== undefined) return { definition: group, target: group.synonyms[0] ?? null };
  const other = otherSetting(name);
  if (other !== undefined) return { definition: other, target: null };
  // "listener.name.LISTENER.SETTING" sets one listener; it is without effect wherever SETTING is.
  const listener =
    /^listener\.name\.[^.]+\.(?:[^.]+\.)??((?:ssl|sasl|connections|max|principal)\..+)$/.exec(name);
  const inner = listener === null ? undefined : brokerSetting(listener[1]!);
  if (inner === undefined) return null;
  return {
    definition:
      inner.status === "honoured"
        ? { ...inner, status: "without-effect", text: "it cannot be set for one listener" }
        : inner,
    target: null,
  };
}

function unknownName(name: string): string {
  const names = new Set<string>();
  for (const each of allBrokerSettings()) names.add(each.name);
  for (const each of allTopicSettings()) names.add(each.name);
  const near = nearestName(name, names);
  return near === null
    ? `Unknown setting "${name}"`
    : `Unknown setting "${name}": did you mean "${near}"`;
}
