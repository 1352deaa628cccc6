// A producer's options with what is in force where they say nothing.
// Kafka: ProducerConfig.

import { ClientError } from "./client_error.ts";
import { checkNames, checkOptions, type OptionNames } from "./option_checks.ts";
import type { ProducerOptions } from "./producer_record.ts";

const IN_FLIGHT_MAX_IDEMPOTENT = 5;
const NAMES: OptionNames<ProducerOptions> = {
  acks: true,
  idempotent: true,
  compression: true,
  compressionLevel: true,
  partitioner: true,
  lingerMs: true,
  batchBytesMax: true,
  requestBytesMax: true,
  bufferBytesMax: true,
  bufferWaitMsMax: true,
  deliveryTimeoutMs: true,
  inFlightMax: true,
  mayCreateTopics: true,
  unknownTopicWaitMs: true,
};
const TRANSACTIONAL = ["transactionalId", "transactionTimeoutMs"];
const LOWEST = {
  lingerMs: 0,
  batchBytesMax: 1,
  requestBytesMax: 1,
  bufferBytesMax: 1,
  bufferWaitMsMax: 0,
  deliveryTimeoutMs: 1,
  inFlightMax: 1,
  unknownTopicWaitMs: 0,
};
const WORDS = {
  acks: ["all", 1, 0],
  compression: ["none", "gzip", "snappy", "lz4", "zstd"],
};

/** Every option but those that have no default. */
export type ProducerSettings = Required<Omit<ProducerOptions, "compressionLevel">> &
  ProducerOptions;

/** @throws {TypeError} for options that are none; {ClientError} "invalid_required_acks" */
export function producerSettings(options: ProducerOptions): ProducerSettings {
  checkNames(options, NAMES, "a producer", TRANSACTIONAL);
  checkOptions(options, LOWEST, WORDS);
  const acks = options.acks ?? "all";
  const idempotent = options.idempotent ?? acks === "all";
  if (idempotent && acks !== "all") {
    throw new ClientError("invalid_required_acks", 'An idempotent producer needs acks "all"');
  }
  const { inFlightMax = IN_FLIGHT_MAX_IDEMPOTENT } = options;
  return {
    ...options,
    acks,
    idempotent,
    compression: options.compression ?? "none",
    partitioner: options.partitioner ?? "topic",
    lingerMs: options.lingerMs ?? 0,
    batchBytesMax: options.batchBytesMax ?? 1_000_000,
    requestBytesMax: options.requestBytesMax ?? 8 * 1024 * 1024,
    bufferBytesMax: options.bufferBytesMax ?? 64 * 1024 * 1024,
    bufferWaitMsMax: options.bufferWaitMsMax ?? 60_000,
    deliveryTimeoutMs: options.deliveryTimeoutMs ?? 120_000,
    inFlightMax: idempotent ? Math.min(inFlightMax, IN_FLIGHT_MAX_IDEMPOTENT) : inFlightMax,
    mayCreateTopics: options.mayCreateTopics ?? true,
    unknownTopicWaitMs: options.unknownTopicWaitMs ?? 3_000,
  };
}
