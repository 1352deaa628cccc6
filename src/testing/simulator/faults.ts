// The fault atlas: what may go wrong, when, and what may not, since no design survives it.
// May: any crash at any moment; any unsynced byte or name lost, kept or torn; a write or sync refused (the
// broker then goes offline); slow disks; connections that break, stall or vanish; a broker that pauses; a wall
// clock that jumps; garbage from strangers. May not: synced bytes lost, other than by a bit flipped in a seed
// that is told so; a metadata commit lost after it resolved; bytes changed on the wire.

import type { SeededRandom } from "../../base/prng.ts";
import type { BrokerHost } from "./broker_host.ts";
import type { History } from "./history.ts";
import type { FaultKind, Scenario } from "./scenario.ts";
import type { SimNetwork } from "./sim_network.ts";
import type { StorageConditions } from "./sim_storage.ts";
import type { World } from "./world.ts";

export interface FaultOptions {
  readonly world: World;
  readonly random: SeededRandom;
  readonly scenario: Scenario;
  readonly host: BrokerHost;
  readonly network: SimNetwork;
  readonly conditions: StorageConditions;
  readonly history: History;
  /** Sends bytes that are no request, on a connection of its own. */
  readonly sendGarbage: () => void;
}

/** Puts the faults of a scenario into the queue: a few of each kind that is on. */
export function planFaults(options: FaultOptions): void {
  const { world, scenario, random } = options;
  for (const kind of scenario.faults) {
    const dice = random.fork(kind);
    for (let i = 1 + dice.below(kind === "bit_flip" ? 2 : 4); i > 0; i--) {
      world.after(20_000 + dice.below(scenario.activeUs), `fault_${kind}`, null, () => {
        // While a restart is due only the network may go on being bad.
        if (world.nowUs >= world.healedUs) return;
        world.say(() => `fault: ${kind}`);
        happen(kind, dice, options);
      });
    }
  }
}

/** Nothing new goes wrong from here on. */
export function heal({ world, host, conditions }: FaultOptions): void {
  world.healedUs = world.nowUs;
  world.say(() => "faults have ended");
  conditions.slowUntilUs = 0;
  conditions.failNextAppend = null;
  conditions.failNextSync = null;
  conditions.readErrorPermille = 0;
  conditions.onCall = null;
  host.onDeath = null;
  if (host.isDown) host.start();
}

function happen(kind: FaultKind, dice: SeededRandom, options: FaultOptions): void {
  const { world, host, network, conditions, history } = options;
  switch (kind) {
    case "kill":
    case "power_loss":
      crash(kind === "kill" ? "killed" : "power_lost", dice, host);
      break;
    case "graceful_restart":
      if (!host.isUp) break;
      // Not owned by the broker, as the last step is its end.
      void host.stopGently().then(
        () => host.startLater(1000 + dice.below(20_000)),
        (error) => world.fail("graceful_stop", String(error)),
      );
      break;
    case "sync_error":
      conditions.failNextSync = "io";
      break;
    case "append_error":
      conditions.failNextAppend = "io";
      break;
    case "disk_full":
      conditions.failNextAppend = "full";
      break;
    case "slow_sync":
      conditions.slowUntilUs = world.nowUs + 50_000 + dice.below(400_000);
      conditions.slowSyncUs = 10_000 + dice.below(150_000);
      break;
    case "read_errors":
      conditions.readErrorPermille = 20 + dice.below(200);
      world.after(20_000 + dice.below(200_000), "read_errors_end", null, () => {
        conditions.readErrorPermille = 0;
      });
      break;
    case "pause":
      host.pause(5_000 + dice.below(700_000));
      break;
    case "reset":
      network.reset(1 + dice.below(4));
      break;
    case "stall":
      network.stall(1 + dice.below(4), 10_000 + dice.below(900_000));
      break;
    case "half_open":
      network.cut(1 + dice.below(3));
      break;
    case "clock_jump":
      host.runtimeState.wallSkewMs += dice.below(4000) - 2000;
      break;
    case "garbage":
      options.sendGarbage();
      break;
    case "crash_at_call": {
      let callsLeft = dice.below(40);
      const how = dice.below(2) === 0 ? "killed" : "power_lost";
      conditions.onCall = () => {
        if (callsLeft-- > 0) return;
        conditions.onCall = null;
        world.after(dice.below(50), "crash_at_call", null, () => crash(how, dice, host));
      };
      break;
    }
    case "bit_flip": {
      const flip = () => {
        const hit = host.disk.flipBit(dice);
        if (hit === null) return;
        world.say(() => `a bit of ${hit.name} at ${hit.position} is flipped`);
        history.hasFlippedBits = true;
      };
      // What a broker wrote itself it checks again only where checksums are cheap: later reads find it.
      if (options.scenario.hasFastCrc) flip();
      else host.onDeath = flip;
      break;
    }
  }
}

function crash(how: "killed" | "power_lost", dice: SeededRandom, host: BrokerHost): void {
  if (host.isDown) return;
  host.die(how);
  host.startLater(1000 + dice.below(how === "killed" ? 30_000 : 200_000));
}
