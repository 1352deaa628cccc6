// Prints docs/settings.md from the table of settings: `bun run scripts/print_settings.ts > docs/settings.md`.
// A test compares the file with this, so the page cannot fall behind the code.

import {
  allBrokerSettings,
  allTopicSettings,
  type SettingDefinition,
} from "../src/core/settings/definitions.ts";

/** The whole page, Markdown. */
export function settingsPage(): string {
  const topics = [...allTopicSettings()].filter((each) => !each.isInternal);
  const brokers = allBrokerSettings().filter((each) => !each.isInternal);
  const lines = [
    "# Settings",
    "",
    "<!-- Printed by scripts/print_settings.ts: change the tables in src/core/settings, not this page. -->",
    "",
    "Kafka's settings by Kafka's names, and a few of ours. A value is looked for in this order: the topic,",
    "this broker's dynamic settings, the cluster's dynamic settings, what was given at start (the config",
    "file, `-o name=value`), the default. `-o` takes every name of Apache Kafka 4.3.1 and warns where one",
    "has no effect here; an unknown name is refused with the nearest known one. A topic setting given with",
    "`-o` becomes the default of all topics.",
    "",
    "Settings marked *live* may change while the broker runs (AlterConfigs, IncrementalAlterConfigs).",
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
    "## Settings without effect",
    "",
    "They are accepted, shown by describe, and do nothing.",
    "",
  );
  pushByReason(lines, topics, "without-effect", "Topic settings");
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

if (import.meta.main) console.log(settingsPage().trimEnd());
