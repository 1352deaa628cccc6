// One machine of a simulated cluster: a disk, a clock, and the unchanged broker on them, which dies, loses its power, is paused,
// stopped, or comes back with an empty disk. Invariant: at most one broker process is alive on it.

import { transportKafka } from "../../../../plugins/transport-kafka/mod.ts";
import type { SeededRandom } from "../../../base/prng.ts";
import type { MetadataStorePlugin } from "../../../contracts/metadata_store.ts";
import type { TransportPlugin } from "../../../contracts/transport.ts";
import { createBroker, type RunningBroker } from "../../../core/mod.ts";
import { SimDisk } from "../sim_disk.ts";
import type { SimNetwork } from "../sim_network.ts";
import { simRuntime } from "../sim_runtime.ts";
import { SimSegmentStore, type StorageConditions } from "../sim_storage.ts";
import { describeError, SimProcess, type World } from "../world.ts";
import { simCrypto } from "./sim_crypto.ts";
import type { SharedMetadata } from "./sim_shared_metadata.ts";

/** Ports of brokers are this and their id. */
export const PORT_BASE = 9092;
/** A stop that takes longer, in virtual time, fails the run. */
const STOP_US = 90_000_000;
const START_US = 120_000_000;

export interface MachineOptions {
  readonly id: number;
  readonly world: World;
  readonly random: SeededRandom;
  readonly network: SimNetwork;
  readonly metadata: SharedMetadata;
  readonly conditions: StorageConditions;
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  readonly rack: string;
  /** How likely each unsynced sector survives a loss of power, of 100. */
  readonly keepPercent: number;
  readonly hasFastCrc: boolean;
  /** For mutations that must be caught. */
  readonly wrapTransport: (plugin: TransportPlugin, brokerId: number) => TransportPlugin;
  readonly wrapMetadata: (plugin: MetadataStorePlugin, brokerId: number) => MetadataStorePlugin;
  readonly onLog: (event: string) => void;
}

export class BrokerMachine {
  readonly id: number;
  readonly name: string;
  readonly conditions: StorageConditions;
  readonly runtimeState = { wallSkewMs: 0 };
  disk = new SimDisk();
  startCount = 0;
  readonly #options: MachineOptions;
  #process: SimProcess | null = null;
  #store: SimSegmentStore | null = null;
  #broker: RunningBroker | null = null;
  #isStarting = false;

  constructor(options: MachineOptions) {
    this.#options = options;
    this.id = options.id;
    this.name = `machine-${options.id}`;
    this.conditions = options.conditions;
  }

  /** It serves. */
  get isUp(): boolean {
    return this.#broker !== null && this.#process?.isAlive === true;
  }

  /** Nothing runs, and nothing is about to. */
  get isDown(): boolean {
    return this.#process === null && !this.#isStarting;
  }

