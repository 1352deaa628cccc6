// Seeded lives of groups: members of both protocols join, leave, die, come back, read other topics; topics grow and go;
// the shard is dropped and loaded in the middle. At every step no partition has two owners, what was written says all,
// and when everybody goes on for a while the group is where it should be.

import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../../../src/base/prng.ts";
import { isFullTestRun } from "../../../../support/test_scale.ts";
import { replayAfterEach } from "../../shard_rig.ts";
import { ClassicClient } from "./classic_client.ts";
import { ConsumerRig, TestMember } from "./consumer_rig.ts";

replayAfterEach();

const SEEDS = isFullTestRun ? 300 : 15;
const MIXED_SEEDS = isFullTestRun ? 150 : 8;
/** In one test. */
const SEEDS_AT_ONCE = 3;
const STEPS = 120;

class Life {
  readonly random: SeededRandom;
  readonly rig: ConsumerRig;
  members: TestMember[] = [];
  readonly withRegexes: boolean;
  #ids = 0;

  constructor(seed: number) {
    this.random = SeededRandom.of(`life ${seed}`);
    this.withRegexes = seed % 2 === 0;
    this.rig = new ConsumerRig({
      seed,
      settings: {
        consumerAssignmentIntervalMs: () => (seed % 5 === 0 ? 2_000 : 0),
        regexRefreshMs: 30_000,
      },
    });
    for (const name of ["t1", "t2", "u1"]) this.rig.topics.create(name, 1 + this.random.below(6));
  }

  step(): void {
    const { random, rig } = this;
    const member = this.members[random.below(Math.max(this.members.length, 1))];
    switch (random.below(18)) {
      case 0:
      case 1:
        if (this.members.length < 8) this.#join();
        break;
      case 2:
        if (member !== undefined) this.#leave(member);
        break;
      case 3:
        // Dies without a word.
        if (member !== undefined && random.below(2) === 0) this.#forget(member);
        break;
      case 4:
        if (member !== undefined) member.subscribe(this.#topics(), this.#regex());
        break;
      case 5:
        if (member !== undefined) {
          if (member.isBusy) member.finish();
          else member.isBusy = true;
        }
        break;
      case 6:
        this.#changeTopics();
        break;
      case 7:
        if (random.below(3) === 0) rig.reload();
        break;
      case 8:
        rig.advance(random.below(20_000));
        break;
      case 9:
        // Its answer is lost.
        member?.heartbeatInVain();
        break;
      default:
        member?.heartbeat();
        rig.advance(random.below(300));
    }
    rig.checkOwners();
    this.checkClients();
  }

  /** Two live members that both believe in the same partition: one of them has not been fenced in time. */
  checkClients(): void {
    const group = this.rig.subject.groups.get("g");
    if (group?.type !== "consumer") return;
    const owners = new Map<string, string>();
    for (const member of this.members) {
      // One that was put out and does not know yet is a zombie: its commits are refused.
      const known = this.rig.group().members.get(member.memberId);
      if (known === undefined || member.epoch < 1 || known.memberEpoch < 0) continue;
      for (const partition of member.owned) {
        const also = owners.get(partition);
        if (also !== undefined) throw new Error(`${partition}: ${member.memberId} and ${also}`);
        owners.set(partition, member.memberId);
      }
    }
  }

  /** Everybody does what it should, for two session timeouts at most. */
  settle(): void {
    for (const member of this.members) member.finish();
    for (let round = 0; round < 50; round++) {
      for (const member of this.members) {
        member.heartbeat();
        this.rig.checkOwners();
        this.checkClients();
      }
      // First as in quiet times, until those that died are put out.
      this.rig.advance(round < 20 ? 5_000 : 500);
    }
    if (this.members.length === 0) return;
    const group = this.rig.group();
    expect(group.state).toBe("Stable");
    expect([...group.members.keys()].sort()).toEqual(
      this.members.map(({ memberId }) => memberId).sort(),
    );
    // Every partition that somebody reads is read.
    const owned = this.members.flatMap((member) => [...member.owned]).sort();
    const wanted: string[] = [];
    for (const name of group.subscriptions.topics.keys()) {
      const topic = this.rig.topics.named(name);
      if (topic === null) continue;
      for (let partition = 0; partition < topic.partitionCount; partition++) {
        wanted.push(`${topic.id} ${partition}`);
      }
    }
    expect(owned).toEqual(wanted.sort());
  }

  #join(): void {
    const { random } = this;
    const id = this.#ids++;
    const instanceId = random.below(3) === 0 ? `i${random.below(3)}` : null;
    // A static name is taken by one member at a time, as by one process.
    if (this.members.some((member) => instanceId !== null && member.instanceId === instanceId)) {
      return;
    }
    const regex = this.#regex();
    const member = new TestMember(this.rig, {
      memberId: `m${id}`,
      instanceId,
      regex,
      topics: regex === null ? this.#topics() : [],
      assignor: [null, "uniform", "range"][random.below(3)]!,
    });
    this.members.push(member);
    member.heartbeat();
  }

