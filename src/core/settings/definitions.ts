// The table of settings: every topic, group and broker setting of Kafka 4.3.1 by Kafka's name, and ours.
// Invariant: a name means one thing; what it does here (works, has no effect, is refused) is said.
// Written as text: "name type default [valid] importance flags… status", then indented lines: "= broker
// synonyms in order of precedence", and the description. Defaults: null for none, "" for the empty text.

import { BROKER_SETTINGS_TEXT } from "./broker_definitions.ts";
import { GROUP_CONFIGS_TEXT } from "./group_config_definitions.ts";
import { GROUP_SETTINGS_TEXT } from "./group_definitions.ts";
import { INERT_BROKER_SETTINGS_TEXT, INERT_OTHER_SETTINGS_TEXT } from "./inert_definitions.ts";
import { INERT_SECURITY_SETTINGS_TEXT } from "./inert_security.ts";
import { TOPIC_SETTINGS_TEXT } from "./topic_definitions.ts";
import { TRANSACTION_SETTINGS_TEXT } from "./transaction_definitions.ts";

export type SettingType =
  | "boolean"
  | "string"
  | "int"
  | "short"
  | "long"
  | "double"
  | "list"
  | "class"
  | "password";

/** What a setting does here. Refused ones are taken only with their default value. */
export type SettingStatus = "honoured" | "without-effect" | "refused";

export interface SettingDefinition {
  readonly name: string;
  readonly type: SettingType;
  /** Null: there is no value until one is given. */
  readonly defaultText: string | null;
  /** Numbers: "1..", "0..1", "1..9|-1". Texts and lists: the words allowed, "~" in front: in any case. "": anything. */
  readonly valid: string;
  readonly importance: "high" | "medium" | "low";
  /** Broker settings: how they may change while the broker runs; null: only at start. */
  readonly dynamic: "cluster" | "broker" | null;
  readonly status: SettingStatus;
  /** What it does; for one without effect, why it has none. */
  readonly text: string;
  /** Settings of topics and groups: the broker settings that give their default, the first that has a value wins. */
  readonly synonyms: readonly string[];
  /** Not listed by describe, as in Kafka. */
  readonly isInternal: boolean;
  /** Topic settings that stay as the topic was created with. */
  readonly isFixed: boolean;
}

/** Reads a table of definitions; see the head of this file for the form. */
export function readDefinitions(tables: readonly string[]): ReadonlyMap<string, SettingDefinition> {
  const found = new Map<string, SettingDefinition>();
  for (const table of tables) {
    const lines = table.split("\n");
    let groupStatus: SettingStatus = "honoured";
    let groupText = "";
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i]!;
      if (line === "") continue;
      if (line.startsWith("# ")) {
        const space = line.indexOf(" ", 2);
        groupStatus = line.slice(2, space) as SettingStatus;
        groupText = line.slice(space + 1);
        continue;
      }
      const [name, type, fallback, valid, importance, ...flags] = line.split(" ");
      let text = "";
      let synonyms: readonly string[] = [];
      while (lines[i + 1]?.startsWith("  ") === true) {
        const more = lines[++i]!.slice(2);
        if (more.startsWith("= ")) synonyms = more.slice(2).split(" ");
        else text = text === "" ? more : `${text} ${more}`;
      }
      found.set(name!, {
        name: name!,
        type: type as SettingType,
        defaultText: fallback === "null" ? null : fallback === '""' ? "" : fallback!,
        valid: valid!.slice(1, -1),
        importance: importance as SettingDefinition["importance"],
        dynamic: flags.includes("dynamic-cluster")
          ? "cluster"
          : flags.includes("dynamic-broker")
            ? "broker"
            : null,
        status: flags.includes("honoured")
          ? "honoured"
          : flags.includes("without-effect")
            ? "without-effect"
            : flags.includes("refused")
              ? "refused"
              : groupStatus,
        text: text === "" ? groupText : text,
        synonyms,
        isInternal: flags.includes("internal"),
        isFixed: flags.includes("fixed"),
      });
    }
  }
  return found;
}

const topicSettings = readDefinitions([TOPIC_SETTINGS_TEXT]);
const brokerSettings = readDefinitions([
  BROKER_SETTINGS_TEXT,
  GROUP_SETTINGS_TEXT,
  TRANSACTION_SETTINGS_TEXT,
]);
let inertSettings: ReadonlyMap<string, SettingDefinition> | null = null;
let groupConfigs: ReadonlyMap<string, SettingDefinition> | null = null;
let otherSettings: ReadonlyMap<string, SettingDefinition> | null = null;
let brokerSettingsByName: readonly SettingDefinition[] | null = null;

function inert(): ReadonlyMap<string, SettingDefinition> {
  inertSettings ??= readDefinitions([INERT_BROKER_SETTINGS_TEXT, INERT_SECURITY_SETTINGS_TEXT]);
  return inertSettings;
}

/** The definition of a topic setting; undefined when there is none of that name. */
export function topicSetting(name: string): SettingDefinition | undefined {
  return topicSettings.get(name);
}

/** Every topic setting, by name in ascending order. */
export function allTopicSettings(): Iterable<SettingDefinition> {
  return topicSettings.values();
}

/** The definition of a broker setting, with effect or without; undefined when there is none of that name. */
export function brokerSetting(name: string): SettingDefinition | undefined {
  return brokerSettings.get(name) ?? inert().get(name);
}

/** Every broker setting, by name in ascending order. */
export function allBrokerSettings(): readonly SettingDefinition[] {
  brokerSettingsByName ??= [...brokerSettings.values(), ...inert().values()].sort((a, b) =>
    a.name < b.name ? -1 : 1,
  );
  return brokerSettingsByName;
}

/** The definition of a setting that a group may have of its own; undefined when there is none of that name. */
export function groupConfig(name: string): SettingDefinition | undefined {
  return groupConfigTable().get(name);
}

/** Every setting that a group may have of its own, by name in ascending order. */
export function allGroupConfigs(): Iterable<SettingDefinition> {
  return groupConfigTable().values();
}

function groupConfigTable(): ReadonlyMap<string, SettingDefinition> {
  groupConfigs ??= readDefinitions([GROUP_CONFIGS_TEXT]);
  return groupConfigs;
}

/** The settings Kafka has for client metrics and quotas: none of them works here yet. */
export function otherSetting(name: string): SettingDefinition | undefined {
  otherSettings ??= readDefinitions([INERT_OTHER_SETTINGS_TEXT]);
  return otherSettings.get(name);
}

/** Passwords and names without a definition are never shown. */
export function isSensitive(definition: SettingDefinition | undefined): boolean {
  return definition === undefined || definition.type === "password";
}
