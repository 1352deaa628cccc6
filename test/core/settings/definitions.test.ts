import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { settingsPage } from "../../../scripts/print_settings.ts";
import {
  allBrokerSettings,
  allGroupConfigs,
  allTopicSettings,
  brokerSetting,
  groupConfig,
  otherSetting,
  type SettingDefinition,
  topicSetting,
} from "../../../src/core/settings/definitions.ts";
import { readSetting } from "../../../src/core/settings/values.ts";

describe("the table of settings", () => {
  test("has Kafka's 34 topic settings and 363 broker settings beside ours", () => {
    const isOurs = (each: SettingDefinition) =>
      each.name.startsWith("millrace.") || each.name === "partitioner";
    expect([...allTopicSettings()].filter((each) => !isOurs(each)).length).toBe(34);
    // internal.segment.bytes is Kafka's for topics; as a broker setting it is ours.
    const brokers = allBrokerSettings().filter(
      (each) => !isOurs(each) && each.name !== "internal.segment.bytes",
    );
    expect(brokers.length).toBe(363);
    expect([...allGroupConfigs()].length).toBe(17);
    expect(groupConfig("consumer.session.timeout.ms")?.status).toBe("honoured");
    expect(otherSetting("producer_byte_rate")?.status).toBe("without-effect");
  });

  test("is in ascending order, with a known type, importance and status, and a text", () => {
    const types = [
      "boolean",
      "string",
      "int",
      "short",
      "long",
      "double",
      "list",
      "class",
      "password",
    ];
    for (const all of [[...allTopicSettings()], [...allGroupConfigs()], [...allBrokerSettings()]]) {
      let previous = "";
      for (const each of all) {
        expect(each.name > previous).toBe(true);
        previous = each.name;
        expect(types).toContain(each.type);
        expect(["high", "medium", "low"]).toContain(each.importance);
        expect(["honoured", "without-effect", "refused"]).toContain(each.status);
        expect(each.text.length).toBeGreaterThan(5);
      }
    }
  });

  test("every default passes its own check and is canonical", () => {
    for (const each of [...allTopicSettings(), ...allGroupConfigs(), ...allBrokerSettings()]) {
      if (each.defaultText === null) continue;
      const outcome = readSetting(each, each.defaultText);
      expect(outcome.ok ? outcome.value.text : outcome.message).toBe(each.defaultText);
    }
  });

  test("every broker synonym of a topic or group setting is a broker setting of the same default", () => {
    for (const each of [...allTopicSettings(), ...allGroupConfigs()]) {
      for (const synonym of each.synonyms) {
        const broker = brokerSetting(synonym);
        expect(broker?.name).toBe(synonym);
        const isOtherUnit = /\.(hours|minutes)$/.test(synonym) || broker?.defaultText === null;
        if (!isOtherUnit) expect(broker?.defaultText === each.defaultText).toBe(true);
      }
    }
  });

  test("topicSetting() knows bounds, synonyms in order and what is fixed", () => {
    expect(topicSetting("retention.ms")).toEqual({
      name: "retention.ms",
      type: "long",
      defaultText: "604800000",
      valid: "-1..",
      importance: "medium",
      dynamic: null,
      status: "honoured",
      text: "Milliseconds a segment is kept after its newest record; -1 keeps it for ever.",
      synonyms: ["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
      isInternal: false,
      isFixed: false,
    });
    expect(topicSetting("partitioner")?.isFixed).toBe(true);
    expect(topicSetting("internal.segment.bytes")?.isInternal).toBe(true);
    expect(topicSetting("nope")).toBeUndefined();
    expect(brokerSetting("log.cleaner.threads")?.dynamic).toBe("cluster");
    expect(brokerSetting("ssl.keystore.location")?.dynamic).toBe("broker");
  });

  test("docs/settings.md is what scripts/print_settings.ts prints", () => {
    const page = readFileSync(
      fileURLToPath(import.meta.resolve("../../../docs/settings.md")),
      "utf8",
    );
    expect(page).toBe(settingsPage());
  });
});
