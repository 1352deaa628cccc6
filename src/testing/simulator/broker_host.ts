// The machine that the broker runs on: starts the real broker over simulated capabilities, kills it, takes
// its power, and starts it again on what is left, as a supervisor would.
// Invariant: at most one broker process is alive; a broker that says it failed is stopped and started again.

import { transportKafka } from "../../../plugins/transport-kafka/mod.ts";
import type { SeededRandom } from "../../base/prng.ts";
import type { TransportPlugin } from "../../contracts/transport.ts";
import { createBroker, type RunningBroker } from "../../core/mod.ts";
import type { Scenario } from "./scenario.ts";
import { BROKER_PORT } from "./sim_client.ts";
import { SimDisk } from "./sim_disk.ts";
import { SimMetadata } from "./sim_metadata_store.ts";
import type { SimNetwork } from "./sim_network.ts";
import { simRuntime } from "./sim_runtime.ts";
import { SimSegmentStore, type StorageConditions } from "./sim_storage.ts";
import { describeError, SimProcess, type World } from "./world.ts";

export interface BrokerHostOptions {
  readonly world: World;
  readonly random: SeededRandom;
  readonly scenario: Scenario;
  readonly network: SimNetwork;
  readonly conditions: StorageConditions;
  /** Wraps the transport, for mutations that must be caught. */
  readonly wrapTransport: (plugin: TransportPlugin) => TransportPlugin;
  /** Hears the broker's log. */
  readonly onLog: (event: string) => void;
  /** Called when the power went: unsynced data may be gone. */
  readonly onLoss: () => void;
}

export class BrokerHost {
  readonly disk = new SimDisk();
  readonly runtimeState = { wallSkewMs: 0 };
  /** How often a broker was started. */
  startCount = 0;
  /** Called while the broker is down, after its next death. */
  onDeath: (() => void) | null = null;
  readonly #options: BrokerHostOptions;
  readonly #metadata = new SimMetadata();
  #process: SimProcess | null = null;
  #store: SimSegmentStore | null = null;
  #broker: RunningBroker | null = null;
  #isStarting = false;

  constructor(options: BrokerHostOptions) {
    this.#options = options;
  }

  get isUp(): boolean {
    return this.#broker !== null && this.#process?.isAlive === true;
  }

  /** Nothing is running and nothing is about to. */
  get isDown(): boolean {
    return this.#process === null && !this.#isStarting;
  }

  /** Starts a broker on whatever the disk holds. Failure to start is tried again after a while. */
  start(): void {
    const { world, random, scenario, network, conditions, wrapTransport } = this.#options;
    if (this.#process !== null) return;
    this.#isStarting = false;
    const life = ++this.startCount;
    const process = new SimProcess(world, `broker-${life}`);
    this.#process = process;
    network.links.setDown(process.machine, false);
    const store = new SimSegmentStore(process, this.disk, random.fork(`disk-${life}`), conditions);
    this.#store = store;
    world.say(() => `${process.name} starts`);
    const runtime = simRuntime({
      process,
      random: random.fork(`broker-${life}`),
      network: network.of(process),
      state: this.runtimeState,
      hasFastCrc: scenario.hasFastCrc,
      onLog: (event) => this.#options.onLog(event),
    });
    process.spawn("start_broker", async () => {
      let broker: RunningBroker;
      try {
        broker = await createBroker({
          broker: { id: 1 },
          runtime,
          storage: store.plugin(),
          metadata: this.#metadata.pluginFor(process, random.fork(`metadata-${life}`)),
          transports: [
            wrapTransport(
              transportKafka({
                listeners: [{ name: "kafka", host: "127.0.0.1", port: BROKER_PORT }],
                ...scenario.transport,
                connectionIdleMsMax: 20_000,
                frameStallMsMax: 3_000,
              }),
            ),
          ],
          settings: scenario.settings,
        });
        await broker.start();
      } catch (error) {
        if (!this.#isExcusable(error)) throw error;
        world.say(() => `${process.name} could not start: ${describeError(error)}`);
        this.#end(process);
        this.startLater(10_000);
        return;
      }
      this.#broker = broker;
      world.say(() => `${process.name} is up`);
      await broker.failed;
      world.say(() => `${process.name} is offline and will be started again`);
      // The program stops what it can and exits; a supervisor may be quicker.
      if (random.below(2) === 0) await broker.stop(100);
      this.#end(process);
      this.startLater(1000 + random.below(50_000));
    });
  }

  startLater(delayUs: number): void {
    this.#isStarting = true;
    this.#options.world.after(delayUs, "supervisor_starts_broker", null, () => this.start());
  }

  /** SIGKILL or the loss of power: whatever had not ended never will. */
  die(how: "killed" | "power_lost"): void {
    const { world, random, scenario, network, conditions } = this.#options;
    const process = this.#process;
    if (process === null) return;
    world.say(() => `${process.name} ${how === "killed" ? "is killed" : "loses its power"}`);
    process.isAlive = false;
    this.#process = null;
    this.#broker = null;
    const dice = random.fork(`death-${this.startCount}`);
    this.#store?.processDied(dice);
    this.#metadata.processDied(dice);
    this.disk.processDied(dice, scenario.keepPercent);
    if (how === "power_lost") {
      this.disk.losePower(dice, scenario.keepPercent);
      network.links.setDown(process.machine, true);
      this.#options.onLoss();
    }
    network.processDied(process, how);
    conditions.failNextAppend = null;
    conditions.failNextSync = null;
    conditions.onCall = null;
    this.onDeath?.();
    this.onDeath = null;
  }

  /** SIGTERM: the broker stops by itself, within a virtual half minute. */
  async stopGently(): Promise<void> {
    const broker = this.#broker;
    const process = this.#process;
    if (broker === null || process === null) return;
    const { world } = this.#options;
    world.say(() => `${process.name} is asked to stop`);
    const deadline = world.after(30_000_000, "stop_deadline", process, () => {
      world.fail("liveness", `${process.name} did not stop within 30 s`);
    });
    await broker.stop(200);
    deadline.cancel();
    this.#end(process);
  }

  pause(forUs: number): void {
    const { world } = this.#options;
    const process = this.#process;
    if (process === null) return;
    // Never shorter than it was: what waits already must not be overtaken.
    process.pausedUntilUs = Math.max(process.pausedUntilUs, world.nowUs + forUs);
  }

  /** For tasks that end with the broker process. */
  spawn(label: string, task: () => Promise<void>): void {
    this.#process?.spawn(label, task);
  }

  /** The process exits, unless it has died before. */
  #end(process: SimProcess): void {
    if (this.#process === process) this.die("killed");
  }

  /** A disk that refuses at start, by plan: the supervisor tries again. Everything else is a defect. */
  #isExcusable(error: unknown): boolean {
    const code = (error as { readonly code?: unknown }).code;
    return code === "io" || code === "full";
  }
}
