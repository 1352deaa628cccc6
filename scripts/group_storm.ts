// A storm on one group: members join, leave, die without a word and come back, the broker is killed with -9 meanwhile.
// Checked: no partition has two owners in one epoch, or at one time; no acknowledged commit is lost, goes back or is made
// by who no longer owns the partition; after the storm the group settles within two session time-outs.
//   bun scripts/group_storm.ts [--protocol both|classic|consumer] [--seconds 120] [--members 200] [--partitions 240]
//                              [--rate 15] [--kills 2] [--session 3000] [--runtime bun|deno|kafka] [--seed N]
// Prints "ok name" and "not ok name why"; the last line is "N passed, N failed".
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { connect } from "../mod.ts";
import { SeededRandom } from "../src/base/prng.ts";
import { committedOffsets } from "../test/compat/groups/committed.ts";
import { KillableBroker } from "../test/compat/killable_broker.ts";
import { ClassicMember } from "./group_storm/classic_member.ts";
import { ConsumerMember } from "./group_storm/consumer_member.ts";
import { Ledger } from "./group_storm/ledger.ts";
import type { GroupPlace, StormMember } from "./group_storm/member.ts";
import { answerHelp } from "./usage.ts";
import { endWithVerdicts, told, toldError } from "./verdicts.ts";

answerHelp(import.meta.url);

const { values: flags } = parseArgs({
  options: {
    protocol: { type: "string", default: "both" },
    seconds: { type: "string", default: "120" },
    members: { type: "string", default: "200" },
    partitions: { type: "string", default: "240" },
    rate: { type: "string", default: "15" },
    kills: { type: "string", default: "2" },
    session: { type: "string", default: "3000" },
    runtime: { type: "string", default: "bun" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
  },
});
const sessionMs = Number(flags.session);
const heartbeatMs = 400;
const partitions = Number(flags.partitions);
const slotCount = Number(flags.members);

/** The same for the same seed; the moments stay the machine's. */
const random = SeededRandom.of(flags.seed);

// --- the broker ----------------------------------------------------------------------------------------------------

const folder = mkdtempSync(join(tmpdir(), "millrace-storm-"));
for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => process.exit(130));

const broker = await KillableBroker.at(
  join(folder, "broker"),
  [
    "offsets.topic.num.partitions=3",
    "group.initial.rebalance.delay.ms=100",
    "group.min.session.timeout.ms=1000",
    "group.consumer.min.session.timeout.ms=1000",
    `group.consumer.session.timeout.ms=${sessionMs}`,
    "group.consumer.min.heartbeat.interval.ms=100",
    `group.consumer.heartbeat.interval.ms=${heartbeatMs}`,
  ],
  { RUNTIME: flags.runtime, KAFKA_HEAP: "512m" },
);
const { bootstrap } = broker;

// --- the storm -----------------------------------------------------------------------------------------------------

type Protocol = "classic" | "consumer";

class Storm {
  readonly #place: GroupPlace;
  readonly #protocol: Protocol;
  readonly #slots: (StormMember | undefined)[] = new Array(slotCount).fill(undefined);
  readonly #errors = new Map<string, number>();
  #serial = 0;
  actions = 0;

  constructor(place: GroupPlace, protocol: Protocol) {
    this.#place = place;
    this.#protocol = protocol;
  }

