// Two brokers and their coordinators over real logs in memory, for tests of coordinators in a cluster. Scripted are the image (who
// leads what), the calls between the brokers, and what replication does: nothing is committed while `isHeldBack`.

import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import type { Broker } from "../../../src/contracts/broker.ts";
import type { ApiContext } from "../../../src/core/broker/api_context.ts";
import { openGroups } from "../../../src/core/broker/open_groups.ts";
import { openTransactions } from "../../../src/core/broker/open_transactions.ts";
import type { PeerCalls } from "../../../src/core/broker/peer_calls.ts";
import type { Cluster, TopicListener } from "../../../src/core/cluster/cluster.ts";
import { levelOf } from "../../../src/core/cluster/features.ts";
import type { PartitionImage, TopicImage } from "../../../src/core/cluster/image.ts";
import { appendAsFollower } from "../../../src/core/log/follower_append.ts";
import type { PartitionLog } from "../../../src/core/log/partition_log.ts";
import { Settings } from "../../../src/core/settings/dynamic.ts";
import { caller, LogRig, topic } from "../../support/log_rig.ts";
import { settle, TestRuntime } from "../../support/test_runtime.ts";
import { TransactionCalls } from "../../support/transaction_calls.ts";

export const STATE = "__transaction_state";
export const OFFSETS = "__consumer_offsets";
const compacted = { "cleanup.policy": "compact" };

interface Node {
  readonly id: number;
  readonly logs: LogRig;
  readonly calls: TransactionCalls;
  readonly groups: ReturnType<typeof openGroups>;
  readonly transactions: ReturnType<typeof openTransactions>;
  readonly listeners: Set<TopicListener>;
  readonly settings: Settings;
}

export class CoordinatorRig {
  readonly test = new TestRuntime();
  readonly topics = [topic(STATE, 2, compacted), topic(OFFSETS, 2, compacted), topic("a", 2)];
  readonly nodes = new Map<number, Node>();
  /** What is synced is not committed until `release`. */
  isHeldBack = false;
  /** Only of this topic; null: of all. */
  heldBackTopic: string | null = null;
  /** Whether brokers hold their sessions. */
  isHeld = true;
  /** Brokers that do not answer others. */
  readonly cutOff = new Set<number>();
  /** Calls between brokers, as "1>2 WriteTxnMarkers". */
  readonly asked: string[] = [];
  /** In sync of what is led from now on. */
  isr: readonly number[] = [1, 2];
  readonly #image;
  readonly #partitions = new Map<string, readonly PartitionImage[]>();
  #nextProducerId = 1000;

