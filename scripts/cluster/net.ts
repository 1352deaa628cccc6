// A network of its own for each process of a chaos run: Linux network namespaces that hang on one bridge, and cuts between any
// two of them, both ways or one way. Invariant: everything is below one prefix of names and is gone after close(), also when
// the program ends by an error. A cut is a wrong neighbour entry: what was sent goes nowhere and nobody is told, as on a
// cable that broke; connections stay open and go on when it is healed.

import { spawnSync } from "node:child_process";
import process from "node:process";

/** More would not fit the addresses below. */
const PLACES_MAX = 200;

/** Runs a command that has to work. @throws {Error} with what it said */
function must(...words: string[]): string {
  const done = spawnSync(words[0]!, words.slice(1), { encoding: "utf8" });
  if (done.error !== undefined || done.status !== 0) {
    const said = done.error?.message ?? done.stderr.trim();
    throw new Error(`Cannot run "${words.join(" ")}": ${said}`);
  }
  return done.stdout;
}

/** What stands in the way of namespaces on this machine, and what to do about it; undefined: nothing. */
export function whyNoNamespaces(): string | undefined {
  if (process.platform !== "linux") return "network namespaces need Linux";
  if (process.getuid?.() !== 0) return "network namespaces need root: run it as root";
  if (spawnSync("ip", ["-V"]).status !== 0) {
    return 'the command "ip" is missing: apt-get install iproute2';
  }
  const name = `mr${process.pid}probe`;
  const made = spawnSync("ip", ["netns", "add", name], { encoding: "utf8" });
  if (made.status !== 0) return `namespaces cannot be made here: ${made.stderr.trim()}`;
  const pair = ["-n", name, "link", "add", "veth0", "type", "veth", "peer", "name", "veth1"];
  const linked = spawnSync("ip", pair, { encoding: "utf8" });
  const bridged = spawnSync("ip", ["-n", name, "link", "add", "br0", "type", "bridge"]);
  spawnSync("ip", ["netns", "del", name]);
  if (linked.status === 0 && bridged.status === 0) return undefined;
  return `the kernel has no veth or bridge devices (modules veth, bridge): ${linked.stderr.trim()}`;
}

const NOBODY = "02:00:00:00:00:01";

/** Places that reach each other, and nothing else. */
export class Net {
  readonly #prefix = `mr${process.pid}`;
  readonly #places: readonly string[];
  #isOpen = true;

  /** @param places Names of at most 8 letters. @throws {Error} when the kernel refuses */
  constructor(places: readonly string[]) {
    if (places.length > PLACES_MAX) throw new Error(`at most ${PLACES_MAX} places`);
    this.#places = places;
    process.on("exit", () => this.close());
    const hub = this.#namespace("hub");
    must("ip", "netns", "add", hub);
    must("ip", "-n", hub, "link", "add", "br0", "type", "bridge");
    must("ip", "-n", hub, "link", "set", "br0", "up");
    for (const [index, place] of places.entries()) {
      const space = this.#namespace(place);
      const peer = ["peer", "name", "eth0", "address", this.#mac(index), "netns", space];
      must("ip", "netns", "add", space);
      must("ip", "-n", hub, "link", "add", `to${index}`, "type", "veth", ...peer);
      must("ip", "-n", hub, "link", "set", `to${index}`, "master", "br0", "up");
      must("ip", "-n", space, "link", "set", "lo", "up");
      must("ip", "-n", space, "link", "set", "eth0", "up");
      must("ip", "-n", space, "addr", "add", `${this.host(place)}/24`, "dev", "eth0");
    }
    for (const from of places) for (const to of places) if (from !== to) this.heal(from, to);
  }

  #namespace(place: string): string {
    return `${this.#prefix}${place}`;
  }

  #mac(index: number): string {
    return `02:00:00:00:01:${(index + 1).toString(16).padStart(2, "0")}`;
  }

  #index(place: string): number {
    const index = this.#places.indexOf(place);
    if (index < 0) throw new Error(`no place of the name ${place}`);
    return index;
  }

  #neighbour(from: string, to: string, mac: string): void {
    const entry = [this.host(to), "lladdr", mac, "dev", "eth0", "nud", "permanent"];
    must("ip", "-n", this.#namespace(from), "neigh", "replace", ...entry);
  }

  host(place: string): string {
    return `10.77.0.${this.#index(place) + 1}`;
  }

  /** A command as it runs in `place`. */
  inside(place: string, command: readonly string[]): string[] {
    return ["ip", "netns", "exec", this.#namespace(place), ...command];
  }

  /** From now on nothing that `from` sends reaches `to`; the other way is as it was. */
  cut(from: string, to: string): void {
    this.#neighbour(from, to, NOBODY);
  }

  heal(from: string, to: string): void {
    this.#neighbour(from, to, this.#mac(this.#index(to)));
  }

  /** Idempotent. What runs inside should have ended. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const place of [...this.#places, "hub"]) {
      spawnSync("ip", ["netns", "del", this.#namespace(place)]);
    }
  }
}
