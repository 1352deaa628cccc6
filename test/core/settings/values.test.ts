import { describe, expect, test } from "bun:test";
import { brokerSetting, topicSetting } from "../../../src/core/settings/definitions.ts";
import {
  checkBrokerSetting,
  checkBrokerTogether,
  checkTopicSetting,
  checkTopicTogether,
} from "../../../src/core/settings/setting_checks.ts";
import { nearestName, readSetting } from "../../../src/core/settings/values.ts";

function topic(name: string, text: string): string {
  const outcome = readSetting(topicSetting(name)!, text);
  return outcome.ok ? `= ${outcome.value.text}` : outcome.message;
}
function broker(name: string, text: string): string {
  const outcome = readSetting(brokerSetting(name)!, text);
  return outcome.ok ? `= ${outcome.value.text}` : outcome.message;
}

describe("readSetting()", () => {
  test("takes whole numbers within the type and the bounds, and says the unit wanted", () => {
    expect(topic("retention.ms", " 5000 ")).toBe("= 5000");
    expect(topic("retention.ms", "+5")).toBe("= 5");
    expect(topic("retention.ms", "9223372036854775807")).toBe("= 9223372036854775807");
    const wanted = "wanted a whole number of milliseconds (long), at least -1";
    for (const bad of ["x", "", "1.5", "1e3", "-2", "9223372036854775808"]) {
      expect(topic("retention.ms", bad)).toBe(
        `Invalid value "${bad}" for configuration retention.ms: ${wanted}`,
      );
    }
    expect(topic("segment.bytes", "2147483648")).toContain(
      "a whole number of bytes (int), at least 1048576",
    );
    expect(topic("segment.bytes", "1048575")).toContain("at least 1048576");
    expect(topic("compression.gzip.level", "-1")).toBe("= -1");
    expect(topic("compression.gzip.level", "0")).toContain("1 to 9 or -1");
    expect(topic("compression.zstd.level", "-131072")).toBe("= -131072");
    expect(topic("min.cleanable.dirty.ratio", "0.25")).toBe("= 0.25");
    expect(topic("min.cleanable.dirty.ratio", "1.5")).toContain("a number (double), 0 to 1");
  });

  test("takes booleans in any case, words by list, and words in any case where Kafka does", () => {
    expect(topic("preallocate", "TRUE")).toBe("= true");
    expect(topic("preallocate", "yes")).toContain("wanted true or false");
    expect(topic("compression.type", "zstd")).toBe("= zstd");
    expect(topic("compression.type", "ZSTD")).toContain("wanted one of uncompressed, zstd");
    expect(broker("group.consumer.migration.policy", "upgrade")).toBe("= upgrade");
  });

  test("takes lists without empty, repeated or unknown items", () => {
    expect(topic("cleanup.policy", " compact , delete ")).toBe("= compact,delete");
    expect(topic("cleanup.policy", "")).toBe("= ");
    expect(topic("cleanup.policy", "delete,")).toContain("without empty items");
    expect(topic("cleanup.policy", "delete,delete")).toContain("names nothing twice");
    expect(topic("cleanup.policy", "shred")).toContain("a list of compact, delete");
    expect(topic("leader.replication.throttled.replicas", "*")).toBe("= *");
    expect(topic("leader.replication.throttled.replicas", "0:1,1:2")).toBe("= 0:1,1:2");
    expect(topic("leader.replication.throttled.replicas", "0-1")).toContain("PARTITION:BROKER");
  });

  test("refuses very long numbers quickly", () => {
    expect(topic("retention.ms", "9".repeat(100_000))).toContain("wanted a whole number");
  });
});

