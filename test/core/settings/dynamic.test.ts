import { describe, expect, test } from "bun:test";
import { allBrokerSettings, allTopicSettings } from "../../../src/core/settings/definitions.ts";
import { Settings } from "../../../src/core/settings/dynamic.ts";
import { readStaticSettings } from "../../../src/core/settings/static_settings.ts";

const NONE: ReadonlyMap<string, string> = new Map();
const map = (given: Record<string, string>): ReadonlyMap<string, string> =>
  new Map(Object.entries(given));

describe("readStaticSettings()", () => {
  test("takes every name Kafka knows with its default, and warns where one does nothing", () => {
    const given: Record<string, string> = {};
    for (const each of [...allBrokerSettings(), ...allTopicSettings()]) {
      const isNumber = ["int", "short", "long", "double"].includes(each.type);
      const text = each.defaultText ?? (isNumber ? "5000000" : null);
      if (text !== null) given[each.name] = text;
    }
    const { errors, warnings } = readStaticSettings(given);
    expect(errors).toEqual([]);
    expect(warnings).toContain(
      "The setting num.io.threads has no effect: there are no thread pools to size: one event loop does the work",
    );
    expect(warnings.some((message) => message.includes("setting num.partitions"))).toBe(false);
  });

  test("refuses unknown names with the nearest, bad values, and what would be a false promise", () => {
    const { errors } = readStaticSettings({
      "log.retention.hour": 1,
      "num.partitions": 0,
      "authorizer.class.name": "org.example.Authorizer",
    });
    expect(errors).toEqual([
      'Unknown setting "log.retention.hour": did you mean "log.retention.hours"',
      'Invalid value "0" for configuration num.partitions: wanted a whole number (int), at least 1',
      "Cannot take authorizer.class.name=org.example.Authorizer as Java classes cannot be loaded; plugins are named in the config file",
    ]);
  });

  test("takes topic names as defaults of all topics; the broker's own name wins", () => {
    const { values } = readStaticSettings({
      "log.retention.ms": 7,
      "retention.ms": 5,
      "segment.ms": 9,
      "auto.create.topics.enable": false,
    });
    expect(values.get("log.retention.ms")).toBe("7");
    expect(values.get("log.roll.ms")).toBe("9");
    expect(values.get("auto.create.topics.enable")).toBe("false");
  });

  test("knows settings of one listener, share groups and quotas, without effect", () => {
    const { errors, warnings } = readStaticSettings({
      "listener.name.internal.ssl.keystore.location": "/x",
      "listener.name.internal.nope.ssl": "x",
      "share.session.timeout.ms": 1000,
      producer_byte_rate: 1,
    });
    expect(errors.length).toBe(1);
    expect(warnings.length).toBe(3);
  });

  test("a setting of groups becomes the default of all of them", () => {
    const { values, warnings } = readStaticSettings({ "consumer.session.timeout.ms": 50_000 });
    expect(values.get("group.consumer.session.timeout.ms")).toBe("50000");
    expect(warnings).toEqual([]);
    const settings = new Settings(values);
    expect(settings.groupText(NONE, "consumer.session.timeout.ms")).toBe("50000");
  });
});

