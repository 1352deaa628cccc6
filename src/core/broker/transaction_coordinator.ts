// The transaction coordinator of a broker: its shards lie in __transaction_state. Asked by the APIs of transactions, and by the
// log and the groups before the first batch of a transaction (TransactionGate); what another broker keeps is asked of that one.
// Kafka: TransactionCoordinator, AddPartitionsToTxnManager.

import { ok } from "../../base/outcome.ts";
import type { TopicPartition } from "../../contracts/broker.ts";
import { MetadataStoreError } from "../../contracts/errors.ts";
import type { Runtime } from "../../contracts/runtime.ts";
import { type Outcome, refuse } from "../../protocol/errors.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { TRANSACTION_TOPIC } from "../cluster/topic_names.ts";
import {
  answer,
  type Decide,
  type Decision,
  type Now,
  type Reply,
} from "../coordinator/runtime/shard.ts";
import type { TransactionGate } from "../coordinator/transaction/ports.ts";
import {
  bumpedEpoch,
  type Transaction,
  type TransactionState,
} from "../coordinator/transaction/transaction.ts";
import {
  type TransactionRecord,
  transactionRecordSerde,
} from "../coordinator/transaction/transaction_record.ts";
import { TransactionShard } from "../coordinator/transaction/transaction_shard.ts";
import type { ProducerEntry } from "../log/producer_state.ts";
import type { LogManager } from "../partition/log_manager.ts";
import type { Settings } from "../settings/dynamic.ts";
import { BrokerTransactionSettings } from "./broker_transaction_settings.ts";
import { ClusterMarkers } from "./cluster_markers.ts";
import { CoordinatorShards } from "./coordinator_shards.ts";
import type { FoundCoordinator } from "./found_coordinators.ts";
import { LocalMarkers, type TransactionalGroups } from "./local_markers.ts";
import { LostTransactions } from "./lost_transactions.ts";
import type { PeerCalls } from "./peer_calls.ts";
import { RemoteGate } from "./remote_gate.ts";

const BUSY = "concurrent_transactions";
/** Requests that may wait on one shard. */
const PENDING_MAX = 100_000;
const ANY: ReadonlySet<number> = new Set();
const UNENDED: ReadonlySet<TransactionState> = new Set([
  "ongoing",
  "prepare_commit",
  "prepare_abort",
]);
const NO_PRODUCERS: readonly [number, ProducerEntry][] = [];

export interface TransactionCoordinatorOptions {
  readonly cluster: Cluster;
  readonly logs: LogManager;
  readonly settings: Settings;
  readonly runtime: Runtime;
  readonly groups: TransactionalGroups;
  /** The other brokers of a cluster (cluster_calls.ts); null for a broker alone. Asked when the coordinator is opened. */
  readonly peers?: () => PeerCalls | null;
}

type TransactionDecide<Response> = Decide<TransactionShard, TransactionRecord, Response>;

export class TransactionCoordinator implements TransactionGate {
  readonly settings: BrokerTransactionSettings;
  readonly markers: LocalMarkers;
  readonly groups: TransactionalGroups;
  readonly #options: TransactionCoordinatorOptions;
  readonly #shards: CoordinatorShards<TransactionShard, TransactionRecord>;
  readonly #lost: LostTransactions;
  /** Null for a broker alone. */
  readonly #remote: RemoteGate | null;
  readonly #endFollowing: () => void;

