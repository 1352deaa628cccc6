// Prints docs/settings.md from the table of settings.
//   bun scripts/print_settings.ts > docs/settings.md
// A test compares the file with this, so the page cannot fall behind the code.

import {
  allBrokerSettings,
  allGroupConfigs,
  allTopicSettings,
  type SettingDefinition,
} from "../src/core/settings/definitions.ts";
import { answerHelp } from "./usage.ts";

/** Settings without effect in the core, as the program has read them before: src/config/start_plan.ts. */
const READ_AT_START: Readonly<Record<string, string>> = {
  "broker.id": "As node.id, which wins over it; -1 is as left out.",
  listeners:
    "Where clients connect: NAME://HOST:PORT, separated by commas; --kafka moves the first.",
  "log.dir": "As log.dirs, which wins over it.",
  "log.dirs": "The data folder, one; --data and `data` in the config file win over it.",
  "node.id":
    "The number of this broker; --broker-id and `broker.id` in the config file win over it.",
};

/** The whole page, Markdown. */
export function settingsPage(): string {
  const groups = [...allGroupConfigs()];
  const topics = [...allTopicSettings()].filter((each) => !each.isInternal);
  const isCore = ({ name, isInternal }: SettingDefinition) =>
    !isInternal && !(name in READ_AT_START);
  const brokers = allBrokerSettings().filter(isCore);
  const lines = [
    "# Settings",
    "",
    "<!-- Printed by scripts/print_settings.ts: change the tables in src/core/settings, not this page. -->",
    "",
    "Kafka's settings by Kafka's names, and a few of ours. A value is looked for in this order: the topic or",
    "group, this broker's dynamic settings, the cluster's dynamic settings, what was given at start (the config",
    "file, `-o name=value`), the default. `-o` takes every name of Apache Kafka 4.3.1 and warns where one",
    "has no effect here; an unknown name is refused with the nearest known one. A setting of topics or groups",
    "given with `-o` becomes the default of all of them.",
    "",
    "Settings marked *live* may change while the broker runs (AlterConfigs, IncrementalAlterConfigs).",
    "",
    "DescribeConfigs of a compacted topic that names `millrace.cleaning` also gets what the cleaner knows of its partitions, as JSON:",
    "how much is dirty, what the last cleaning since the start came to, how far one under way is, and why one cannot be cleaned.",
    "",
    "## Topic settings that work",
    "",
    "| name | type | default | valid | broker settings that give the default | what it does |",
    "| --- | --- | --- | --- | --- | --- |",
  ];
  for (const each of topics.filter((one) => one.status === "honoured")) {
    lines.push(
      `| \`${each.name}\` | ${each.type} | ${value(each)} | ${valid(each)} | ${names(each.synonyms)} | ${each.text} |`,
    );
  }
  lines.push(
    "",
    "## Group settings that work",
    "",
    "Set on one group with IncrementalAlterConfigs (resource type GROUP), also before there is such a group; they may",
    "change while it has members, who hear of it with their next heartbeat. They lie within the broker's bounds,",
    "`group.consumer.min.…` and `group.consumer.max.…`.",
    "",
    "| name | type | default | valid | broker setting that gives the default | what it does |",
    "| --- | --- | --- | --- | --- | --- |",
  );
  for (const each of groups.filter((one) => one.status === "honoured")) {
    lines.push(
      `| \`${each.name}\` | ${each.type} | ${value(each)} | ${valid(each)} | ${names(each.synonyms)} | ${each.text} |`,
    );
  }
  lines.push(
    "",
    "## Broker settings that work",
    "",
    "| name | type | default | valid | live | what it does |",
    "| --- | --- | --- | --- | --- | --- |",
  );
  for (const each of brokers.filter((one) => one.status === "honoured")) {
    lines.push(
      `| \`${each.name}\` | ${each.type} | ${value(each)} | ${valid(each)} | ${live(each)} | ${each.text} |`,
    );
  }
  lines.push(
    "",
    "## Broker settings that say where it runs",
    "",
    "Read when the program starts; a broker made by `createBroker` has values of its own for them.",
    "",
    "| name | what it does |",
    "| --- | --- |",
    ...Object.entries(READ_AT_START).map(([name, text]) => `| \`${name}\` | ${text} |`),
    "",
    "## Settings without effect",
    "",
    "They are accepted, shown by describe, and do nothing.",
    "",
  );
  pushByReason(lines, topics, "without-effect", "Topic settings");
  pushByReason(lines, groups, "without-effect", "Group settings");
  pushByReason(lines, brokers, "without-effect", "Broker settings");
  lines.push(
    "## Refused settings",
    "",
    "Only their default is taken, since anything else would promise what is not done.",
    "",
  );
  pushByReason(lines, topics, "refused", "Topic settings");
  pushByReason(lines, brokers, "refused", "Broker settings");
  return `${lines.join("\n").trimEnd()}\n`;
}

function pushByReason(
  lines: string[],
  all: readonly SettingDefinition[],
  status: SettingDefinition["status"],
  title: string,
): void {
  const byReason = new Map<string, SettingDefinition[]>();
  for (const each of all) {
    if (each.status !== status) continue;
    const group = byReason.get(each.text);
    if (group === undefined) byReason.set(each.text, [each]);
    else group.push(each);
  }
  lines.push(`### ${title}`, "", "| why | names |", "| --- | --- |");
  for (const [reason, group] of byReason) {
    lines.push(`| ${reason} | ${names(group.map((each) => each.name))} |`);
  }
  lines.push("");
}

function value(each: SettingDefinition): string {
  if (each.defaultText === null) return "none";
  return each.defaultText === "" ? "empty" : `\`${each.defaultText}\``;
}

function valid(each: SettingDefinition): string {
  return each.valid.split("|").join(", ");
}

function names(all: readonly string[]): string {
  return all.map((each) => `\`${each}\``).join(", ");
}

function live(each: SettingDefinition): string {
  return each.dynamic === null ? "" : "live";
}

if (import.meta.main) {
  answerHelp(import.meta.url);
  console.log(settingsPage().trimEnd());
}