describe("Settings", () => {
  test("looks in the dynamic layers, then static, then the defaults", () => {
    const settings = new Settings(map({ "num.partitions": "3", "message.max.bytes": "10" }));
    expect(settings.number("num.partitions")).toBe(3);
    expect(settings.text("log.retention.ms")).toBe(null);
    expect(settings.number("log.retention.ms", -7)).toBe(-7);
    expect(settings.boolean("auto.create.topics.enable")).toBe(true);
    expect(settings.text("nope")).toBe(null);
    settings.setDynamic(map({ "message.max.bytes": "20" }), NONE);
    expect(settings.number("message.max.bytes")).toBe(20);
    settings.setDynamic(map({ "message.max.bytes": "20" }), map({ "message.max.bytes": "30" }));
    expect(settings.number("message.max.bytes")).toBe(30);
    expect(settings.layers(["message.max.bytes"])).toEqual([
      { name: "message.max.bytes", text: "30", source: 2 },
      { name: "message.max.bytes", text: "20", source: 3 },
      { name: "message.max.bytes", text: "10", source: 4 },
      { name: "message.max.bytes", text: "1048588", source: 5 },
    ]);
  });

  test("tells subscribers exactly the names whose value changed, and topics see it", () => {
    const settings = new Settings(map({ "message.max.bytes": "10" }));
    const seen: string[][] = [];
    const end = settings.onChange((changed) => seen.push([...changed]));
    const before = settings.topicSettings(NONE);
    settings.setDynamic(map({ "log.retention.ms": "1000", "message.max.bytes": "10" }), NONE);
    settings.setDynamic(map({ "log.retention.ms": "1000", "message.max.bytes": "10" }), NONE);
    expect(seen).toEqual([["log.retention.ms"]]);
    expect(before.retentionMs).toBe(604_800_000);
    expect(settings.topicSettings(NONE).retentionMs).toBe(1000);
    end();
    settings.setDynamic(NONE, NONE);
    expect(seen.length).toBe(1);
  });

  test("topicSettings() has Kafka's defaults, and one object for all topics without settings", () => {
    const settings = new Settings();
    expect(settings.topicSettings(NONE)).toEqual({
      cleanupCompact: false,
      cleanupDelete: true,
      compression: "producer",
      compressionLevel: null,
      deleteRetentionMs: 86_400_000,
      durability: "fsync",
      indexIntervalBytes: 4096,
      maxCompactionLagMs: 2 ** 63,
      maxMessageBytes: 1_048_588,
      messageTimestampAfterMaxMs: 3_600_000,
      messageTimestampBeforeMaxMs: 2 ** 63,
      messageTimestampType: "CreateTime",
      minCleanableDirtyRatio: 0.5,
      minCompactionLagMs: 0,
      partitioner: "xxhash",
      retentionBytes: -1,
      retentionMs: 604_800_000,
      segmentBytes: 1_073_741_824,
      segmentJitterMs: 0,
      segmentMs: 604_800_000,
      syncIntervalMs: 50,
    });
    expect(settings.topicSettings(new Map())).toBe(settings.topicSettings(NONE));
  });

  test("resolves synonyms in Kafka's order, and units: ms over minutes over hours", () => {
    const of = (given: Record<string, string>) => new Settings(map(given)).topicSettings(NONE);
    expect(of({ "log.retention.hours": "2" }).retentionMs).toBe(7_200_000);
    expect(of({ "log.retention.hours": "2", "log.retention.minutes": "3" }).retentionMs).toBe(
      180_000,
    );
    expect(
      of({ "log.retention.hours": "2", "log.retention.minutes": "3", "log.retention.ms": "4" })
        .retentionMs,
    ).toBe(4);
    expect(of({ "log.retention.hours": "-1" }).retentionMs).toBe(-1);
    expect(of({ "log.roll.hours": "1", "log.roll.jitter.hours": "1" })).toMatchObject({
      segmentMs: 3_600_000,
      segmentJitterMs: 3_600_000,
    });
    expect(of({ "internal.segment.bytes": "200" }).segmentBytes).toBe(200);
  });

  test("the topic's own settings win; compression levels go with the codec", () => {
    const settings = new Settings(map({ "log.segment.bytes": "2000000" }));
    const topic = settings.topicSettings(
      map({
        "segment.bytes": "3000000",
        "cleanup.policy": "compact,delete",
        "compression.type": "zstd",
        "millrace.durability": "memory",
      }),
    );
    expect(topic).toMatchObject({
      segmentBytes: 3_000_000,
      cleanupCompact: true,
      cleanupDelete: true,
      compression: "zstd",
      compressionLevel: 3,
      durability: "memory",
    });
    expect(settings.topicSettings(map({ "compression.type": "gzip" })).compressionLevel).toBe(null);
    expect(settings.topicText(NONE, "segment.bytes")).toBe("2000000");
    expect(settings.topicText(map({ "segment.bytes": "7" }), "segment.bytes")).toBe("7");
  });

  test("a topic's partitioner does not follow a later broker default", () => {
    const settings = new Settings(map({ partitioner: "murmur2" }));
    expect(settings.topicSettings(NONE).partitioner).toBe("xxhash");
    expect(settings.topicSettings(map({ partitioner: "murmur2" })).partitioner).toBe("murmur2");
  });

  test("a stored value that is no longer valid counts as not set", () => {
    const settings = new Settings();
    expect(settings.topicSettings(map({ "segment.ms": "soon" })).segmentMs).toBe(604_800_000);
  });
});
