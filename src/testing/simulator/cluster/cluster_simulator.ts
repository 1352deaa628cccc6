// One seed, one run of a cluster: several unchanged brokers, their store, clients and faults; then all faults end, everything
// has to be in sync and every client done; then an audit of every replica.
// Invariant: a run is a function of its seed (and mutation): same trace hash on every engine.

import { SeededRandom } from "../../../base/prng.ts";
import { loadXxhash } from "../../../base/xxhash.ts";
import {
  preloadCleaner,
  preloadCluster,
  preloadGroups,
  preloadTransactions,
} from "../../../core/mod.ts";
import type { PartitionHistory, ReadRecord, TopicHistory } from "../history.ts";
import { ConnectionGone } from "../sim_client.ts";
import { SimNetwork } from "../sim_network.ts";
import type { StorageConditions } from "../sim_storage.ts";
import { Trace } from "../trace.ts";
import { setTraps } from "../traps.ts";
import { catchUnhandled } from "../unhandled.ts";
import { describeError, type SimFailure, SimProcess, World } from "../world.ts";
import { clusterCheckers, partitionCheckers } from "./checkers/all_cluster_checkers.ts";
import { ClusterAdmin } from "./cluster_admin.ts";
import { ClusterClient } from "./cluster_client.ts";
import { ClusterCommitter } from "./cluster_committer.ts";
import { ClusterConsumer, fetchFrom, fetchUntold } from "./cluster_consumer.ts";
import { ClusterFaults } from "./cluster_faults.ts";
import { ClusterHistory, type ServedBatch } from "./cluster_history.ts";
import { type ClusterMutation, mutationOf } from "./cluster_mutations.ts";
import { ClusterProducer } from "./cluster_producer.ts";
import { IsrWatch } from "./isr_watch.ts";
import { BrokerMachine } from "./machine.ts";
import { type ClusterPlan, drawClusterPlan } from "./plan.ts";
import { SharedMetadata } from "./sim_shared_metadata.ts";
import { isAllInSync, storedBrokers } from "./store_view.ts";

/** Virtual time within which everything completes once faults have ended. */
const LIVENESS_US = 120_000_000;
const AUDIT_US = 120_000_000;
/** A new leader learns within this how far all of it is committed. */
const WATERMARK_US = 15_000_000;
/** What makes brokers of a store a cluster. */
const ALONE_WITHOUT = ["brokers/", "known_brokers/", "controller/", "partitions/"];

/** Which run of a cluster, and what is wrong in it on purpose. */
export interface ClusterSimulationOptions {
  readonly seed: number;
  readonly mutation?: ClusterMutation | null;
  readonly isVerbose?: boolean;
  readonly onLine?: (line: string) => void;
}

/** What a run of a cluster did and found; all of it follows from the seed. */
export interface ClusterSimulationResult {
  readonly seed: number;
  readonly hash: string;
  readonly failure: SimFailure | null;
  readonly eventCount: number;
  readonly virtualMs: number;
  readonly brokerStarts: number;
  readonly counts: { readonly acked: number; readonly read: number; readonly audited: number };
  readonly faults: readonly string[];
  readonly lines: readonly string[];
}

/** Runs one seed. Never rejects for what the run finds: see `failure`. */
export async function runClusterSeed(
  options: ClusterSimulationOptions,
): Promise<ClusterSimulationResult> {
  await loadXxhash();
  await preloadGroups();
  await preloadTransactions();
  await preloadCleaner();
  await preloadCluster();
  const run = new ClusterRun(options);
  const stopCatching = catchUnhandled((error) =>
    run.world.fail("unhandled_rejection", describeError(error)),
  );
  const removeTraps = setTraps((name, caller) =>
    run.world.fail("traps", `${name}() was called by ${caller}`),
  );
  try {
    await run.run();
  } catch (error) {
    run.world.fail("simulator", describeError(error));
  } finally {
    removeTraps();
    stopCatching();
  }
  return run.result(options.seed);
}

