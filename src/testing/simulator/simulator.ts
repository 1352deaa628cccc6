// One seed, one run: a real broker, simulated clients, faults; then all faults end and everything has to
// complete; then a last crash, and an audit of what is left.
// Invariant: a run is a function of its seed (and mutation): same trace hash on every engine.

import { SeededRandom } from "../../base/prng.ts";
import { loadXxhash } from "../../base/xxhash.ts";
import { preloadCleaner, preloadGroups, preloadTransactions } from "../../core/mod.ts";
import { auditAll } from "./audit.ts";
import { BrokerHost } from "./broker_host.ts";
import { allCheckers } from "./checkers/all_checkers.ts";
import { type FaultOptions, heal, planFaults } from "./faults.ts";
import { GroupHistory, type GroupPlan } from "./group_history.ts";
import { History, type PartitionHistory, TopicHistory } from "./history.ts";
import { type AnyMutation, lyingSyncPercent, mutatedTransport } from "./mutations.ts";
import { drawScenario, type Scenario } from "./scenario.ts";
import { BROKER_PORT, ConnectionGone, SimClient } from "./sim_client.ts";
import { SimNetwork } from "./sim_network.ts";
import type { StorageConditions } from "./sim_storage.ts";
import { Trace } from "./trace.ts";
import type { TransactionModel } from "./transactions/model.ts";
import { drawTransactions, withTransactionSettings } from "./transactions/plan.ts";
import { TransactionWorkload } from "./transactions/workload.ts";
import { setTraps } from "./traps.ts";
import { catchUnhandled } from "./unhandled.ts";
import { createTopic, SimAdmin } from "./workload_admin.ts";
import { SimConsumer } from "./workload_consumer.ts";
import { auditGroup, drawGroupSettings, drawGroups, GroupWorkload } from "./workload_group.ts";
import { SimProducer } from "./workload_producer.ts";
import { describeError, type SimFailure, SimProcess, World } from "./world.ts";

/** Virtual time within which everything completes once faults have ended. */
const LIVENESS_US = 120_000_000;
const SETTLE_US = 60_000_000;

/**
 * What the broker logs when it meets damage. Not journal_header_corrupt: the header of a file that was never
 * synced may be torn within its sector, and the broker cannot tell that from damage.
 */
const ALARMS: ReadonlySet<string> = new Set([
  "batch_corrupt",
  "journal_batch_out_of_order",
  "journal_corrupt",
  "journal_entry_unknown",
  "log_has_a_hole",
  "partition_state_unreadable",
  "segment_cut_short",
]);

/** Which run, and what is wrong in it on purpose. */
export interface SimulationOptions {
  /** A safe integer, at least 0. */
  readonly seed: number;
  /** Makes the broker or the disk wrong on purpose. */
  readonly mutation?: AnyMutation | null;
  /** Groups are there too: members of both protocols, with commits. Default false. */
  readonly withGroups?: boolean;
  /** Transactions are there too, in topics of their own; the rest is less. Default false. */
  readonly withTransactions?: boolean;
  /** Keeps lines for people; the trace hash is the same without. */
  readonly isVerbose?: boolean;
  readonly onLine?: (line: string) => void;
}

/** What a run did and found; all of it follows from the seed. */
export interface SimulationResult {
  readonly seed: number;
  /** Equal for equal seeds, on every engine. */
  readonly hash: string;
  readonly failure: SimFailure | null;
  readonly eventCount: number;
  readonly virtualMs: number;
  readonly brokerStarts: number;
  /** Records acknowledged, read by consumers, and read by the audit. */
  readonly counts: { readonly acked: number; readonly read: number; readonly audited: number };
  /** Transactions by their end, and their records; null without them. */
  readonly transactions: TransactionModel["counts"] | null;
  readonly faults: readonly string[];
  readonly lines: readonly string[];
}