  #leave(member: TestMember): void {
    member.leave(member.instanceId !== null && this.random.below(2) === 0);
    this.#forget(member);
  }

  #forget(member: TestMember): void {
    this.members = this.members.filter((each) => each !== member);
    // What has its static name is dead for good only when its session is over.
    if (member.instanceId !== null) this.rig.advance(50_000);
  }

  #topics(): string[] {
    return ["t1", "t2", "u1"].filter(() => this.random.below(3) > 0);
  }

  #regex(): string | null {
    if (!this.withRegexes || this.random.below(2) === 0) return null;
    return ["t.*", "u.*", ".*1", "(t|u)[12]"][this.random.below(4)]!;
  }

  #changeTopics(): void {
    const { topics } = this.rig;
    const name = ["t1", "t2", "u1", "t3"][this.random.below(4)]!;
    const topic = topics.named(name);
    if (topic === null) topics.create(name, 1 + this.random.below(5));
    else if (this.random.below(3) > 0) topics.grow(name, topic.partitionCount + 1);
    else topics.delete(name);
  }
}

describe("lives of groups", () => {
  for (let first = 0; first < SEEDS; first += SEEDS_AT_ONCE) {
    test(`seeds ${first} to ${first + SEEDS_AT_ONCE - 1}`, () => {
      for (let seed = first; seed < first + SEEDS_AT_ONCE; seed++) {
        const life = new Life(seed);
        for (let step = 0; step < STEPS; step++) {
          life.step();
          if (step % 40 === 39) life.rig.checkReplay();
        }
        life.settle();
        life.rig.checkReplay();
      }
    });
  }
});

describe("lives of groups between the protocols", () => {
  for (let first = 0; first < MIXED_SEEDS; first += SEEDS_AT_ONCE) {
    test(`seeds ${first} to ${first + SEEDS_AT_ONCE - 1}`, () => {
      for (let seed = first; seed < first + SEEDS_AT_ONCE; seed++) mixedLife(seed);
    });
  }
});

/** Classic members come by rolling restarts of the same group, and go again. */
function mixedLife(seed: number): void {
  const random = SeededRandom.of(`mixed ${seed}`);
  const rig = new ConsumerRig({ seed, settings: { initialRebalanceDelayMs: 0 } });
  rig.topics.create("t", 6);
  let classic: ClassicClient[] = [];
  let members: TestMember[] = [];
  const drive = (byMs = 500) => {
    for (const client of classic) driveClassic(client);
    for (const member of members) member.heartbeat();
    rig.checkOwners();
    rig.advance(byMs);
  };
  for (let step = 0; step < 40; step++) {
    switch (random.below(6)) {
      case 0:
        if (classic.length < 4) classic.push(new ClassicClient(rig, { sessionTimeoutMs: 30_000 }));
        break;
      case 1:
        if (members.length < 4) members.push(new TestMember(rig, { memberId: `m${step}` }));
        break;
      case 2: {
        const client = classic.shift();
        if (client !== undefined && client.memberId !== "") client.leave();
        break;
      }
      case 3:
        members.shift()?.leave();
        break;
      case 4:
        if (random.below(4) === 0) rig.reload();
        break;
      default:
        rig.topics.grow(
          "t",
          rig.topics.named("t")!.partitionCount + (random.below(8) === 0 ? 1 : 0),
        );
    }
    for (let round = random.below(6); round > 0; round--) drive();
    rig.checkReplay();
  }
  classic = classic.slice(0, 2);
  members = members.slice(0, 2);
  // Whoever was dropped without a word is put out; the others go on.
  for (let round = 0; round < 80; round++) drive(round < 50 ? 2_500 : 500);
  const group = rig.subject.groups.get("g");
  if (members.length > 0) {
    expect(rig.group().state).toBe("Stable");
    const count = rig.topics.named("t")!.partitionCount;
    const owned = [
      ...classic.map((each) => each.owned.length),
      ...members.map((m) => m.owned.size),
    ];
    expect(owned.reduce((sum, each) => sum + each, 0)).toBe(count);
    expect(Math.max(...owned) - Math.min(...owned)).toBeLessThanOrEqual(1);
  } else if (classic.length > 0) {
    expect(group).toMatchObject({ memberCount: classic.length, stateName: "Stable" });
  }
  rig.checkReplay();
}

/** One beat of a classic client, whichever kind of group it is in: joins are given up when they wait. */
const parked = new WeakMap<ClassicClient, ReturnType<ClassicClient["join"]>>();
const syncing = new WeakMap<ClassicClient, ReturnType<ClassicClient["sync"]>>();

function driveClassic(client: ClassicClient): void {
  const join = parked.get(client);
  if (join !== undefined) {
    if (!hasAnswer(join)) {
      if (join.isDone) parked.delete(client);
      return;
    }
    parked.delete(client);
    if (client.joined(join).errorCode !== 0) {
      restart(client);
      return;
    }
    syncing.set(client, client.sync());
  }
  const sync = syncing.get(client);
  if (sync !== undefined) {
    if (!hasAnswer(sync)) {
      if (sync.isDone) syncing.delete(client);
      return;
    }
    syncing.delete(client);
    if (client.synced(sync).errorCode !== 0) parked.set(client, client.join());
    return;
  }
  if (client.generation === -1) {
    parked.set(client, client.join());
    return;
  }
  const { errorCode } = client.heartbeat();
  if (errorCode === 27) parked.set(client, client.join());
  else if (errorCode !== 0) restart(client);
}

function restart(client: ClassicClient): void {
  client.memberId = "";
  client.generation = -1;
  client.owned = [];
}

function hasAnswer(asked: { readonly isDone: boolean; readonly value: unknown }): boolean {
  try {
    return asked.isDone && asked.value !== undefined;
  } catch {
    return false;
  }
}
