// A setting that is said to work has somebody in src who reads it, and a test that fails when it does nothing. The table
// says which test that is; a setting that comes to work, or stops to, has to be written down here.

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  allBrokerSettings,
  allGroupConfigs,
  allTopicSettings,
  type SettingDefinition,
} from "../../../src/core/settings/definitions.ts";

const root = fileURLToPath(import.meta.resolve("../../../"));

/** By test file, below test/: the settings of which it proves the effect. Defaults of topic settings are another matter. */
const PROOFS: Readonly<Record<string, readonly string[]>> = {
  "config/start_plan.test.ts": [
    "advertised.listeners",
    "connections.max.idle.ms",
    "max.incremental.fetch.session.cache.slots",
    "socket.request.max.bytes",
  ],
  "client/partitioner.test.ts": ["partitioner"],
  "core/broker/cluster_broker.test.ts": ["broker.session.timeout.ms", "inter.broker.listener.name"],
  "core/broker/group_api.test.ts": [
    "consumer.assignment.interval.ms",
    "offsets.topic.num.partitions",
  ],
  "core/broker/settings_live.test.ts": [
    "cleanup.policy",
    "compression.gzip.level",
    "compression.type",
    "compression.zstd.level",
    "fetch.max.bytes",
    "max.message.bytes",
    "message.max.bytes",
    "millrace.validate.compressed",
  ],
  "core/broker/settings_reach.test.ts": [
    "add.partitions.to.txn.retry.backoff.max.ms",
    "add.partitions.to.txn.retry.backoff.ms",
    "group.consumer.assignment.interval.ms",
    "group.consumer.assignors",
    "group.consumer.heartbeat.interval.ms",
    "group.consumer.max.assignment.interval.ms",
    "group.consumer.max.heartbeat.interval.ms",
    "group.consumer.max.session.timeout.ms",
    "group.consumer.max.size",
    "group.consumer.migration.policy",
    "group.consumer.min.assignment.interval.ms",
    "group.consumer.min.heartbeat.interval.ms",
    "group.consumer.min.session.timeout.ms",
    "group.consumer.regex.refresh.interval.ms",
    "group.consumer.session.timeout.ms",
    "group.initial.rebalance.delay.ms",
    "group.max.session.timeout.ms",
    "group.max.size",
    "group.min.session.timeout.ms",
    "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.enable",
    "log.cleaner.io.buffer.load.factor",
    "log.cleaner.io.max.bytes.per.second",
    "log.retention.check.interval.ms",
    "millrace.journal.bytes",
    "millrace.journal.file.bytes",
    "millrace.segment.after.bytes",
    "offset.metadata.max.bytes",
    "offsets.retention.check.interval.ms",
    "offsets.retention.minutes",
    "offsets.topic.compression.codec",
    "offsets.topic.segment.bytes",
    "producer.id.expiration.check.interval.ms",
    "producer.id.expiration.ms",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms",
    "transaction.max.timeout.ms",
    "transaction.partition.verification.enable",
    "transaction.remove.expired.transaction.cleanup.interval.ms",
    "transaction.state.log.num.partitions",
    "transaction.state.log.segment.bytes",
    "transaction.two.phase.commit.enable",
    "transactional.id.expiration.ms",
  ],
  "core/broker/topic_api.test.ts": [
    "auto.create.topics.enable",
    "broker.rack",
    "default.replication.factor",
    "delete.topic.enable",
    "max.request.partition.size.limit",
    "num.partitions",
  ],
  "core/cluster/cluster_settings.test.ts": [
    "auto.leader.rebalance.enable",
    "leader.imbalance.check.interval.seconds",
    "min.insync.replicas",
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
    "unclean.leader.election.enable",
  ],
  "core/broker/replicated_reads.test.ts": ["replica.selector.class"],
  "integration/cluster_rig.test.ts": [
    "controlled.shutdown.enable",
    "replica.fetch.backoff.ms",
    "replica.fetch.max.bytes",
    "replica.fetch.min.bytes",
    "replica.fetch.response.max.bytes",
    "replica.fetch.wait.max.ms",
    "replica.lag.time.max.ms",
    "transaction.state.log.min.isr",
  ],
  "core/log/cleaner.test.ts": [
    "delete.retention.ms",
    "internal.segment.bytes",
    "max.compaction.lag.ms",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
  ],
  "core/log/partition_log.test.ts": [
    "millrace.durability",
    "millrace.sync.interval.ms",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.ms",
  ],
  "core/log/segment_settings.test.ts": ["index.interval.bytes", "segment.jitter.ms"],
  "core/log/validate_batches.test.ts": [
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.type",
  ],
  "integration/group_configs.test.ts": [
    "consumer.heartbeat.interval.ms",
    "consumer.session.timeout.ms",
    "group.coordinator.rebalance.protocols",
  ],
  "integration/transport_kafka.test.ts": ["queued.max.request.bytes"],
  "plugins/transport_kafka/login.test.ts": [
    "connection.failed.authentication.delay.ms",
    "connections.max.reauth.ms",
    "sasl.server.max.receive.size",
  ],
  "plugins/transport_kafka/mod.test.ts": ["max.connections", "max.connections.per.ip"],
};