/** Runs one seed. Never rejects for what the run finds: see `failure`. */
export async function runSeed(options: SimulationOptions): Promise<SimulationResult> {
  // WebAssembly, tables and code are there before the run begins.
  await loadXxhash();
  await preloadGroups();
  await preloadTransactions();
  await preloadCleaner();
  const run = new Run(options);
  const escaped = (name: string, caller: string) =>
    run.world.fail("traps", `${name}() was called by ${caller}`);
  const stopCatching = catchUnhandled((error) =>
    run.world.fail("unhandled_rejection", describeError(error)),
  );
  const removeTraps = setTraps(escaped);
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

class Run {
  readonly world: World;
  readonly #random: SeededRandom;
  readonly #mutation: AnyMutation | null;
  readonly #scenario: Scenario;
  readonly #history: History;
  readonly #network: SimNetwork;
  readonly #conditions: StorageConditions;
  readonly #host: BrokerHost;
  readonly #clients: SimProcess;
  readonly #faults: FaultOptions;
  readonly #groupPlans: readonly GroupPlan[];
  readonly #groups: GroupWorkload[] = [];
  readonly #transactions: TransactionWorkload | null;
  readonly #actors: { readonly name: string; readonly isDone: () => boolean }[] = [];
  #mustStop = false;
  #areTopicsMade = false;
  #producersMade = 0;

  constructor(options: SimulationOptions) {
    const { seed, mutation = null, withGroups = false, isVerbose = false, onLine } = options;
    const { withTransactions = false } = options;
    const random = SeededRandom.of(seed);
    this.#random = random;
    this.#mutation = mutation;
    this.world = new World(random, new Trace(isVerbose, onLine));
    const { world } = this;
    let scenario = drawScenario(random);
    const isGrouped = withGroups || withTransactions;
    if (isGrouped) scenario = withGroupSettings(scenario, random);
    const plan = withTransactions ? drawTransactions(random.fork("transactions"), scenario) : null;
    if (plan !== null) scenario = withTransactionSettings(scenario, plan);
    this.#scenario = scenario;
    this.#groupPlans = withGroups ? drawGroups(random.fork("groups")) : [];
    this.#history = new History(world, allCheckers());
    this.#network = new SimNetwork(world, random.fork("network"), scenario.network);
    this.#conditions = {
      syncUsMin: scenario.syncUsMin,
      syncUsMax: scenario.syncUsMax,
      appendUsMax: scenario.appendUsMax,
      readUsMax: scenario.readUsMax,
      asyncReadPercent: scenario.asyncReadPercent,
      slowUntilUs: 0,
      slowSyncUs: 1,
      failNextAppend: null,
      failNextSync: null,
      onFailedWrite: () => this.#history.lossHappened(),
      readErrorPermille: 0,
      lyingSyncPercent: lyingSyncPercent(mutation),
      leavesOldBytes: mutation === "leaves_old_bytes",
      onCall: null,
    };
    this.#transactions =
      plan === null
        ? null
        : new TransactionWorkload({
            plan,
            world,
            history: this.#history,
            random: random.fork("transactional workload"),
            clientOf: (client) => this.#client(client, 0),
            spawn: (label, task) => this.#clients.spawn(label, task),
            mustStop: () => this.#mustStop,
          });
    const mutationDice = random.fork("mutation");
    this.#host = new BrokerHost({
      world,
      random: random.fork("host"),
      scenario,
      network: this.#network,
      conditions: this.#conditions,
      wrapTransport: (plugin) => mutatedTransport(plugin, mutation, mutationDice),
      onLoss: () => this.#history.lossHappened(),
      onLog: (event) => this.#hearAlarm(event),
    });
    this.#clients = new SimProcess(world, "clients");
    this.#faults = {
      world,
      random: random.fork("faults"),
      scenario,
      host: this.#host,
      network: this.#network,
      conditions: this.#conditions,
      history: this.#history,
      sendGarbage: () => this.#sendGarbage(),
    };
  }

  async run(): Promise<void> {
    const { world } = this;
    world.say(() => `scenario: ${describe(this.#scenario)}`);
    this.#host.start();
    this.#clients.spawn("workload", () => this.#startWorkload());
    planFaults(this.#faults);
    await world.run(this.#scenario.activeUs + 50_000, () => false);
    heal(this.#faults);
    this.#mustStop = true;
    const areAllDone = () => this.#areTopicsMade && this.#actors.every((actor) => actor.isDone());
    const isLive = await world.run(world.nowUs + LIVENESS_US, areAllDone);
    if (!isLive) {
      const late = this.#actors.filter((actor) => !actor.isDone()).map((actor) => actor.name);
      world.fail("liveness", `after all faults had ended, not done: ${late.join(", ")}`);
    }
    await this.#lastRestart();
    await this.#audit();
  }

  result(seed: number): SimulationResult {
    return {
      seed,
      hash: this.world.trace.hash,
      failure: this.world.failure,
      eventCount: this.world.eventCount,
      virtualMs: this.world.nowUs / 1000,
      brokerStarts: this.#host.startCount,
      counts: this.#history.counts,
      transactions: this.#transactions?.model.counts ?? null,
      faults: [...this.#scenario.faults],
      lines: this.world.trace.lines,
    };
  }

  async #startWorkload(): Promise<void> {
    const scenario = this.#scenario;
    const setup = this.#client("setup", 0);
    const topics: TopicHistory[] = [];
    for (const plan of scenario.topics) {
      const topic = this.#history.addTopic(plan.name, plan);
      await createTopic(setup, topic, plan.configs);
      topics.push(topic);
    }
    for (const plan of this.#groupPlans) await this.#startGroup(setup, plan);
    const transactions = this.#transactions;
    if (transactions !== null) {
      await transactions.start(setup);
      this.#actors.push({ name: "transactions", isDone: () => transactions.isDone() });
    }
    setup.close();
    this.#areTopicsMade = true;
    for (let i = 0; i < scenario.producers.length; i++) {
      const plan = scenario.producers[i]!;
      // Idempotence cannot be judged where acknowledged records may be lost.
      const kept = plan.isIdempotent ? topics.filter((topic) => !topic.isLossy) : topics;
      this.#startProducer(`producer-${i}`, plan, kept);
    }
    const partitions = topics.flatMap(partitionsOf);
    for (let i = 0; i < scenario.consumers.length; i++) {
      const name = `consumer-${i}`;
      const plan = scenario.consumers[i]!;
      const consumer = new SimConsumer({
        client: this.#client(name, plan.readDelayUs),
        plan,
        history: this.#history,
        random: this.#random.fork(name),
        partitions,
        mustStop: () => this.#mustStop,
      });
      this.#actors.push({ name, isDone: () => consumer.isDone });
      this.#clients.spawn(name, () => consumer.run());
    }
    if (!scenario.hasAdmin) return;
    const admin = new SimAdmin({
      client: this.#client("admin", 0),
      history: this.#history,
      random: this.#random.fork("admin"),
      topics: scenario.topics.map((plan, i) => ({ plan, topic: topics[i]! })),
      mustStop: () => this.#mustStop,
      fill: (topic) => this.#fill(topic),
    });
    this.#actors.push({ name: "admin", isDone: () => admin.isDone });
    this.#clients.spawn("admin", () => admin.run());
  }

  #startProducer(
    name: string,
    plan: Scenario["producers"][number],
    topics: readonly TopicHistory[],
  ): SimProducer {
    const producer = new SimProducer({
      client: this.#client(name, 0),
      number: ++this.#producersMade,
      plan,
      history: this.#history,
      random: this.#random.fork(name),
      topics,
      mustStop: () => this.#mustStop,
    });
    this.#actors.push({ name, isDone: () => producer.isDone });
    this.#clients.spawn(name, () => producer.run());
    return producer;
  }

  async #startGroup(setup: SimClient, plan: GroupPlan): Promise<void> {
    const { topic: name, partitionCount } = plan;
    const group = new GroupHistory(plan, this.world, this.#history);
    const topic = new TopicHistory(name, 0, {
      partitionCount,
      expires: false,
      isLossy: false,
      isStamped: false,
    });
    await createTopic(setup, topic, {});
    group.topicId = topic.id;
    const workload = new GroupWorkload({
      group,
      random: this.#random.fork(plan.groupId),
      clientOf: (client) => this.#client(client, 0),
      spawn: (label, task) => this.#clients.spawn(label, task),
      mustStop: () => this.#mustStop,
    });
    this.#groups.push(workload);
    this.#actors.push({ name: plan.groupId, isDone: () => workload.isDone() });
  }

  /** A few batches for a scratch topic, by a producer of its own. */
  async #fill(topic: TopicHistory): Promise<void> {
    const plan = {
      isIdempotent: topic.number % 2 === 0,
      acks: -1 as const,
      batchCount: 4,
      window: 2,
      recordsMax: 3,
      valueBytesMax: 100,
      codecs: ["none" as const],
      thinkUsMax: 500,
      retriesUnknown: true,
    };
    const name = `scratch-producer-${this.#producersMade}`;
    const producer = this.#startProducer(name, plan, [topic]);
    while (!producer.isDone) await this.#clients.sleep(5000, "scratch_fill");
  }

  /** A disk that only loses what was not synced gives no reason to speak of damage. */
  #hearAlarm(event: string): void {
    if (!ALARMS.has(event) || this.#history.hasFlippedBits) return;
    this.world.fail("false_alarm", `the broker says ${event}, and no bit was flipped`);
  }

  #client(name: string, readDelayUs: number): SimClient {
    return new SimClient({
      name,
      process: this.#clients,
      network: this.#network.of(this.#clients),
      random: this.#random.fork(`client ${name}`),
      timeoutMs: this.#scenario.clientTimeoutMs,
      readDelayUs,
    });
  }

  #sendGarbage(): void {
    const random = this.#random.fork(`garbage ${this.world.nowUs}`);
    this.#clients.spawn("garbage", async () => {
      try {
        const connection = await this.#network.of(this.#clients).connect({
          host: "127.0.0.1",
          port: BROKER_PORT,
          timeoutMs: 1000,
        });
        const bytes = random.fill(new Uint8Array(1 + random.below(300)));
        // Half of it has a length that is believed.
        if (random.below(2) === 0) bytes.set([0, 0, 0, bytes.length & 0xff].slice(0, bytes.length));
        await connection.write([bytes]);
        while ((await connection.read()) !== null);
        connection.close();
      } catch {
        // Whatever happens to a stranger is right, as long as nobody else is hurt.
      }
    });
  }

  /** The broker goes once more, gently or not, and what is audited is what it finds again. */
  async #lastRestart(): Promise<void> {
    const { world } = this;
    if (world.failure !== null) return;
    const dice = this.#random.fork("last restart");
    const how = dice.below(3);
    if (how === 0) this.#host.die("killed");
    else if (how === 1) this.#host.die("power_lost");
    else {
      let hasStopped = false;
      void this.#host.stopGently().then(
        () => {
          hasStopped = true;
        },
        (error) => world.fail("graceful_stop", describeError(error)),
      );
      await world.run(world.nowUs + SETTLE_US, () => hasStopped);
    }
    for (let i = 0; this.#mutation === "disk_rots" && i < 10; i++) this.#host.disk.flipBit(dice);
    this.#host.start();
    const isUp = await world.run(world.nowUs + SETTLE_US, () => this.#host.isUp);
    if (!isUp) world.fail("liveness", "the broker did not start again");
  }

  async #audit(): Promise<void> {
    const { world } = this;
    if (world.failure !== null) return;
    const partitions = this.#history.topics
      .filter((topic) => !topic.isDeletionAsked && topic.id !== "")
      .flatMap(partitionsOf);
    let isDone = false;
    const client = this.#client("auditor", 0);
    this.#clients.spawn("audit", async () => {
      try {
        await auditAll(client, this.#history, partitions, this.#random.fork("audit"));
        for (const { group } of this.#groups) await auditGroup(client, group);
        await this.#transactions?.audit(client);
      } catch (error) {
        if (!(error instanceof ConnectionGone)) throw error;
        world.fail("audit_answers", `the audit lost its connection: ${error.message}`);
      }
      client.close();
      isDone = true;
    });
    const isLive = await world.run(world.nowUs + SETTLE_US, () => isDone);
    if (!isLive) world.fail("liveness", "the audit did not end");
  }
}

function withGroupSettings(scenario: Scenario, random: SeededRandom): Scenario {
  const settings = drawGroupSettings(random.fork("group settings"));
  return { ...scenario, settings: { ...scenario.settings, ...settings } };
}

function partitionsOf(topic: TopicHistory): PartitionHistory[] {
  return Array.from({ length: topic.partitionCount }, (_, index) => topic.partition(index));
}

function describe(scenario: Scenario): string {
  return JSON.stringify({ ...scenario, faults: [...scenario.faults] });
}