  /** @param alone Left out: it is one of the cluster; else it has the store for itself that this gives. */
  start(alone?: (process: SimProcess) => MetadataStorePlugin): void {
    const { world, random, network, metadata, hasFastCrc, settings, rack } = this.#options;
    if (this.#process !== null) return;
    this.#isStarting = false;
    const life = ++this.startCount;
    const process = new SimProcess(world, `broker-${this.id}.${life}`, this.name);
    this.#process = process;
    network.links.setDown(this.name, false);
    const dice = random.fork(`life-${life}`);
    const store = new SimSegmentStore(process, this.disk, dice.fork("disk"), this.conditions);
    this.#store = store;
    world.say(() => `${process.name} starts`);
    const runtime = simRuntime({
      process,
      random: dice.fork("runtime"),
      network: network.of(process),
      state: this.runtimeState,
      hasFastCrc,
      crypto: simCrypto,
      onLog: (event) => this.#options.onLog(event),
    });
    const transport = transportKafka({
      listeners: [{ name: "kafka", host: "127.0.0.1", port: PORT_BASE + this.id }],
      connectionIdleMsMax: 60_000,
      frameStallMsMax: 10_000,
    });
    process.spawn("start_broker", async () => {
      const deadline = process.after(START_US, "start_deadline", () => {
        if (world.healedUs < world.nowUs - START_US) {
          world.fail("liveness", `${process.name} did not start within ${START_US / 1e6} s`);
        }
      });
      let broker: RunningBroker;
      try {
        broker = await createBroker({
          broker: { id: this.id, rack },
          runtime,
          storage: store.plugin(),
          metadata:
            alone?.(process) ?? this.#options.wrapMetadata(metadata.pluginFor(process), this.id),
          transports: [this.#options.wrapTransport(transport, this.id)],
          settings,
        });
        await broker.start();
      } catch (error) {
        if (!isExcusable(error)) throw error;
        world.say(() => `${process.name} could not start: ${describeError(error)}`);
        this.#end(process);
        this.startLater(200_000);
        return;
      }
      deadline.cancel();
      this.#broker = broker;
      world.say(() => `${process.name} is up`);
      const reason = await broker.failed;
      world.say(() => `${process.name} is offline (${reason}) and will be started again`);
      if (dice.below(2) === 0) await broker.stop(100);
      this.#end(process);
      this.startLater(1000 + dice.below(500_000));
    });
  }

  startLater(delayUs: number): void {
    this.#isStarting = true;
    this.#options.world.after(delayUs, "supervisor_starts_broker", null, () => this.start());
  }

  /** SIGKILL or the loss of power: whatever had not ended never will. */
  die(how: "killed" | "power_lost"): void {
    const { world, random, network, metadata, keepPercent } = this.#options;
    const process = this.#process;
    if (process === null) return;
    world.say(() => `${process.name} ${how === "killed" ? "is killed" : "loses its power"}`);
    process.isAlive = false;
    this.#process = null;
    this.#broker = null;
    const dice = random.fork(`death-${this.startCount}`);
    this.#store?.processDied(dice);
    metadata.processDied(process);
    this.disk.processDied(dice, keepPercent);
    if (how === "power_lost") {
      this.disk.losePower(dice, keepPercent);
      network.links.setDown(this.name, true);
    }
    network.processDied(process, how);
    this.conditions.failNextAppend = null;
    this.conditions.failNextSync = null;
    this.conditions.onCall = null;
  }

  /** What it had is gone for good: while it is down only. */
  replaceDisk(): void {
    this.#options.world.say(() => `${this.name} has an empty disk`);
    this.disk = new SimDisk();
    // A broker refuses to start without its logs until somebody says that they are gone.
    this.#options.metadata.remove(`logs/broker/${this.id}`);
  }

  /** SIGTERM: hands over what it leads, and ends. */
  async stopGently(): Promise<void> {
    const broker = this.#broker;
    const process = this.#process;
    if (broker === null || process === null) return;
    const { world } = this.#options;
    world.say(() => `${process.name} is asked to stop`);
    const deadline = world.after(STOP_US, "stop_deadline", process, () => {
      world.fail("liveness", `${process.name} did not stop within ${STOP_US / 1e6} s`);
    });
    await broker.stop(200);
    deadline.cancel();
    this.#end(process);
  }

  pause(forUs: number): void {
    const process = this.#process;
    if (process === null) return;
    const { world } = this.#options;
    world.say(() => `${process.name} stands still for ${forUs / 1000} ms`);
    process.pausedUntilUs = Math.max(process.pausedUntilUs, world.nowUs + forUs);
  }

  spawn(label: string, task: () => Promise<void>): void {
    this.#process?.spawn(label, task);
  }

  #end(process: SimProcess): void {
    if (this.#process === process) this.die("killed");
  }
}

/** A disk or a store that refuses at start, by plan: the supervisor tries again. */
function isExcusable(error: unknown): boolean {
  const code = (error as { readonly code?: unknown }).code;
  return code === "io" || code === "full" || code === "unavailable";
}
