// What goes wrong in a simulated cluster, and when: by plan of the seed, until everything is healed.
// Invariant: at most a minority of brokers is down, away or new at once, and a disk is replaced only while every partition is
// in sync elsewhere: what the design does not claim to survive is not asked of it.

import type { SeededRandom } from "../../../base/prng.ts";
import type { SimNetwork } from "../sim_network.ts";
import type { World } from "../world.ts";
import type { BrokerMachine } from "./machine.ts";
import type { ClusterFault, ClusterPlan } from "./plan.ts";
import { type SharedMetadata, STORE_MACHINE } from "./sim_shared_metadata.ts";
import { storedPartitions } from "./store_view.ts";

/** Longer than a session lives: whoever was there is taken for gone. */
const GONE_US = 6_000_000;

export interface ClusterFaultsOptions {
  readonly world: World;
  readonly random: SeededRandom;
  readonly plan: ClusterPlan;
  readonly machines: readonly BrokerMachine[];
  readonly network: SimNetwork;
  readonly metadata: SharedMetadata;
  /** Whether every partition, internal ones too, is in sync at this time. */
  readonly isInSync: () => boolean;
  readonly reassign: (random: SeededRandom) => void;
}

export class ClusterFaults {
  readonly #options: ClusterFaultsOptions;
  /** Machines that something is wrong with, until the virtual time. */
  readonly #troubledUntilUs = new Map<number, number>();

  constructor(options: ClusterFaultsOptions) {
    this.#options = options;
  }