  /** Every fifth slot is a static member. */
  #instanceOf(slot: number): string | null {
    return slot % 5 === 0 ? `static-${slot}` : null;
  }

  join(slot: number): void {
    const Kind = this.#protocol === "classic" ? ClassicMember : ConsumerMember;
    const member = new Kind(this.#place, `m${this.#serial++}`, this.#instanceOf(slot));
    this.#slots[slot] = member;
    member.start();
  }

  async #remove(slot: number, how: "leave" | "stay" | "bury"): Promise<void> {
    const member = this.#slots[slot]!;
    this.#slots[slot] = undefined;
    if (how === "bury") await member.bury();
    else await member.leave(how === "stay");
    this.#tally(member);
  }

  #tally(member: StormMember): void {
    for (const [what, times] of member.errors)
      this.#errors.set(what, (this.#errors.get(what) ?? 0) + times);
  }

  /** One thing that happens to one slot. */
  act(slot: number): Promise<void> | undefined {
    this.actions++;
    const member = this.#slots[slot];
    if (member === undefined) this.join(slot);
    else if (member.isSilent) {
      if (random.below(2) === 0) member.comeBack();
      else {
        // its successor comes at once, while the broker still knows it
        const buried = this.#remove(slot, "bury");
        this.join(slot);
        return buried;
      }
    } else if (random.below(2) === 0) member.dieWithoutAWord(random.below(2) === 0);
    else
      return this.#remove(
        slot,
        member.instance !== null && random.below(2) === 0 ? "stay" : "leave",
      );
    return undefined;
  }

  /** Every slot has a member that is well. */
  async calm(): Promise<void> {
    const buried: Promise<void>[] = [];
    for (let slot = 0; slot < slotCount; slot++) {
      if (this.#slots[slot]?.isSilent === true) buried.push(this.#remove(slot, "bury"));
      if (this.#slots[slot] === undefined) this.join(slot);
    }
    await Promise.all(buried);
  }

  /** Why it is not settled; undefined when it is. */
  unsettled(): string | undefined {
    const members = this.#slots as StormMember[];
    const epochs = new Set(members.map((each) => each.epoch));
    const owned = members.flatMap((each) => [...each.owned]);
    const unstable = members.filter((each) => !each.isStable).length;
    if (unstable > 0) return `${unstable} members are not in`;
    if (epochs.size > 1) return `epochs ${[...epochs].slice(0, 5).join()}`;
    if (owned.length !== partitions || new Set(owned).size !== partitions)
      return `${owned.length} of ${partitions} partitions owned`;
    const shares = members.map((each) => each.owned.size);
    if (Math.max(...shares) - Math.min(...shares) > 1)
      return `shares of ${Math.min(...shares)} to ${Math.max(...shares)}`;
    return undefined;
  }

  async end(): Promise<string> {
    await Promise.all(
      this.#slots.map((each, slot) =>
        each === undefined ? undefined : this.#remove(slot, "leave"),
      ),
    );
    const errors = [...this.#errors].sort((a, b) => b[1] - a[1]).slice(0, 12);
    return errors.map(([what, times]) => `${what}: ${times}`).join(", ");
  }
}

async function settle(storm: Storm, withinMs: number): Promise<number | string> {
  const began = Date.now();
  for (;;) {
    const why = storm.unsettled();
    if (why === undefined) return Date.now() - began;
    if (Date.now() - began > withinMs) return why;
    await pause(20);
  }
}

async function committedHolds(place: GroupPlace): Promise<{ why?: string; found: number[] }> {
  const before = place.ledger.acked.slice();
  const found = await committedOffsets(bootstrap, place.group, place.topic, partitions);
  const lost = before.findIndex((acked, partition) => found[partition]! < acked);
  if (lost < 0) return { found };
  return { found, why: `partition ${lost}: ${found[lost]} where ${before[lost]} was acknowledged` };
}

async function stormOf(protocol: Protocol): Promise<void> {
  const name = `${protocol}_storm`;
  const topic = `${protocol}-storm`;
  const client = await connect(`kafka://${bootstrap}`);
  const made = await client.admin.createTopic({ name: topic, partitions, replicationFactor: 1 });
  await client.close();
  const place: GroupPlace = {
    bootstrap,
    group: `${protocol}-storm-group`,
    topic,
    topicId: made.topicId!,
    partitions,
    ledger: new Ledger(partitions, sessionMs),
    sessionMs,
    heartbeatMs,
  };
  await committedHolds(place); // the coordinator is there
  const storm = new Storm(place, protocol);
  for (let slot = 0; slot < slotCount; slot++) storm.join(slot);
  const first = await settle(storm, 60_000);
  told(`${name}_starts`, typeof first === "string" ? first : undefined, ` (${first} ms)`);

  const { ledger } = place;
  const leaving: Promise<void>[] = [];
  const lengthMs = Number(flags.seconds) * 1000;
  const kills = Number(flags.kills);
  const began = Date.now();
  let killed = 0;
  while (Date.now() - began < lengthMs) {
    if (killed < kills && Date.now() - began > ((killed + 1) * lengthMs) / (kills + 1)) {
      killed++;
      await broker.kill();
      await broker.start();
      const { why } = await committedHolds(place);
      told(`${name}_commits_after_kill_${killed}`, why, ` (${ledger.commits} commits so far)`);
    }
    const left = storm.act(random.below(slotCount));
    if (left !== undefined) leaving.push(left);
    await pause(1000 / Number(flags.rate));
  }
  await Promise.all([storm.calm(), ...leaving]);
  const settledMs = await settle(storm, 2 * sessionMs);
  const settled = ` (${settledMs} ms of ${2 * sessionMs}; ${storm.actions} actions, ${ledger.epochs} epochs)`;
  told(`${name}_settles`, typeof settledMs === "string" ? settledMs : undefined, settled);
  const commitsAtEnd = ledger.commits;
  await pause(3 * heartbeatMs);
  const isQuiet = ledger.commits > commitsAtEnd;
  told(`${name}_goes_on`, isQuiet ? undefined : "no commit came through afterwards");
  const errors = await storm.end();
  const last = await committedHolds(place);
  told(`${name}_no_commit_is_lost`, last.why, ` (${ledger.commits} commits)`);
  await broker.kill();
  await broker.start();
  const again = await committedHolds(place);
  const isSame = again.found.join() === last.found.join();
  told(
    `${name}_commits_outlive_kill_9`,
    again.why ?? (isSame ? undefined : "other offsets than before"),
  );
  const { violations } = ledger;
  told(
    `${name}_one_owner_and_no_way_back`,
    violations.length === 0
      ? undefined
      : `${violations.length}: ${violations.slice(0, 4).join("; ")}`,
  );
  console.log(
    `# ${name}: ${ledger.expired} partitions taken from members that were too slow; answers of refusal: ${errors}`,
  );
}

console.log(`# seed ${flags.seed}, ${flags.runtime}, ${slotCount} members, ${flags.seconds} s`);
try {
  await broker.start();
  for (const protocol of ["classic", "consumer"] as const) {
    if (flags.protocol !== "both" && flags.protocol !== protocol) continue;
    await stormOf(protocol);
  }
} catch (error) {
  toldError("storm", error);
}
await broker.kill().catch(() => {});
rmSync(folder, { recursive: true, force: true });
endWithVerdicts();
