// What the members of one simulated group were told, and what must hold of it: nobody else owns a partition in the same
// epoch, and no committed offset that was acknowledged, or read, goes back.
// A commit whose answer was lost may still arrive: its member never speaks under that name again (sim_member.ts).

import type { History } from "./history.ts";
import type { World } from "./world.ts";

const OWNERS = "one_owner_per_epoch";
const OFFSETS = "committed_offsets_stay";

export interface GroupPlan {
  readonly groupId: string;
  readonly protocol: "classic" | "consumer";
  readonly topic: string;
  readonly partitionCount: number;
  readonly memberCount: number;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly heartbeatUs: number;
}

export class GroupHistory {
  readonly plan: GroupPlan;
  /** Set once the topic is made. */
  topicId = "";
  readonly #world: World;
  readonly #history: History;
  /** Per partition: the least that is committed, by what was acknowledged or read. */
  readonly #floors: number[];
  /** Per partition: the most that was ever sent. */
  readonly #sent: number[];
  /** Member id by "epoch/partition". */
  readonly #owners = new Map<string, string>();
  /** What each live member believes to own now. */
  readonly #held = new Map<string, { readonly epoch: number; readonly partitions: Set<number> }>();

  constructor(plan: GroupPlan, world: World, history: History) {
    this.plan = plan;
    this.#world = world;
    this.#history = history;
    this.#floors = new Array<number>(plan.partitionCount).fill(-1);
    this.#sent = new Array<number>(plan.partitionCount).fill(-1);
  }

  /** Nothing is judged once synced bits were flipped on purpose. */
  get isJudged(): boolean {
    return !this.#history.hasFlippedBits;
  }

  /** A member was told that it owns these, and nothing else, in that epoch or generation. */
  owned(memberId: string, epoch: number, partitions: readonly number[]): void {
    const { groupId } = this.plan;
    this.#world.say(() => `${groupId}: ${memberId} owns ${partitions.join(",")} in ${epoch}`);
    for (const partition of partitions) {
      const key = `${epoch}/${partition}`;
      const other = this.#owners.get(key);
      if (other !== undefined && other !== memberId && this.isJudged) {
        this.#world.fail(
          OWNERS,
          `${groupId}: ${memberId} and ${other} own ${partition} in epoch ${epoch}`,
        );
      }
      this.#owners.set(key, memberId);
    }
    this.#held.set(memberId, { epoch, partitions: new Set(partitions) });
  }

  /** The member has nothing any more: it left, was fenced, or gave up everything to join again. */
  released(memberId: string): void {
    this.#held.delete(memberId);
  }

  /** Every partition is owned by one of that many live members. */
  isSettled(memberCount: number): boolean {
    if (this.#held.size !== memberCount) return false;
    const all = [...this.#held.values()].flatMap(({ partitions }) => [...partitions]);
    return all.length === this.plan.partitionCount && new Set(all).size === all.length;
  }

  /** What must be found by a fetch that is sent now. */
  floorOf(partition: number): number {
    return this.#floors[partition]!;
  }

  committing(partition: number, offset: number): void {
    this.#sent[partition] = Math.max(this.#sent[partition]!, offset);
  }

  committed(partition: number, offset: number): void {
    this.#history.counts.acked++;
    this.#floors[partition] = Math.max(this.#floors[partition]!, offset);
  }

  /** @param floor Of the partition when the fetch was sent. */
  fetched(partition: number, offset: number, floor: number): void {
    const where = `${this.plan.groupId}: partition ${partition}`;
    this.#world.say(() => `${where} is committed at ${offset}`);
    if (!this.isJudged) return;
    this.#history.counts.read++;
    if (offset < floor) {
      this.#world.fail(OFFSETS, `${where} was committed at ${floor}, and is at ${offset}`);
    }
    if (offset > this.#sent[partition]!) {
      this.#world.fail(OFFSETS, `${where} is at ${offset}, which nobody committed`);
    }
    this.#floors[partition] = Math.max(this.#floors[partition]!, offset);
  }
}
