// From a broker setting by its name to the place that reads it: each of these is asked for anew, so that a change while the
// broker runs counts at once. What the places make of it is tested beside them.

import { describe, expect, test } from "bun:test";
import { BrokerGroupSettings } from "../../../src/core/broker/broker_group_settings.ts";
import { gateSettings, logSettings } from "../../../src/core/broker/broker_log_settings.ts";
import { BrokerTransactionSettings } from "../../../src/core/broker/broker_transaction_settings.ts";
import { newGroupTopic } from "../../../src/core/broker/group_coordinator.ts";
import type { Cluster } from "../../../src/core/cluster/cluster.ts";
import { Settings } from "../../../src/core/settings/dynamic.ts";

type Reach = readonly [
  name: string,
  text: string,
  read: (settings: Settings) => unknown,
  value: unknown,
];

const noConfig = () => null;
const groups = (settings: Settings) => new BrokerGroupSettings(settings, noConfig, () => 1);
/** With a group that asks for so much itself. */
const asking = (settings: Settings, text: string) =>
  new BrokerGroupSettings(
    settings,
    () => text,
    () => 1,
  );
const transactions = (settings: Settings) =>
  new BrokerTransactionSettings(settings, { featureLevel: () => 2 } as unknown as Cluster);

const LOGS: readonly Reach[] = [
  ["millrace.journal.file.bytes", "9000", (s) => logSettings(s).journalFileBytes, 9000],
  ["millrace.journal.bytes", "7", (s) => logSettings(s).journalBytesMax, 7],
  ["millrace.segment.after.bytes", "7", (s) => logSettings(s).grownBytes, 7],
  ["log.retention.check.interval.ms", "7", (s) => logSettings(s).retentionCheckMs(), 7],
  ["producer.id.expiration.ms", "7", (s) => logSettings(s).producerExpiryMs(), 7],
  ["producer.id.expiration.check.interval.ms", "7", (s) => logSettings(s).producerCheckMs(), 7],
  ["socket.request.max.bytes", "7", (s) => logSettings(s).decompressedBytesMax(), 7],
  ["log.cleaner.enable", "false", (s) => logSettings(s).cleaner().isEnabled, false],
  ["log.cleaner.backoff.ms", "7", (s) => logSettings(s).cleaner().backoffMs, 7],
  ["log.cleaner.dedupe.buffer.size", "7", (s) => logSettings(s).cleaner().keysBytesMax, 7],
  ["log.cleaner.io.buffer.load.factor", "0.5", (s) => logSettings(s).cleaner().loadFactor, 0.5],
  ["log.cleaner.io.max.bytes.per.second", "7", (s) => logSettings(s).cleaner().bytesPerSecond, 7],
];