  constructor(options: TransactionCoordinatorOptions) {
    this.#options = options;
    const { cluster, logs, settings, runtime, groups } = options;
    this.settings = new BrokerTransactionSettings(settings, cluster);
    this.markers = new LocalMarkers({ cluster, logs, runtime, groups });
    this.groups = groups;
    const peers = options.peers?.() ?? null;
    this.#remote = peers === null ? null : new RemoteGate(peers);
    const markers =
      peers === null ? this.markers : new ClusterMarkers({ cluster, local: this.markers, peers });
    this.#shards = new CoordinatorShards({
      cluster,
      logs,
      settings,
      runtime,
      topicName: TRANSACTION_TOPIC,
      newTopic: () => this.settings.newTopic(),
      notMadeEvent: "transaction_topic_not_made",
      abandon: (shard) => shard.abandon(),
      hostOptions: (_partition, coordinatorEpoch, { log }) => ({
        serde: transactionRecordSerde,
        makeShard: (timers) =>
          new TransactionShard({
            timers,
            settings: this.settings,
            markers,
            coordinatorEpoch,
            takeProducerId: () => this.#takeProducerId(),
            log,
          }),
        codec: () => "none",
        pendingMax: PENDING_MAX,
        // Open transactions run out of time, and decided ends are completed.
        loadsByItself: true,
      }),
    });
    this.#lost = new LostTransactions({
      cluster,
      logs,
      markers: this.markers,
      scheduler: runtime.scheduler,
      log: runtime.log,
      ask: () => {
        const filter = { producerIds: ANY, states: UNENDED, durationMs: -1 };
        return this.#shards.runAll<readonly Transaction[]>(
          (shard, now, reply) => shard.list(filter, now, reply),
          this.#shards.stopping,
        );
      },
    });
    this.#endFollowing = cluster.follow({
      topicChanged: (topic) => {
        if (this.#shards.topicChanged(topic)) this.abandonRest();
      },
      topicDeleted: (topic) => {
        if (this.#shards.topicDeleted(topic)) this.abandonRest();
      },
      partitionsChanged: (topic, partitions) => {
        if (!this.#shards.partitionsChanged(topic, partitions)) return;
        // Once all have been told. Decided ends are completed, and open transactions run out of time.
        runtime.scheduler.spawn("transaction_warm_up", () => this.#shards.warmUp());
      },
    });
  }

  /**
   * Runs a request on the shard of a transactional id, whose answer may be a refusal of its own.
   *
   * @param makes The topic is made when it is not there; else "not_coordinator", upon which clients look for it
   */
  async run<Response>(
    transactionalId: string,
    decide: (
      shard: TransactionShard,
      now: Now,
      reply: Reply<Outcome<Response>>,
    ) => Decision<TransactionRecord>,
    signal: AbortSignal,
    makes = false,
  ): Promise<Outcome<Response>> {
    const outcome = makes
      ? await this.#shards.run<Outcome<Response>>(transactionalId, decide, signal)
      : await this.#shards.runIfThere<Outcome<Response>>(transactionalId, decide, signal);
    return outcome.ok ? outcome.value : outcome;
  }

  /** Runs a request on every shard that holds anything. Nothing is made for it. */
  runAll<Response>(
    decide: TransactionDecide<Response>,
    signal: AbortSignal,
  ): Promise<readonly Outcome<Response>[]> {
    return this.#shards.runAll(decide, signal);
  }

  /**
   * The broker that keeps a transactional id (-1: nobody, at the moment). The topic is made, null when it cannot be; loading begins
   * where it is here.
   */
  async find(transactionalId: string): Promise<FoundCoordinator | null> {
    const partition = await this.#shards.find(transactionalId);
    return partition === null ? null : { brokerId: this.#shards.leaderOf(partition) };
  }

  /** Waits until a shard finds a producer id, if one can be had: decisions cannot wait. */
  async readyProducerIds(): Promise<void> {
    const { cluster, runtime } = this.#options;
    if (cluster.producerIds.isAtHand) return;
    try {
      await cluster.producerIds.ready();
    } catch (error) {
      if (!(error instanceof MetadataStoreError)) throw error;
      runtime.log.error("producer_ids_not_allocated", { code: error.code, error: error.message });
    }
  }

  admit(
    transactionalId: string,
    producerId: number,
    producerEpoch: number,
    partitions: readonly TopicPartition[],
    adds: boolean,
  ): Outcome<null> | Promise<Outcome<null>> {
    if (!adds && !this.settings.verifies) return ok(null);
    if (transactionalId === "") return refuse("invalid_request");
    if (this.#shards.partitionCount === null) return refuse("coordinator_not_available");
    const ask = { transactionalId, producerId, producerEpoch };
    if (this.#remote !== null) {
      const leader = this.#shards.leaderOf(this.#shards.shardOf(transactionalId));
      if (leader < 0) return refuse("coordinator_not_available");
      const isElsewhere = leader !== this.#options.cluster.brokerId;
      if (isElsewhere) return this.#remote.ask(leader, { ...ask, partitions, adds });
    }
    const admit = (shard: TransactionShard, now: Now) => shard.admit(ask, partitions, adds, now);
    // What joins a transaction of a cluster has to be committed first: another coordinator may take over without it.
    const waits = this.#remote !== null && adds;
    const taken = waits ? null : this.#shards.decideAtOnce(transactionalId, admit);
    // The transaction before was ended in this very turn: by now its markers are written.
    const isBusy = taken?.outcome.ok === false && taken.outcome.error.code === BUSY;
    const again = isBusy ? this.#shards.decideAtOnce(transactionalId, admit) : taken;
    if (again !== null) return again.outcome;
    // It still loads: whoever waits for that may as well wait for the commit.
    return this.run<null>(
      transactionalId,
      (shard, now, reply) => {
        const { decision, result } = admit(shard, now);
        const { records, spareBytes = 0 } = decision;
        return { records, answers: [answer(reply, result.outcome)], spareBytes };
      },
      this.#shards.stopping,
    );
  }

  /**
   * Loads the shards that hold anything: open transactions run out of time only then. Where the journal was damaged, those that
   * they know nothing of are ended.
   */
  async warmUp(): Promise<void> {
    await this.#shards.warmUp();
    // Of a cluster other brokers would have to be asked, too: a hanging transaction is for an operator to abort, as in Kafka.
    if (this.#remote === null) await this.#lost.abort();
  }

  /**
   * The topic is gone, and its shards have abandoned what they knew of. What is open besides is of shards that were not loaded, or
   * could not be: it is aborted, since nobody else ever will.
   */
  abandonRest(): void {
    const { cluster, logs, runtime } = this.#options;
    let count = 0;
    for (const topic of cluster.image.topicsByName.keys()) {
      for (const { partition, producers } of logs.topicNamed(topic)?.logs.values() ?? []) {
        for (const [producerId, entry] of producers?.entries() ?? NO_PRODUCERS) {
          if (entry.transactionStartOffset < 0) continue;
          const marker = {
            producerId,
            producerEpoch: bumpedEpoch(entry.epoch),
            coordinatorEpoch: Math.max(entry.coordinatorEpoch, 0),
            isCommit: false,
            transactionVersion: 2,
          };
          if (this.markers.append(marker, { topic, partition }).ok) count++;
        }
      }
    }
    if (count > 0) runtime.log.warn("partitions_abandoned", { count });
  }

  /** Drops all shards, for good: who waits is told not_coordinator. Idempotent. */
  close(): void {
    this.#endFollowing();
    this.#lost.close();
    this.#shards.close();
  }

  #takeProducerId(): number | null {
    const { cluster, runtime } = this.#options;
    const id = cluster.producerIds.take();
    if (id === null) runtime.scheduler.spawn("producer_ids", () => this.readyProducerIds());
    return id;
  }
}
