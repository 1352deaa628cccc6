// One group on one topic of six partitions while data flows: members come and go, and what they own, read and commit
// is judged. Invariant: what was produced and acknowledged is read at least once, whoever owns its partition.
import { connect } from "../../../mod.ts";
import type { Client, Producer } from "../../../src/client/mod.ts";
import { committedOffsets, memberCount } from "./committed.ts";
import type { Host, Listener, Member, MemberOptions } from "./host.ts";

export const PARTITIONS = 6;
const SEND_EVERY_MS = 20;
/** So long the sharing has to stay as it is before it counts as settled. */
const STILL_MS = 300;

export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Waits until holds() is true. @throws {Error} that says what was waited for, and how things stand */
export async function until(holds: () => boolean, withinMs: number, what: () => string) {
  const deadline = Date.now() + withinMs;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`waited ${withinMs} ms in vain: ${what()}`);
    await pause(10);
  }
}

export interface RunOptions {
  readonly host: Host;
  readonly bootstrap: string;
  readonly group: string;
  /** What every member joins with. */
  readonly common: MemberOptions;
  /** The client says neither what it owns nor what it lost: who reads a partition owns it. */
  readonly infersOwners?: boolean;
  /** The client commits what it has not handed out when it is told to end: nothing may be under way then. */
  readonly leavesQuietly?: boolean;
  /** A partition must have left its old owner before its new one is told. */
  readonly isStrict?: boolean;
  /** A settled group within so many ms. */
  readonly settleMs: number;
}

export class GroupRun {
  readonly topic: string;
  readonly members: Member[] = [];
  /** End of each partition: what was acknowledged. */
  readonly ends: number[] = new Array(PARTITIONS).fill(0);
  /** Two owners of one partition at one time, as the clients told it. */
  readonly overlaps: string[] = [];
  /** Records that were handed out more than once: allowed, and told. */
  repeats = 0;
  readonly #given: RunOptions;
  readonly #read: Set<number>[] = Array.from({ length: PARTITIONS }, () => new Set());
  readonly #readers: (Member | undefined)[] = new Array(PARTITIONS).fill(undefined);
  readonly #newest: number[] = new Array(PARTITIONS).fill(-1);
  #client!: Client;
  #producer!: Producer;
  #isFlowing = false;
  #flow: Promise<void> = Promise.resolve();
  #serial = 0;

  constructor(given: RunOptions) {
    this.#given = given;
    this.topic = `${given.group}-topic`;
  }

