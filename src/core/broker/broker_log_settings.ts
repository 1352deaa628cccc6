// What the logs read of this broker's settings: those in functions each time anew, as they may change while it runs.
// Kafka: KafkaConfig, CleanerConfig, ProducerStateManagerConfig.

import type { LogManagerOptions } from "../partition/log_manager.ts";
import type { Settings } from "../settings/dynamic.ts";

type FromSettings =
  | "journalFileBytes"
  | "journalBytesMax"
  | "grownBytes"
  | "retentionCheckMs"
  | "producerExpiryMs"
  | "producerCheckMs"
  | "decompressedBytesMax"
  | "cleaner";

/** The options of the log manager that are settings. */
export function logSettings(settings: Settings): Required<Pick<LogManagerOptions, FromSettings>> {
  return {
    journalFileBytes: settings.number("millrace.journal.file.bytes"),
    journalBytesMax: settings.number("millrace.journal.bytes"),
    grownBytes: settings.number("millrace.segment.after.bytes"),
    retentionCheckMs: () => settings.number("log.retention.check.interval.ms"),
    producerExpiryMs: () => settings.number("producer.id.expiration.ms"),
    producerCheckMs: () => settings.number("producer.id.expiration.check.interval.ms"),
    decompressedBytesMax: () => settings.number("socket.request.max.bytes"),
    cleaner: () => ({
      isEnabled: settings.boolean("log.cleaner.enable"),
      backoffMs: settings.number("log.cleaner.backoff.ms"),
      keysBytesMax: settings.number("log.cleaner.dedupe.buffer.size"),
      loadFactor: settings.number("log.cleaner.io.buffer.load.factor"),
      bytesPerSecond: settings.number("log.cleaner.io.max.bytes.per.second"),
    }),
  };
}

/** How long the first batch of a transaction waits for the transaction before it, between two questions. */
export function gateSettings(settings: Settings) {
  return {
    gateRetryMs: () => settings.number("add.partitions.to.txn.retry.backoff.ms"),
    gateRetryMsMax: () => settings.number("add.partitions.to.txn.retry.backoff.max.ms"),
  };
}