/**
 * What settings_reach.test.ts follows only as far as a field: where that field's own effect is proven. A name here has to
 * be in the file that it is beside.
 */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  "core/log/cleaner.test.ts": ["isEnabled", "backoffMs", "keysBytesMax", "bytesPerSecond"],
  "core/log/cleaner_keys.test.ts": ["loadFactor"],
  "core/log/journal_spare.test.ts": ["journalFileBytes", "journalBytesMax"],
  "core/log/compaction_property.test.ts": ["grownBytes"],
  "core/partition/log_manager.test.ts": ["retentionCheckMs", "producerCheckMs", "producerExpiryMs"],
};

/** Topic settings that the cluster reads by their names: no log knows them. */
const CLUSTER: ReadonlySet<string> = new Set([
  "min.insync.replicas",
  "unclean.leader.election.enable",
]);

const isWorking = ({ status }: SettingDefinition) => status === "honoured";
const topics = [...allTopicSettings()].filter(isWorking);
const groups = [...allGroupConfigs()].filter(isWorking);
const brokers = allBrokerSettings().filter(isWorking);
/** Broker settings that are nothing but the default of a topic's: topic_defaults.test.ts proves them all. */
const defaults = new Set(topics.flatMap(({ synonyms }) => synonyms));

function sourcesBelow(folder: string): string {
  let text = "";
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) text += sourcesBelow(path);
    else if (path.endsWith(".ts")) text += readFileSync(join(root, path), "utf8");
  }
  return text;
}

/** All but the tables themselves. */
const readers = ["src/core/broker", "src/core/cluster", "src/config", "src/gateway", "plugins"]
  .map(sourcesBelow)
  .join("\n");
const logs = ["src/core/log", "src/core/partition", "src/core/broker", "src/core/cluster"]
  .map(sourcesBelow)
  .join("\n");
const resolution = readFileSync(join(root, "src/core/settings/topic_resolution.ts"), "utf8");

describe("a setting that is said to work", () => {
  test("is proven by a test that names it, and nothing else is", () => {
    const proven = new Map<string, string>();
    for (const [file, names] of Object.entries(PROOFS)) {
      const text = readFileSync(join(root, "test", file), "utf8");
      for (const name of names) {
        expect([name, file, text.includes(`${name}`)]).toEqual([name, file, true]);
        expect([name, proven.get(name)]).toEqual([name, undefined]);
        proven.set(name, file);
      }
    }
    const wanted = new Set([...topics, ...groups].map(({ name }) => name));
    for (const { name } of brokers) if (!defaults.has(name)) wanted.add(name);
    const names = [...proven.keys()].filter((name) => !defaults.has(name) || wanted.has(name));
    expect(names.sort()).toEqual([...wanted].sort());
    const known = new Set([...topics, ...groups, ...brokers].map(({ name }) => name));
    expect([...proven.keys()].filter((name) => !known.has(name))).toEqual([]);
  });

  test("and that is only a field's name to the test that follows it there has a test of that field", () => {
    for (const [file, fields] of Object.entries(FIELDS)) {
      const text = readFileSync(join(root, "test", file), "utf8");
      for (const field of fields)
        expect([file, field, text.includes(field)]).toEqual([file, field, true]);
    }
  });

  test("is read by somebody: a broker's by its name, a topic's by the field that it becomes", () => {
    const unread: string[] = [];
    for (const { name } of brokers) {
      if (defaults.has(name)) continue;
      // Bounds and values of groups are put together from their parts.
      const parts = /^group\.consumer\.(min\.|max\.|)(?:session|heartbeat|assignment)\./.exec(name);
      const text = parts === null ? `"${name}"` : `group.consumer.${parts[1]}\${name}`;
      if (!readers.includes(text)) unread.push(name);
    }
    for (const { name } of topics) {
      if (CLUSTER.has(name)) {
        if (!readers.includes(`"${name}"`)) unread.push(name);
        continue;
      }
      const field = new RegExp(`(\\w+): [^\\n]*"${name.replaceAll(".", "\\.")}"`).exec(resolution);
      if (name === "cleanup.policy" || /^compression\./.test(name)) continue;
      if (field === null || !new RegExp(`\\b${field[1]}\\b`).test(logs)) unread.push(name);
    }
    expect(unread).toEqual([]);
    for (const field of ["cleanupCompact", "cleanupDelete", "compression", "compressionLevel"]) {
      expect([field, new RegExp(`\\b${field}\\b`).test(logs)]).toEqual([field, true]);
    }
  });

  test("and one that is not has a reason, and no field of its own", () => {
    const idle = [...allTopicSettings()].filter((each) => !isWorking(each));
    for (const { name, text } of idle) {
      expect([name, resolution.includes(`"${name}"`)]).toEqual([name, false]);
      expect(text.length).toBeGreaterThan(10);
    }
  });
});