const GROUPS: readonly Reach[] = [
  ["group.min.session.timeout.ms", "7", (s) => groups(s).sessionTimeoutMsMin, 7],
  ["group.max.session.timeout.ms", "7", (s) => groups(s).sessionTimeoutMsMax, 7],
  ["group.initial.rebalance.delay.ms", "7", (s) => groups(s).initialRebalanceDelayMs, 7],
  ["group.max.size", "7", (s) => groups(s).sizeMax, 7],
  ["offset.metadata.max.bytes", "7", (s) => groups(s).offsetMetadataBytesMax, 7],
  ["offsets.retention.minutes", "7", (s) => groups(s).offsetsRetentionMs, 420_000],
  ["offsets.retention.check.interval.ms", "7", (s) => groups(s).offsetsRetentionCheckMs, 7],
  ["offsets.topic.compression.codec", "3", (s) => groups(s).codec, "lz4"],
  [
    "group.coordinator.rebalance.protocols",
    "classic",
    (s) => groups(s).servesConsumerProtocol,
    false,
  ],
  ["group.consumer.migration.policy", "upgrade", (s) => groups(s).mayDowngrade, false],
  ["group.consumer.migration.policy", "downgrade", (s) => groups(s).mayUpgrade, false],
  ["group.consumer.max.size", "7", (s) => groups(s).consumerSizeMax, 7],
  ["group.consumer.assignors", "range", (s) => groups(s).consumerAssignors.join(), "range"],
  ["group.consumer.regex.refresh.interval.ms", "20000", (s) => groups(s).regexRefreshMs, 20_000],
  [
    "group.consumer.session.timeout.ms",
    "46000",
    (s) => groups(s).consumerSessionTimeoutMs("g"),
    46_000,
  ],
  [
    "group.consumer.heartbeat.interval.ms",
    "7",
    (s) => groups(s).consumerHeartbeatIntervalMs("g"),
    7,
  ],
  [
    "group.consumer.assignment.interval.ms",
    "7",
    (s) => groups(s).consumerAssignmentIntervalMs("g"),
    7,
  ],
  [
    "group.consumer.min.session.timeout.ms",
    "50000",
    (s) => asking(s, "1").consumerSessionTimeoutMs("g"),
    50_000,
  ],
  [
    "group.consumer.max.session.timeout.ms",
    "50000",
    (s) => asking(s, "1e9").consumerSessionTimeoutMs("g"),
    50_000,
  ],
  [
    "group.consumer.min.heartbeat.interval.ms",
    "77",
    (s) => asking(s, "1").consumerHeartbeatIntervalMs("g"),
    77,
  ],
  [
    "group.consumer.max.heartbeat.interval.ms",
    "7000",
    (s) => asking(s, "1e9").consumerHeartbeatIntervalMs("g"),
    7000,
  ],
  [
    "group.consumer.min.assignment.interval.ms",
    "77",
    (s) => asking(s, "1").consumerAssignmentIntervalMs("g"),
    77,
  ],
  [
    "group.consumer.max.assignment.interval.ms",
    "77",
    (s) => asking(s, "1e9").consumerAssignmentIntervalMs("g"),
    77,
  ],
  ["offsets.topic.num.partitions", "7", (s) => newGroupTopic(s).partitionCount, 7],
  [
    "offsets.topic.segment.bytes",
    "2000000",
    (s) => configOf(newGroupTopic(s), "segment.bytes"),
    "2000000",
  ],
];

const TRANSACTIONS: readonly Reach[] = [
  ["add.partitions.to.txn.retry.backoff.ms", "7", (s) => gateSettings(s).gateRetryMs(), 7],
  ["add.partitions.to.txn.retry.backoff.max.ms", "7", (s) => gateSettings(s).gateRetryMsMax(), 7],
  ["transactional.id.expiration.ms", "7", (s) => transactions(s).idExpirationMs, 7],
  [
    "transaction.abort.timed.out.transaction.cleanup.interval.ms",
    "7",
    (s) => transactions(s).timeoutCheckMs,
    7,
  ],
  [
    "transaction.remove.expired.transaction.cleanup.interval.ms",
    "7",
    (s) => transactions(s).expiryCheckMs,
    7,
  ],
  ["transaction.max.timeout.ms", "7", (s) => transactions(s).timeoutMsMax, 7],
  [
    "transaction.two.phase.commit.enable",
    "true",
    (s) => transactions(s).servesTwoPhaseCommit,
    true,
  ],
  ["transaction.partition.verification.enable", "false", (s) => transactions(s).verifies, false],
  [
    "transaction.state.log.num.partitions",
    "7",
    (s) => transactions(s).newTopic().partitionCount,
    7,
  ],
  [
    "transaction.state.log.segment.bytes",
    "2000000",
    (s) => configOf(transactions(s).newTopic(), "segment.bytes"),
    "2000000",
  ],
];

function configOf(
  {
    configs,
  }: { readonly configs: readonly { readonly name: string; readonly value: string | null }[] },
  name: string,
): string | null | undefined {
  return configs.find((each) => each.name === name)?.value;
}

describe("broker settings reach those who read them", () => {
  for (const [room, table] of Object.entries({ LOGS, GROUPS, TRANSACTIONS })) {
    test(`of ${room.toLowerCase()}, given at start or while it runs`, () => {
      for (const [name, text, read, value] of table) {
        expect([name, read(new Settings())]).not.toEqual([name, value]);
        expect([name, read(new Settings(new Map([[name, text]])))]).toEqual([name, value]);
        const settings = new Settings();
        read(settings);
        settings.setDynamic(new Map(), new Map([[name, text]]));
        expect([name, read(settings)]).toEqual([name, value]);
      }
    });
  }
});