describe("setting checks", () => {
  test("name the nearest known setting", () => {
    expect(checkTopicSetting("retention.mss", "1")).toEqual({
      ok: false,
      message: "Unknown topic config name: retention.mss; did you mean retention.ms",
    });
    expect(checkBrokerSetting("num.partition", "1")).toEqual({
      ok: false,
      message: "Unknown broker config name: num.partition; did you mean num.partitions",
    });
    expect(nearestName("zzzzzzzzzzzz", ["retention.ms"])).toBe(null);
  });

  test("refuse what cannot be kept, and take its default", () => {
    expect(checkTopicSetting("remote.storage.enable", "true").ok).toBe(false);
    expect(checkTopicSetting("remote.storage.enable", "False")).toEqual({
      ok: true,
      text: "false",
    });
    expect(checkBrokerSetting("authorizer.class.name", "org.example.A").ok).toBe(false);
  });

  test("compare the compaction lags", () => {
    const configs = new Map([
      ["min.compaction.lag.ms", "10"],
      ["max.compaction.lag.ms", "9"],
    ]);
    const none = () => null;
    expect(checkTopicTogether(configs, none)).toContain("above max.compaction.lag.ms (9)");
    configs.set("max.compaction.lag.ms", "9223372036854775807");
    expect(checkTopicTogether(configs, none)).toBe(null);
    // What the topic has not set is the broker's.
    configs.delete("max.compaction.lag.ms");
    const inForce = (name: string) => (name === "max.compaction.lag.ms" ? "7" : null);
    expect(checkTopicTogether(configs, inForce)).toContain("above max.compaction.lag.ms (7)");
    const broker = new Map([["log.cleaner.min.compaction.lag.ms", "8"]]);
    expect(checkBrokerTogether(broker, none)).toBe(null);
    broker.set("log.cleaner.max.compaction.lag.ms", "7");
    expect(checkBrokerTogether(broker, none)).toContain("log.cleaner.max.compaction.lag.ms (7)");
  });

  test("holds a broker's times to the bounds that Kafka has without saying so", () => {
    const faultOf = (own: Record<string, string>, inForce: Record<string, string> = {}) =>
      checkBrokerTogether(new Map(Object.entries(own)), (name) => inForce[name] ?? null);
    expect(faultOf({ "log.roll.ms": "0" })).toContain("log.roll.ms (0)");
    expect(faultOf({ "log.roll.ms": "1" })).toBe(null);
    expect(faultOf({ "log.roll.jitter.ms": "-1" })).toContain("log.roll.jitter.ms (-1)");
    expect(faultOf({ "log.roll.jitter.ms": "0" })).toBe(null);
    expect(faultOf({ "log.retention.ms": "0" })).toContain("log.retention.ms (0)");
    expect(faultOf({}, { "log.retention.hours": "0" })).toContain("log.retention.hours (0)");
    expect(faultOf({ "log.retention.ms": "-1" }, { "log.retention.minutes": "0" })).toBe(null);
    expect(faultOf({}, { "log.retention.minutes": "0" })).toContain("log.retention.minutes (0)");
  });
  test("holds the cleaner's memory to Kafka's bound, and its rate above nothing", () => {
    const faultOf = (own: Record<string, string>) =>
      checkBrokerTogether(new Map(Object.entries(own)), () => null);
    const size = "log.cleaner.dedupe.buffer.size";
    expect(faultOf({ [size]: "1048576" })).toContain(`${size} (1048576) must be above 1048576`);
    expect(faultOf({ [size]: "1048577" })).toBe(null);
    expect(faultOf({ [size]: "-1" })).toContain(`${size} (-1)`);
    const two = { "log.cleaner.threads": "2" };
    expect(faultOf({ [size]: "2097153", ...two })).toContain("each of log.cleaner.threads (2)");
    expect(faultOf({ [size]: "2097154", ...two })).toBe(null);
    const rate = "log.cleaner.io.max.bytes.per.second";
    expect(faultOf({ [rate]: "0" })).toContain(`${rate} (0) must be above 0`);
    expect(faultOf({ [rate]: "-5" })).toContain(`${rate} (-5)`);
    expect(faultOf({ [rate]: "0.5" })).toBe(null);
  });
});
