// Every topic setting that works takes its default from each of its broker settings, in every layer, also for topics that
// are there already: whoever follows the cluster is told at once, without a restart.

import { describe, expect, test } from "bun:test";
import { ConfigResource } from "../../../src/core/cluster/config_controller.ts";
import {
  allTopicSettings,
  brokerSetting,
  type SettingDefinition,
} from "../../../src/core/settings/definitions.ts";
import { Settings } from "../../../src/core/settings/dynamic.ts";
import type { TopicSettings } from "../../../src/core/settings/topic_settings.ts";
import { clusterBench } from "../cluster/cluster_bench.ts";

const NONE = new Map<string, string>();

/** A text that is not the default, and what a topic is told of it. */
const OTHERS: Readonly<Record<string, readonly [text: string, told: Partial<TopicSettings>]>> = {
  "cleanup.policy": ["compact", { cleanupCompact: true, cleanupDelete: false }],
  "compression.gzip.level": ["3", { compression: "gzip", compressionLevel: 3 }],
  "compression.type": ["lz4", { compression: "lz4" }],
  "compression.zstd.level": ["7", { compression: "zstd", compressionLevel: 7 }],
  "delete.retention.ms": ["7", { deleteRetentionMs: 7 }],
  "index.interval.bytes": ["7", { indexIntervalBytes: 7 }],
  "internal.segment.bytes": ["7", { segmentBytes: 7 }],
  "max.compaction.lag.ms": ["7", { maxCompactionLagMs: 7 }],
  "max.message.bytes": ["7", { maxMessageBytes: 7 }],
  "message.timestamp.after.max.ms": ["7", { messageTimestampAfterMaxMs: 7 }],
  "message.timestamp.before.max.ms": ["7", { messageTimestampBeforeMaxMs: 7 }],
  "message.timestamp.type": ["LogAppendTime", { messageTimestampType: "LogAppendTime" }],
  "millrace.durability": ["memory", { durability: "memory" }],
  "millrace.sync.interval.ms": ["7", { syncIntervalMs: 7 }],
  "min.cleanable.dirty.ratio": ["0.25", { minCleanableDirtyRatio: 0.25 }],
  "min.compaction.lag.ms": ["7", { minCompactionLagMs: 7 }],
  "retention.bytes": ["7", { retentionBytes: 7 }],
  "retention.ms": ["7", { retentionMs: 7 }],
  "segment.bytes": ["2000000", { segmentBytes: 2_000_000 }],
  "segment.jitter.ms": ["7", { segmentJitterMs: 7 }],
  "segment.ms": ["7", { segmentMs: 7 }],
};
const UNIT_MS: readonly (readonly [string, number])[] = [
  [".hours", 3_600_000],
  [".minutes", 60_000],
];

/** The cluster reads them by their names, see test/core/cluster/cluster_settings.test.ts. */
const CLUSTER: ReadonlySet<string> = new Set([
  "min.insync.replicas",
  "unclean.leader.election.enable",
]);

const working = [...allTopicSettings()].filter(
  ({ name, status }) => status === "honoured" && !CLUSTER.has(name),
);

/** What is told where the value comes by that broker setting: seven of its units. */
function toldBy(definition: SettingDefinition, synonym: string): Partial<TopicSettings> {
  const [, told] = OTHERS[definition.name]!;
  const unit = UNIT_MS.find(([ending]) => synonym.endsWith(ending));
  if (unit === undefined) return told;
  const [field] = Object.keys(told);
  return { [field!]: 7 * unit[1] };
}

/** Levels count only with their codec. */
function besides(name: string): [string, string][] {
  const codec = /^compression\.(gzip|zstd)\.level$/.exec(name);
  return codec === null ? [] : [["compression.type", codec[1]!]];
}

describe("defaults of topic settings", () => {
  test("each setting that works is in the table here, but for what is fixed", () => {
    const names = working.filter(({ isFixed }) => !isFixed).map(({ name }) => name);
    expect(names).toEqual(Object.keys(OTHERS));
  });

  for (const definition of working.filter(({ isFixed }) => !isFixed)) {
    const [text, told] = OTHERS[definition.name]!;
    const [field] = Object.keys(told) as (keyof TopicSettings)[];
    test(`${definition.name} is the topic's own, or comes from ${definition.synonyms.join(", ")}`, () => {
      const own = new Map([[definition.name, text], ...besides(definition.name)]);
      const plain = new Settings().topicSettings(NONE);
      expect(new Settings().topicSettings(own)).toMatchObject(told);
      expect(plain[field!] === told[field!]).toBe(false);
      for (const synonym of definition.synonyms) {
        const isNumber = brokerSetting(synonym)!.type !== "string" && text === "7";
        const values = new Map([[synonym, isNumber ? "7" : text], ...besides(definition.name)]);
        const wanted = toldBy(definition, synonym);
        expect(new Settings(values).topicSettings(NONE)).toMatchObject(wanted);
        if (brokerSetting(synonym)!.dynamic === null) continue;
        for (const layers of [
          [values, NONE],
          [NONE, values],
        ] as const) {
          const settings = new Settings();
          settings.setDynamic(layers[0], layers[1]);
          expect(settings.topicSettings(NONE)).toMatchObject(wanted);
        }
      }
    });
  }

  test("a topic that is there is told when its own setting changes, or the broker's or the cluster's", async () => {
    const bench = await clusterBench();
    const { cluster } = bench;
    const told: TopicSettings[] = [];
    cluster.follow({
      topicChanged: (_topic, settings) => told.push(settings),
      topicDeleted() {},
    });
    const request = { name: "t", numPartitions: 1, replicationFactor: 1, assignments: [] };
    await cluster.createTopic({ ...request, configs: [] });
    const alter = async (type: number, name: string, values: Iterable<[string, string | null]>) => {
      const operations = [...values].map(([key, value]) => ({
        name: key,
        configOperation: value === null ? 1 : 0,
        value,
      }));
      const altered = await cluster.alterConfigs({
        resourceType: type,
        resourceName: name,
        mode: "incremental",
        operations,
      });
      if (!altered.ok) throw new Error(altered.refusal.message ?? altered.refusal.code);
    };
    for (const definition of working.filter(({ isFixed }) => !isFixed)) {
      const [text, wanted] = OTHERS[definition.name]!;
      const places: [number, string, string][] = [[ConfigResource.topic, "t", definition.name]];
      for (const synonym of definition.synonyms) {
        if (brokerSetting(synonym)!.dynamic === null) continue;
        places.push([ConfigResource.broker, "", synonym], [ConfigResource.broker, "1", synonym]);
      }
      for (const [type, name, setting] of places) {
        const values: [string, string][] = [[setting, text], ...besides(definition.name)];
        await alter(type, name, values);
        expect(told.at(-1)).toMatchObject(wanted);
        await alter(
          type,
          name,
          values.map(([key]) => [key, null]),
        );
        expect(told.at(-1)).toEqual(new Settings().topicSettings(NONE));
      }
    }
    await bench.close();
  });
});
