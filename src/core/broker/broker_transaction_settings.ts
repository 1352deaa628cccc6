// What transactions read of this broker's settings, each time anew: most may change while it runs.
// Kafka: TransactionStateManagerConfig, TransactionLogConfig.

import type { Cluster } from "../cluster/cluster.ts";
import { TRANSACTION_VERSION } from "../cluster/features.ts";
import { TRANSACTION_TOPIC } from "../cluster/topic_names.ts";
import type { TransactionSettings } from "../coordinator/transaction/transaction_settings.ts";
import type { Settings } from "../settings/dynamic.ts";
import type { InternalTopic } from "./coordinator_shards.ts";

const SEGMENT_BYTES_MIN = 1_048_576;

export class BrokerTransactionSettings implements TransactionSettings {
  readonly #settings: Settings;
  readonly #cluster: Cluster;

  constructor(settings: Settings, cluster: Cluster) {
    this.#settings = settings;
    this.#cluster = cluster;
  }

  get version(): number {
    return this.#cluster.featureLevel(TRANSACTION_VERSION);
  }

  get idExpirationMs(): number {
    return this.#settings.number("transactional.id.expiration.ms");
  }

  get timeoutCheckMs(): number {
    return this.#settings.number("transaction.abort.timed.out.transaction.cleanup.interval.ms");
  }

  get expiryCheckMs(): number {
    return this.#settings.number("transaction.remove.expired.transaction.cleanup.interval.ms");
  }

  /** transaction.max.timeout.ms: the longest that a producer may ask for. */
  get timeoutMsMax(): number {
    return this.#settings.number("transaction.max.timeout.ms");
  }

  get servesTwoPhaseCommit(): boolean {
    return this.#settings.boolean("transaction.two.phase.commit.enable");
  }

  /** Whether first batches by the older protocol are held against what was added. */
  get verifies(): boolean {
    return this.#settings.boolean("transaction.partition.verification.enable");
  }

  /** __transaction_state, as it is made. Kafka: TransactionStateManager.transactionTopicConfigs. */
  newTopic(): InternalTopic {
    const settings = this.#settings;
    const segmentBytes = settings.number("transaction.state.log.segment.bytes");
    return {
      name: TRANSACTION_TOPIC,
      partitionCount: settings.number("transaction.state.log.num.partitions"),
      replicationFactor: settings.number("transaction.state.log.replication.factor"),
      configs: [
        { name: "cleanup.policy", value: "compact" },
        { name: "compression.type", value: "uncompressed" },
        {
          name: "min.insync.replicas",
          value: String(settings.number("transaction.state.log.min.isr")),
        },
        { name: "segment.bytes", value: String(Math.max(segmentBytes, SEGMENT_BYTES_MIN)) },
        { name: "unclean.leader.election.enable", value: "false" },
      ],
    };
  }
}
