// Carries out a schedule of blows against a cluster in namespaces. Invariant: each blow that began comes to its end before run()
// does, and a broker that ended although nobody ended it is counted and started again.

import { setTimeout as pause } from "node:timers/promises";
import { SeededRandom } from "../../src/base/prng.ts";
import type { Disk } from "./disks.ts";
import type { Blow } from "./figures.ts";
import type { Load } from "./load.ts";
import type { Net } from "./net.ts";
import { type Cluster, KEEPER, NODES, type Server } from "./nodes.ts";
import type { PlannedBlow } from "./schedule.ts";

/** A disk that is full to its last bytes fails in the middle of a write. */
const SPARE_BYTES_MAX = 100_000;
const WATCH_EVERY_MS = 250;
/** These may also befall a broker that is starting. */
const NETWORK_KINDS: readonly string[] = ["isolate", "cut", "cut_one_way"];

export interface ChaosParts {
  readonly cluster: Cluster;
  readonly net: Net;
  readonly disks: ReadonlyMap<number, Disk>;
  readonly load: Load;
  readonly places: readonly string[];
  readonly seed: string;
  readonly progress: (line: string) => void;
}

export class Chaos {
  readonly #parts: ChaosParts;
  readonly #random: SeededRandom;
  /** Brokers that somebody here ends or starts, or whose disk is full. */
  readonly #held = new Set<Server>();
  #leaders: ReadonlyMap<string, number> = new Map();
  #isOver = false;
  readonly blows: Blow[] = [];
  readonly shutdowns: { readonly ms: number; readonly code: number | null }[] = [];
  /** Blows at a broker that took longer than planned to come back from the one before. */
  skipped = 0;
  /** What should not have happened to processes. */
  readonly complaints: string[] = [];

  constructor(parts: ChaosParts) {
    this.#parts = parts;
    this.#random = SeededRandom.of(`${parts.seed} chaos`);
  }

  /** Resolves when all blows are over, all is healed and every broker runs. */
  async run(blows: readonly PlannedBlow[], lengthMs: number): Promise<void> {
    const began = performance.now();
    const watch = this.#watch();
    const underWay: Promise<void>[] = [];
    for (const blow of blows) {
      await pause(Math.max(0, blow.atMs - (performance.now() - began)));
      const work = this.#strike(blow).catch((error: unknown) => {
        this.complaints.push(`${blow.kind} of ${blow.places.join()}: ${String(error)}`);
      });
      underWay.push(work);
    }
    await Promise.all(underWay);
    await pause(Math.max(0, lengthMs - (performance.now() - began)));
    this.#isOver = true;
    await watch;
    for (const server of this.#servers()) if (!server.isRunning) await server.start();
  }

  #servers(): Server[] {
    const { cluster } = this.#parts;
    return [...(cluster.keeper === null ? [] : [cluster.keeper]), ...cluster.brokers.values()];
  }

  /** Those who ended by themselves start again; that they ended is a fault all the same. */
  async #watch(): Promise<void> {
    while (!this.#isOver) {
      await pause(WATCH_EVERY_MS);
      for (const server of this.#servers()) {
        if (server.isRunning || this.#held.has(server)) continue;
        this.#parts.progress(`${server.name} ended by itself`);
        await this.#holding(server, async () => {
          await server.start();
        }).catch((error: unknown) => this.complaints.push(String(error)));
      }
    }
  }

  async #holding(server: Server, work: () => Promise<void>): Promise<void> {
    this.#held.add(server);
    try {
      await work();
    } finally {
      this.#held.delete(server);
    }
  }

  async #strike(blow: PlannedBlow): Promise<void> {
    const { load, progress } = this.#parts;
    if (!NETWORK_KINDS.includes(blow.kind) && this.#held.has(this.#serverOf(blow))) {
      this.skipped++;
      progress(`${blow.kind} ${blow.places.join(" ")} is left out: it is not back yet`);
      return;
    }
    const leaders = await load.leaders();
    if (leaders.size > 0) this.#leaders = leaders;
    const brokers = blow.places.map((place) => NODES.find((n) => place === `n${n}`));
    const isLed = (leader: number): boolean => brokers.includes(leader);
    const led = [...this.#leaders].filter(([, leader]) => isLed(leader)).map(([place]) => place);
    const alone = blow.isAlone ? "alone" : "among others";
    progress(`${blow.kind} ${blow.places.join(" ")} for ${blow.forMs} ms, ${alone}`);
    const kind = `${blow.kind}, ${alone}`;
    await this.#carryOut(blow, () => {
      this.blows.push({ kind, atMs: Date.now(), led: new Set(led) });
    });
  }

  #serverOf({ places }: PlannedBlow): Server {
    const { cluster } = this.#parts;
    if (places[0] === KEEPER) return cluster.keeper!;
    return cluster.broker(NODES.find((n) => places[0] === `n${n}`) ?? 1);
  }

  /** @param struck To be called at the moment from which on it is felt. */
  async #carryOut(blow: PlannedBlow, struck: () => void): Promise<void> {
    const { kind, places, forMs } = blow;
    const { disks } = this.#parts;
    const [first = "", second = ""] = places;
    const others = this.#parts.places.filter((place) => place !== first);
    const node = NODES.find((n) => first === `n${n}`) ?? 0;
    const server = this.#serverOf(blow);
    switch (kind) {
      case "kill":
      case "keeper_kill":
        return await this.#holding(server, async () => {
          struck();
          await server.kill();
          await pause(forMs);
          await server.start();
        });
      case "term":
        return await this.#holding(server, async () => {
          struck();
          this.shutdowns.push(await server.stop());
          await pause(forMs);
          await server.start();
        });
      case "stall":
        server.stall();
        struck();
        await pause(forMs);
        server.resume();
        return;
      case "disk_full": {
        const disk = disks.get(node)!;
        return await this.#holding(server, async () => {
          disk.fill(this.#random.below(SPARE_BYTES_MAX));
          struck();
          const hasEnded = await server.endsWithin(forMs);
          this.#parts.progress(`${server.name} ${hasEnded ? "ended" : "goes on"}, its disk full`);
          disk.free();
          if (!server.isRunning) await server.start();
        });
      }
      case "isolate":
        return await this.#cutting(
          others.flatMap((other) => [
            [first, other],
            [other, first],
          ]),
          forMs,
          struck,
        );
      case "cut":
        return await this.#cutting(
          [
            [first, second],
            [second, first],
          ],
          forMs,
          struck,
        );
      case "cut_one_way":
        return await this.#cutting([[first, second]], forMs, struck);
    }
  }

  async #cutting(
    pairs: readonly (readonly string[])[],
    forMs: number,
    struck: () => void,
  ): Promise<void> {
    const { net } = this.#parts;
    for (const [from, to] of pairs) net.cut(from!, to!);
    struck();
    await pause(forMs);
    for (const [from, to] of pairs) net.heal(from!, to!);
  }
}