  plan(): void {
    const { plan, random, world } = this.#options;
    const kinds = [...plan.faults];
    if (kinds.length === 0) return;
    for (let i = 0; i < plan.faultCount; i++) {
      const kind = kinds[random.below(kinds.length)]!;
      const dice = random.fork(`fault-${i}`);
      const atUs = 1_500_000 + random.below(plan.activeUs);
      world.after(atUs, `fault_${kind}`, null, () => this.#strike(kind, dice));
    }
  }

  /** Everything that is wrong ends. */
  heal(): void {
    const { world, network, metadata, machines } = this.#options;
    world.healedUs = world.nowUs;
    world.say(() => "all faults end");
    network.links.mendAll();
    metadata.lostAnswerPermille = 0;
    metadata.watchLagUs = 0;
    for (const machine of machines) {
      const { conditions } = machine;
      conditions.failNextAppend = null;
      conditions.failNextSync = null;
      conditions.slowUntilUs = 0;
      if (machine.isDown) machine.startLater(1000);
    }
  }

  #strike(kind: ClusterFault, dice: SeededRandom): void {
    const { world, machines, network, metadata, reassign } = this.#options;
    if (world.nowUs >= world.healedUs) return;
    const { links } = network;
    switch (kind) {
      case "kill":
      case "power_loss": {
        const downUs = 1000 + dice.below(dice.below(2) === 0 ? 300_000 : GONE_US);
        const machine = this.#trouble(dice, downUs);
        if (machine === null) return;
        machine.die(kind === "kill" ? "killed" : "power_lost");
        machine.startLater(downUs);
        return;
      }
      case "stop": {
        const downUs = 1000 + dice.below(3_000_000);
        const machine = this.#trouble(dice, 5_000_000 + downUs);
        if (machine === null) return;
        void machine.stopGently().then(() => {
          if (machine.isDown) machine.startLater(downUs);
        });
        return;
      }
      case "pause": {
        const forUs = 50_000 + dice.below(dice.below(2) === 0 ? 500_000 : GONE_US);
        this.#trouble(dice, forUs)?.pause(forUs);
        return;
      }
      case "cut_brokers":
      case "cut_one_way": {
        const forUs = 200_000 + dice.below(GONE_US);
        const machine = this.#trouble(dice, forUs);
        if (machine === null) return;
        const others = machines.filter((other) => other !== machine);
        const cutFrom = dice.below(2) === 0 ? others : [others[dice.below(others.length)]!];
        const isIn = dice.below(2) === 0;
        world.say(() => `${machine.name} is cut (${kind}) from ${cutFrom.map((m) => m.name)}`);
        for (const other of cutFrom) {
          if (kind === "cut_brokers" || isIn) links.cut(other.name, machine.name);
          if (kind === "cut_brokers" || !isIn) links.cut(machine.name, other.name);
        }
        this.#later(forUs, () => {
          for (const other of cutFrom) links.mend(machine.name, other.name);
        });
        return;
      }
      case "cut_store": {
        const forUs = 200_000 + dice.below(GONE_US);
        const machine = this.#trouble(dice, forUs);
        if (machine === null) return;
        world.say(() => `${machine.name} is cut from the store for ${forUs / 1000} ms`);
        const way = dice.below(3);
        if (way !== 1) links.cut(machine.name, STORE_MACHINE);
        if (way !== 2) links.cut(STORE_MACHINE, machine.name);
        this.#later(forUs, () => links.mend(machine.name, STORE_MACHINE));
        return;
      }
      case "slow_link": {
        const [one, other] = [0, 1].map(() => machines[dice.below(machines.length)]!);
        if (one === other) return;
        links.slow(one!.name, other!.name, 1000 + dice.below(400_000));
        this.#later(500_000 + dice.below(4_000_000), () => links.mend(one!.name, other!.name));
        return;
      }
      case "store_loses_answers":
        metadata.lostAnswerPermille = 20 + dice.below(300);
        this.#later(500_000 + dice.below(3_000_000), () => {
          metadata.lostAnswerPermille = 0;
        });
        return;
      case "store_lags":
        metadata.watchLagUs = 1000 + dice.below(800_000);
        this.#later(500_000 + dice.below(3_000_000), () => {
          metadata.watchLagUs = 0;
        });
        return;
      case "clock_jump":
        machines[dice.below(machines.length)]!.runtimeState.wallSkewMs += dice.below(8000) - 4000;
        return;
      case "slow_sync": {
        const { conditions } = machines[dice.below(machines.length)]!;
        conditions.slowUntilUs = world.nowUs + 500_000 + dice.below(3_000_000);
        conditions.slowSyncUs = 10_000 + dice.below(600_000);
        return;
      }
      case "sync_error": {
        const machine = this.#trouble(dice, 1_000_000);
        if (machine !== null) machine.conditions.failNextSync = "io";
        return;
      }
      case "reset":
        network.reset(1 + dice.below(6));
        return;
      case "new_disk": {
        if (this.#troubled().length > 0 || !this.#options.isInSync()) return;
        const machine = this.#trouble(dice, 2 * GONE_US);
        if (machine === null) return;
        machine.die("killed");
        machine.replaceDisk();
        machine.startLater(GONE_US);
        return;
      }
      case "reassign":
        reassign(dice);
        return;
    }
  }

  /** A machine for something to go wrong with, if the others are enough; null else. */
  #trouble(dice: SeededRandom, forUs: number): BrokerMachine | null {
    const { machines, world } = this.#options;
    const most = Math.floor((machines.length - 1) / 2);
    const troubled = this.#troubled();
    if (troubled.length >= most) return null;
    // Half of all trouble is a leader's: there is more to lose.
    const leaders = storedPartitions(this.#options.metadata.table).map(({ leader }) => leader);
    const leader = dice.below(2) === 0 ? leaders[dice.below(Math.max(leaders.length, 1))] : -1;
    const machine =
      machines.find(({ id }) => id === leader) ?? machines[dice.below(machines.length)]!;
    if (troubled.includes(machine.id) || !machine.isUp) return null;
    const marginUs = dice.below(2) === 0 ? 0 : 1_000_000;
    this.#troubledUntilUs.set(machine.id, world.nowUs + forUs + marginUs);
    return machine;
  }

  #troubled(): number[] {
    const { machines, world } = this.#options;
    return machines
      .filter(({ id, isUp }) => !isUp || (this.#troubledUntilUs.get(id) ?? 0) > world.nowUs)
      .map(({ id }) => id);
  }

  #later(delayUs: number, task: () => void): void {
    this.#options.world.after(delayUs, "fault_ends", null, task);
  }
}