class ClusterRun {
  readonly world: World;
  readonly #random: SeededRandom;
  readonly #plan: ClusterPlan;
  readonly #history: ClusterHistory;
  readonly #network: SimNetwork;
  readonly #metadata: SharedMetadata;
  readonly #machines: BrokerMachine[] = [];
  readonly #clients: SimProcess;
  readonly #faults: ClusterFaults;
  readonly #admin: ClusterAdmin;
  readonly #topics: TopicHistory[] = [];
  readonly #actors: { readonly name: string; readonly isDone: () => boolean }[] = [];
  readonly #configsOf: ReturnType<typeof mutationOf>["topicConfigs"];
  #mustStop = false;
  #areTopicsMade = false;

  constructor(options: ClusterSimulationOptions) {
    const { seed, mutation = null, isVerbose = false, onLine } = options;
    const random = SeededRandom.of(seed).fork("cluster");
    this.#random = random;
    this.world = new World(random, new Trace(isVerbose, onLine));
    const { world } = this;
    const plan = drawClusterPlan(random);
    this.#plan = plan;
    const watch = new IsrWatch();
    const minOf = (topic: string) => plan.topics.find(({ name }) => name === topic)?.minInSync ?? 1;
    this.#history = new ClusterHistory(world, partitionCheckers(), clusterCheckers(watch, minOf));
    this.#network = new SimNetwork(world, random.fork("network"), plan.network);
    this.#metadata = new SharedMetadata({
      world,
      random: random.fork("store"),
      links: this.#network.links,
      latencyUsMin: 20,
      latencyUsMax: plan.storeLatencyUsMax,
      historyRevisionsMax: plan.storeHistoryRevisions,
      onCommit: (writes) => watch.committed(writes, world.nowUs),
    });
    const wrong = mutationOf(mutation, random.fork("mutation"));
    this.#configsOf = wrong.topicConfigs;
    for (let id = 0; id < plan.brokerCount; id++) {
      this.#machines.push(
        new BrokerMachine({
          id,
          world,
          random: random.fork(`machine-${id}`),
          network: this.#network,
          metadata: this.#metadata,
          conditions: conditionsOf(plan, wrong.lyingSyncPercent),
          settings: { ...plan.settings, ...wrong.settings },
          rack: `rack-${id % 3}`,
          keepPercent: plan.keepPercent,
          hasFastCrc: plan.hasFastCrc,
          wrapTransport: wrong.wrapTransport,
          wrapMetadata: wrong.wrapMetadata,
          onLog: () => {},
        }),
      );
    }
    this.#clients = new SimProcess(world, "clients", "clients");
    this.#admin = new ClusterAdmin(this.#client("admin"));
    this.#faults = new ClusterFaults({
      world,
      random: random.fork("faults"),
      plan,
      machines: this.#machines,
      network: this.#network,
      metadata: this.#metadata,
      isInSync: () => isAllInSync(this.#metadata.table),
      reassign: (dice) => this.#reassign(dice),
    });
  }

  async run(): Promise<void> {
    const { world } = this;
    world.say(() => `plan: ${describe(this.#plan)}`);
    const dice = this.#random.fork("starts");
    for (const machine of this.#machines) machine.startLater(dice.below(1_000_000));
    this.#clients.spawn("workload", () => this.#startWorkload());
    this.#faults.plan();
    await world.run(this.#plan.activeUs + 2_000_000, () => false);
    if (world.failure !== null) return;
    this.#faults.heal();
    this.#mustStop = true;
    await this.#mustBecome("in sync, with every client done", LIVENESS_US, () =>
      this.#areTopicsMade && this.#actors.every((actor) => actor.isDone()) && this.#isWhole()
        ? null
        : this.#late(),
    );
    await this.#audit();
  }

  result(seed: number): ClusterSimulationResult {
    const { world } = this;
    return {
      seed,
      hash: world.trace.hash,
      failure: world.failure,
      eventCount: world.eventCount,
      virtualMs: world.nowUs / 1000,
      brokerStarts: this.#machines.reduce((sum, { startCount }) => sum + startCount, 0),
      counts: this.#history.history.counts,
      faults: [...this.#plan.faults],
      lines: world.trace.lines,
    };
  }

  async #startWorkload(): Promise<void> {
    const { topics, producers, consumerCount, committerCount, readsFollowers } = this.#plan;
    for (const plan of topics) {
      const topic = this.#history.history.addTopic(plan.name, {
        partitionCount: plan.partitionCount,
        expires: false,
        isLossy: false,
        isStamped: false,
      });
      const configs = this.#configsOf({ "min.insync.replicas": String(plan.minInSync) });
      await this.#admin.createTopic(topic, plan, configs);
      this.#topics.push(topic);
    }
    this.#areTopicsMade = true;
    const partitions = this.#topics.flatMap(partitionsOf);
    const mustStop = () => this.#mustStop;
    for (let i = 0; i < producers.length; i++) {
      const name = `producer-${i}`;
      const producer = new ClusterProducer({
        client: this.#client(name),
        number: i + 1,
        plan: producers[i]!,
        random: this.#random.fork(name),
        partitions,
        mustStop,
      });
      this.#act(name, producer);
    }
    for (let i = 0; i < consumerCount; i++) {
      const name = `consumer-${i}`;
      const random = this.#random.fork(name);
      const client = this.#client(name);
      this.#act(
        name,
        new ClusterConsumer({ client, random, partitions, readsFollowers, mustStop }),
      );
    }
    for (let i = 0; i < committerCount; i++) {
      const groupId = `group-${i}`;
      const committer = new ClusterCommitter({
        client: this.#client(groupId),
        groupId,
        random: this.#random.fork(groupId),
        topic: this.#topics[0]!,
        commitsMax: 60,
        mustStop,
      });
      this.#act(groupId, committer);
    }
  }

  #act(name: string, actor: { readonly isDone: boolean; run(): Promise<void> }): void {
    this.#actors.push({ name, isDone: () => actor.isDone });
    this.#clients.spawn(name, () => actor.run());
  }

  #reassign(dice: SeededRandom): void {
    const topic = this.#topics[dice.below(Math.max(this.#topics.length, 1))];
    if (topic === undefined) return;
    this.#clients.spawn("reassign", async () => {
      try {
        await this.#admin.client.refresh([topic]);
        await this.#admin.reassign(topic, this.#plan.brokerCount, dice);
      } catch (error) {
        // Whom it was asked of may be down: then nothing moves, or it does.
        if (!(error instanceof ConnectionGone)) throw error;
      }
    });
  }

  #isWhole(): boolean {
    const { table } = this.#metadata;
    return storedBrokers(table).length === this.#plan.brokerCount && isAllInSync(table);
  }

  #late(): string {
    const { table } = this.#metadata;
    const late = this.#actors.filter((actor) => !actor.isDone()).map(({ name }) => name);
    if (!this.#areTopicsMade) late.push("topics");
    if (!isAllInSync(table)) late.push("in-sync sets");
    const here = storedBrokers(table);
    if (here.length < this.#plan.brokerCount) late.push(`brokers (only ${here} are registered)`);
    return late.join(", ");
  }

  /** Runs until `whatIsLate` gives null, which must be within `deadlineUs`. */
  async #mustBecome(
    what: string,
    deadlineUs: number,
    whatIsLate: () => string | null,
  ): Promise<void> {
    const { world } = this;
    if (world.failure !== null) return;
    const isDone = await world.run(world.nowUs + deadlineUs, () => whatIsLate() === null);
    if (!isDone) world.fail("liveness", `not ${what} after all faults had ended: ${whatIsLate()}`);
  }

  /** What clients are served; then every machine dies, and what each has on its disk is read by a broker alone. */
  async #audit(): Promise<void> {
    const ends = new Map<PartitionHistory, { replicas: readonly number[]; end: number }>();
    let isDone = false;
    const partitions = this.#topics.flatMap(partitionsOf);
    this.#clients.spawn("audit", async () => {
      const client = this.#client("audit");
      for (const partition of partitions) {
        ends.set(partition, await this.#auditPartition(client, partition));
      }
      client.close();
      isDone = true;
    });
    await this.#mustBecome("audited", AUDIT_US, () => (isDone ? null : "audit"));
    if (this.world.failure !== null) return;
    const dice = this.#random.fork("last deaths");
    for (const machine of this.#machines) {
      machine.die(dice.below(2) === 0 ? "killed" : "power_lost");
    }
    for (const machine of this.#machines) {
      machine.start((process) => this.#metadata.aloneFor(process, ALONE_WITHOUT));
    }
    let areRead = false;
    this.#clients.spawn("disk_audit", async () => {
      const client = this.#client("disk-audit");
      for (const [partition, { replicas, end }] of ends) {
        for (const id of replicas) await this.#auditDisk(client, partition, id, end);
      }
      areRead = true;
    });
    await this.#mustBecome("read from every disk", AUDIT_US, () => (areRead ? null : "disk audit"));
  }

  async #auditPartition(
    client: ClusterClient,
    partition: PartitionHistory,
  ): Promise<{ replicas: readonly number[]; end: number }> {
    const deadlineUs = this.world.nowUs + WATERMARK_US;
    for (;;) {
      try {
        await client.refresh([partition.topic]);
        const told = client.toldOf(partition);
        if (told === null || told.leader < 0) throw new ConnectionGone("no leader");
        const records: ReadRecord[] = [];
        for (let position = 0; ; ) {
          const found = await fetchFrom(client, partition, told.leader, position, 50, 1_000_000);
          if (found.code !== null) throw new ConnectionGone(found.code);
          records.push(...found.records);
          position = found.nextOffset;
          const { highWatermark } = found;
          if (position < highWatermark) continue;
          const isYetToCome = highWatermark < partition.highWatermark;
          if (isYetToCome && this.world.nowUs < deadlineUs) throw new ConnectionGone("too early");
          const audit = { logStartOffset: 0, highWatermark, records, reported: new Set<number>() };
          this.#history.history.audited(partition, audit);
          return { replicas: told.replicas, end: highWatermark };
        }
      } catch (error) {
        if (!(error instanceof ConnectionGone)) throw error;
        await client.backOff();
      }
    }
  }

  /** Below `end` a replica has what all have. What is there beyond may be anything. */
  async #auditDisk(
    client: ClusterClient,
    partition: PartitionHistory,
    brokerId: number,
    end: number,
  ): Promise<void> {
    const batches: ServedBatch[] = [];
    for (let position = 0; position < end; ) {
      let found: Awaited<ReturnType<typeof fetchUntold>>;
      try {
        found = await fetchUntold(client, partition, brokerId, position, 0, 1_000_000);
      } catch (error) {
        if (!(error instanceof ConnectionGone)) throw error;
        await client.backOff();
        continue;
      }
      if (found.code !== null || found.nextOffset === position) {
        const what = found.code ?? `nothing from ${position} on, of ${end}`;
        this.world.say(() => `${partition.label} on the disk of broker ${brokerId}: ${what}`);
        break;
      }
      batches.push(...found.batches.filter(({ endOffset }) => endOffset <= end));
      position = found.nextOffset;
    }
    this.#history.replicaAudited(partition, brokerId, end, batches);
  }

  #client(name: string): ClusterClient {
    return new ClusterClient({
      name,
      process: this.#clients,
      network: this.#network,
      random: this.#random.fork(`client ${name}`),
      timeoutMs: this.#plan.clientTimeoutMs,
      brokerCount: this.#plan.brokerCount,
      history: this.#history,
    });
  }
}

function partitionsOf(topic: TopicHistory): PartitionHistory[] {
  return Array.from({ length: topic.partitionCount }, (_, i) => topic.partition(i));
}

function conditionsOf(plan: ClusterPlan, lyingSyncPercent: number): StorageConditions {
  return {
    syncUsMin: plan.syncUsMin,
    syncUsMax: plan.syncUsMax,
    appendUsMax: 100,
    readUsMax: 1000,
    asyncReadPercent: 20,
    slowUntilUs: 0,
    slowSyncUs: 1,
    failNextAppend: null,
    failNextSync: null,
    onFailedWrite: () => {},
    readErrorPermille: 0,
    lyingSyncPercent,
    leavesOldBytes: false,
    onCall: null,
  };
}

function describe(plan: ClusterPlan): string {
  const { brokerCount, topics, producers, faults, faultCount, activeUs } = plan;
  const topicWords = topics.map(
    ({ name, partitionCount, replicationFactor, minInSync }) =>
      `${name} (${partitionCount} of ${replicationFactor}, at least ${minInSync})`,
  );
  return `${brokerCount} brokers, ${topicWords.join(", ")}, ${producers.length} producers, ${faultCount} faults of ${[...faults].join(" ")}, ${activeUs / 1e6} s`;
}