  constructor() {
    for (const each of this.topics) {
      const all = Array.from({ length: each.partitionCount }, () => placed(1, 0));
      this.#partitions.set(each.id, all);
    }
    const byName = new Map(this.topics.map((each) => [each.name, each]));
    const byId = new Map(this.topics.map((each) => [each.id, each]));
    const brokers = new Map([1, 2].map((id) => [id, brokerImage(id)]));
    this.#image = {
      topicsByName: byName,
      topicsById: byId,
      partitions: this.#partitions,
      brokers,
      groupConfigs: new Map(),
      features: { levels: new Map(), revision: 0 },
    };
  }

  static async open(): Promise<CoordinatorRig> {
    const rig = new CoordinatorRig();
    for (const id of [1, 2]) await rig.#addNode(id);
    return rig;
  }

  async close(): Promise<void> {
    for (const { groups, transactions, logs } of this.nodes.values()) {
      transactions.coordinator.close();
      groups.coordinator.close();
      await logs.close();
    }
  }

  calls(id: number): TransactionCalls {
    return this.nodes.get(id)!.calls;
  }

  log(id: number, name: string, partition: number): PartitionLog {
    return this.nodes.get(id)!.logs.logs.log(this.#topic(name).id, partition)!;
  }

  /** Another broker leads the partition, by the image and in fact. The old one's log is copied, as far as it is committed. */
  async lead(id: number, name: string, partition: number): Promise<void> {
    const image = this.#topic(name);
    const before = this.#partitions.get(image.id)![partition]!;
    const next = { ...placed(id, before.leaderEpoch + 1), isr: this.isr };
    if (id > 0 && before.leader > 0 && id !== before.leader) {
      await this.#copy(before.leader, id, name, partition);
    }
    const all = [...this.#partitions.get(image.id)!];
    all[partition] = next;
    this.#partitions.set(image.id, all);
    for (const node of this.nodes.values()) {
      // The image first: roles follow.
      for (const listener of node.listeners) listener.partitionsChanged?.(image, [partition]);
      this.#setRole(node.id, this.log(node.id, name, partition));
    }
    await this.turn();
  }

  /** Lets what is synced be committed again. */
  async release(): Promise<void> {
    this.isHeldBack = false;
    for (const { logs } of this.nodes.values()) {
      for (const { id } of this.topics) {
        for (const log of logs.logs.topicWithId(id)!.logs.values()) commit(log);
      }
    }
    await this.turn();
  }

  /** Lets promises and what is due run. */
  async turn(byMs = 100): Promise<void> {
    await settle();
    await this.test.advance(byMs);
    await settle();
  }

  #topic(name: string): TopicImage {
    return this.topics.find((each) => each.name === name)!;
  }

  #setRole(id: number, log: PartitionLog): void {
    const image = this.topics.find((each) => each.name === log.topic.name)!;
    const { leader, leaderEpoch } = this.#partitions.get(image.id)![log.partition]!;
    const onSynced = () => {
      const isOther = this.heldBackTopic !== null && this.heldBackTopic !== log.topic.name;
      if ((isOther || !this.isHeldBack) && leader === id) commit(log);
    };
    log.role = { leaderEpoch, isLeader: leader === id, onSynced };
    onSynced();
    log.wakeWaiters();
  }

  async #copy(from: number, to: number, name: string, partition: number): Promise<void> {
    const source = this.log(from, name, partition);
    const target = this.log(to, name, partition);
    const { reader } = this.nodes.get(from)!.logs.logs;
    const { wallMs } = this.test;
    while (target.logEndOffset < source.highWatermark) {
      const at = target.logEndOffset;
      const read = await reader.read(source, at, source.highWatermark, 1_000_000, true);
      const appended = appendAsFollower(target, read.batches.slice(), wallMs, undefined);
      reader.release(read);
      if (appended.kind !== "appended") throw new Error(appended.kind);
      await this.turn();
    }
    target.advanceHighWatermark(source.highWatermark);
  }

  async #addNode(id: number): Promise<void> {
    const listeners = new Set<TopicListener>();
    const cluster = this.#cluster(id, listeners);
    const { test } = this;
    const holder: { node: Node | null } = { node: null };
    const logs = await LogRig.open(storageMemory(), {
      test,
      topics: this.topics,
      gate: { admit: (...ask) => holder.node!.transactions.coordinator.admit(...ask) },
    });
    for (const each of this.topics) {
      for (let partition = 0; partition < each.partitionCount; partition++) {
        this.#setRole(id, logs.logs.log(each.id, partition)!);
      }
    }
    const settings = new Settings();
    const { runtime } = test;
    const api: ApiContext = {
      brokerId: id,
      cluster,
      partitions: logs.logs,
      settings,
      runtime,
      endpointOf: () => ({ host: "nobody", port: 0 }),
      logDirectory: { path: "/", volume: async () => ({ totalBytes: -1, usableBytes: -1 }) },
    };
    const common = { cluster, logs: logs.logs, settings, runtime, api };
    const transactions = openTransactions({
      ...common,
      groups: {
        partitionOf: (groupId) => groups.coordinator.find(groupId),
        endTransaction: (...end) => groups.coordinator.endTransaction(...end),
      },
      peers: () => this.#peers(id),
    });
    const groups: ReturnType<typeof openGroups> = openGroups({
      ...common,
      transactionGate: transactions.coordinator,
      groupConfig: () => null,
      mayDescribe: () => true,
    });
    const broker = { log: logs.api, groups: groups.api, transactions: transactions.api };
    const calls = new TransactionCalls(broker as unknown as Broker, caller);
    holder.node = { id, logs, calls, groups, transactions, listeners, settings };
    this.nodes.set(id, holder.node);
  }

  /** What coordinators ask of a cluster. */
  #cluster(brokerId: number, listeners: Set<TopicListener>): Cluster {
    const image = this.#image;
    const settings = new Settings();
    const isHeldAt = () => this.isHeld;
    const cluster = {
      brokerId,
      isShared: true,
      membership: { isHeldAt },
      brokerIds: [1, 2],
      image,
      featureLevel: (name: string) => levelOf(image.features, name),
      producerIds: { isAtHand: true, ready: async () => {}, take: () => this.#nextProducerId++ },
      follow: (listener: TopicListener) => {
        listeners.add(listener);
        for (const each of this.topics) {
          listener.topicChanged(each, settings.topicSettings(each.configs));
        }
        return () => void listeners.delete(listener);
      },
    };
    return cluster as unknown as Cluster;
  }

  #peers(from: number): PeerCalls {
    const api = (to: number, name: string) => {
      this.asked.push(`${from}>${to} ${name}`);
      return this.cutOff.has(to) ? null : this.nodes.get(to)!.transactions.api;
    };
    return {
      writeTxnMarkers: async (to, request) =>
        (await api(to, "WriteTxnMarkers")?.writeTxnMarkers(caller, request, 2)) ?? null,
      addPartitionsToTxn: async (to, request) =>
        (await api(to, "AddPartitionsToTxn")?.addPartitionsToTxn(caller, request, 5)) ?? null,
    };
  }
}

function commit(log: PartitionLog): void {
  log.advanceHighWatermark(log.syncedEnd);
}

function placed(leader: number, leaderEpoch: number): PartitionImage {
  const replicas = [1, 2];
  const isr = replicas;
  const none: readonly number[] = [];
  const rest = { adding: none, removing: none, elr: none };
  return { leader, leaderEpoch, partitionEpoch: leaderEpoch, replicas, isr, ...rest };
}

function brokerImage(id: number) {
  const endpoint = (listener: string, port: number) => ({
    protocol: "kafka",
    listener,
    host: `b${id}`,
    port,
    isTls: false,
  });
  return { id, rack: `rack${id}`, endpoints: [endpoint("other", 1), endpoint("test", 9090 + id)] };
}