  async open(): Promise<void> {
    this.#client = await connect(`kafka://${this.#given.bootstrap}`);
    await this.#client.admin.createTopic({
      name: this.topic,
      partitions: PARTITIONS,
      replicationFactor: 1,
    });
    this.#producer = this.#client.producer();
    // some clients give up on a topic or a coordinator that is not there yet
    await this.produce(PARTITIONS);
    await committedOffsets(this.#given.bootstrap, this.#given.group, this.topic, PARTITIONS);
  }

  async close(): Promise<void> {
    this.#isFlowing = false;
    await this.#flow.catch(() => {});
    for (const member of this.members) this.#given.host.leave(member);
    await this.#client?.close(1000);
  }

  /** Sends records all the time, to every partition in turn. */
  startFlow(): void {
    this.#isFlowing = true;
    this.#flow = (async () => {
      for (let n = 0; this.#isFlowing; n++) {
        await this.#send(n % PARTITIONS);
        await pause(SEND_EVERY_MS);
      }
    })();
  }

  async stopFlow(): Promise<void> {
    this.#isFlowing = false;
    await this.#flow;
  }

  async produce(count: number): Promise<void> {
    for (let n = 0; n < count; n++) await this.#send(n % PARTITIONS);
  }

  async #send(partition: number): Promise<void> {
    const value = `${partition}:${this.ends[partition]}`;
    const { offset } = await this.#producer.send({ topic: this.topic, partition, value });
    this.ends[partition] = offset + 1;
  }

  join(options: MemberOptions = {}, host: Host = this.#given.host): Member {
    const listener: Listener = {
      record: (member, partition, offset) => {
        if (this.#read[partition]!.has(offset)) this.repeats++;
        this.#read[partition]!.add(offset);
        this.#readers[partition] = member;
        this.#newest[partition] = offset;
      },
      assigned: (member) => {
        for (const other of this.members) {
          if (other === member || other.isDead || other.hasLeft) continue;
          for (const partition of member.owned!) {
            if (other.owned?.has(partition) === true)
              this.overlaps.push(`${partition}: ${other.name} and ${member.name}`);
          }
        }
      },
    };
    const name = `${this.#given.group}-m${this.#serial++}`;
    const all = { group: this.#given.group, topic: this.topic, ...this.#given.common, ...options };
    const member = host.join(name, all, listener);
    this.members.push(member);
    return member;
  }

  async leave(member: Member, host: Host = this.#given.host): Promise<void> {
    this.members.splice(this.members.indexOf(member), 1);
    host.leave(member);
    await until(
      () => member.hasLeft || member.isDead,
      20_000,
      () => `${member.name} did not leave`,
    );
    if (member.failure !== "") throw new Error(`${member.name}: ${member.failure}`);
  }

  /** Takes members of a killed process away. */
  forget(member: Member): void {
    member.isDead = true;
    this.members.splice(this.members.indexOf(member), 1);
  }

  async resize(count: number): Promise<void> {
    while (this.members.length < count) this.join();
    const leaving = this.members.slice(count);
    const isHeld = this.#given.leavesQuietly === true && this.#isFlowing && leaving.length > 0;
    if (isHeld) {
      await this.stopFlow();
      await this.allRead();
    }
    await Promise.all(leaving.map((member) => this.leave(member)));
    if (isHeld) this.startFlow();
  }

  /** How many partitions each member owns, the most first; null while they do not share all of them. */
  #shares(): number[] | null {
    const owners = this.members.map(() => 0);
    const taken = new Set<number>();
    if (this.#given.infersOwners === true) {
      for (const reader of this.#readers) {
        const at = reader === undefined ? -1 : this.members.indexOf(reader);
        if (at < 0) return null;
        owners[at]!++;
      }
      return owners.sort((a, b) => b - a);
    }
    for (const [n, { owned }] of this.members.entries()) {
      // librdkafka does not tell a member of the newer protocol that it owns nothing: the broker counts those
      if (owned === null && this.members.length <= PARTITIONS) return null;
      for (const partition of owned ?? []) {
        if (taken.has(partition)) return null;
        taken.add(partition);
      }
      owners[n] = owned?.size ?? 0;
    }
    return taken.size === PARTITIONS ? owners.sort((a, b) => b - a) : null;
  }

  #standing(): string {
    const members = this.members.map(
      (each) =>
        `${each.name}:${each.owned === null ? "?" : [...each.owned].join("+")}${each.failure === "" ? "" : ` (${each.failure})`}`,
    );
    return members.join(" ").slice(0, 600);
  }

  /** Waits until the members share the partitions evenly, for a while, and each owner reads what is produced. */
  async settled(shares: readonly number[] = evenShares(this.members.length)): Promise<number> {
    const began = Date.now();
    const deadline = began + this.#given.settleMs;
    let stillSince = 0;
    let newest = this.#newest.slice();
    if (this.#given.infersOwners === true) this.#readers.fill(undefined);
    for (;;) {
      const failed = this.members.find((each) => each.failure !== "");
      if (failed !== undefined) throw new Error(`${failed.name}: ${failed.failure}`);
      const found = this.#shares();
      const isRight = found !== null && found.join() === shares.join();
      if (!isRight) stillSince = 0;
      else if (stillSince === 0) {
        stillSince = Date.now();
        newest = this.#newest.slice();
      } else if (Date.now() - stillSince >= STILL_MS && this.#flowsPast(newest)) {
        const counted = await memberCount(this.#given.bootstrap, this.#given.group);
        if (counted === this.members.length) return stillSince - began;
      }
      if (Date.now() > deadline) {
        throw new Error(
          `${this.members.length} members did not settle at ${shares.join()} in ${this.#given.settleMs} ms: shares ${found?.join() ?? "none"}; ${this.#standing()}`,
        );
      }
      await pause(10);
    }
  }

  #flowsPast(newest: readonly number[]): boolean {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      if (this.#isFlowing && this.#newest[partition]! <= newest[partition]!) return false;
      const reader = this.#readers[partition];
      if (this.#given.infersOwners !== true && this.#isFlowing) {
        if (reader?.owned?.has(partition) !== true) return false;
      }
    }
    return true;
  }

  /** Waits until every record that was produced has been read. */
  async allRead(): Promise<void> {
    const left = () => this.ends.map((end, partition) => end - this.#read[partition]!.size);
    await until(
      () => left().every((each) => each === 0),
      20_000,
      () => `unread by partition: ${left().join()}; ${this.#standing()}`,
    );
  }

  /** The committed offsets are the ends of the partitions. */
  async committedAll(): Promise<void> {
    const found = await committedOffsets(
      this.#given.bootstrap,
      this.#given.group,
      this.topic,
      PARTITIONS,
    );
    if (found.join() !== this.ends.join())
      throw new Error(`committed ${found.join()}, not ${this.ends.join()}`);
  }

  /** What was read is forgotten: from here on only what comes after the committed offsets may be read. */
  forgetRead(): void {
    for (const [partition, read] of this.#read.entries()) {
      for (let offset = 0; offset < this.ends[partition]!; offset++) read.add(offset);
    }
    this.repeats = 0;
  }

  notTwice(): void {
    if (this.overlaps.length > 0 && this.#given.isStrict === true)
      throw new Error(`partitions with two owners: ${this.overlaps.slice(0, 5).join("; ")}`);
  }
}

/** Six partitions among so many members. */
export function evenShares(members: number): number[] {
  return Array.from(
    { length: members },
    (_, n) => Math.floor(PARTITIONS / members) + (n < PARTITIONS % members ? 1 : 0),
  );
}
