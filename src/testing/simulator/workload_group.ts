// Groups of simulated members, of both protocols: what a seed draws of them, how they are started and ended, and what is
// asked of the broker at the very end.

import type { SeededRandom } from "../../base/prng.ts";
import { errorByCode } from "../../protocol/errors.ts";
import { OffsetFetch } from "../../protocol/messages/09_offset_fetch.ts";
import type { GroupHistory, GroupPlan } from "./group_history.ts";
import { SimClassicMember } from "./sim_classic_member.ts";
import type { SimClient } from "./sim_client.ts";
import { SimConsumerMember } from "./sim_consumer_member.ts";
import type { MemberOptions, SimMember } from "./sim_member.ts";

/** First version of OffsetFetch with groups, and without ids of topics. */
const FETCH_GROUPS_BY_NAME = 9;

/** One or two groups, each on a topic of its own. */
export function drawGroups(random: SeededRandom): readonly GroupPlan[] {
  const pick = <T>(values: readonly T[]): T => values[random.below(values.length)]!;
  return Array.from({ length: 1 + random.below(2) }, (_, i): GroupPlan => {
    return {
      groupId: `group-${i}`,
      protocol: pick(["classic", "consumer"] as const),
      topic: `group-topic-${i}`,
      partitionCount: 1 + random.below(6),
      memberCount: 1 + random.below(4),
      sessionTimeoutMs: pick([300, 2000]),
      rebalanceTimeoutMs: pick([500, 3000]),
      heartbeatUs: pick([20_000, 90_000]),
    };
  });
}

/** Times as short as a run is, and an internal topic that is soon worth cleaning. */
export function drawGroupSettings(
  random: SeededRandom,
): Readonly<Record<string, string | number | boolean>> {
  const pick = <T>(values: readonly T[]): T => values[random.below(values.length)]!;
  return {
    "offsets.topic.num.partitions": pick([1, 2, 5]),
    "offsets.topic.compression.codec": pick([0, 0, 2, 3]),
    "group.min.session.timeout.ms": 100,
    "group.initial.rebalance.delay.ms": pick([0, 100]),
    "group.consumer.min.session.timeout.ms": 100,
    "group.consumer.session.timeout.ms": pick([400, 2000]),
    "group.consumer.min.heartbeat.interval.ms": 10,
    "group.consumer.heartbeat.interval.ms": 50,
    "group.consumer.assignment.interval.ms": pick([0, 100]),
    "group.consumer.assignors": pick(["uniform,range", "range,uniform"]),
  };
}

export interface GroupWorkloadOptions {
  readonly group: GroupHistory;
  readonly random: SeededRandom;
  readonly clientOf: (name: string) => SimClient;
  readonly spawn: (name: string, task: () => Promise<void>) => void;
  /** The faults have ended. */
  readonly mustStop: () => boolean;
}

/** The members of one group. Done when the group has settled after the faults, and all have gone. */
export class GroupWorkload {
  readonly group: GroupHistory;
  readonly #members: readonly SimMember[];
  readonly #mustStop: () => boolean;
  #isOver = false;

  constructor({ group, random, clientOf, spawn, mustStop }: GroupWorkloadOptions) {
    this.group = group;
    this.#mustStop = mustStop;
    const { groupId, protocol, memberCount } = group.plan;
    this.#members = Array.from({ length: memberCount }, (_, i) => {
      const name = `${groupId}-member-${i}`;
      const options: MemberOptions = {
        client: clientOf(name),
        group,
        random: random.fork(name),
        mustSettle: mustStop,
        isOver: () => this.#isOver,
      };
      const member =
        protocol === "classic" ? new SimClassicMember(options) : new SimConsumerMember(options);
      spawn(name, () => member.run());
      return member;
    });
  }

  isDone(): boolean {
    const { group } = this;
    if (!this.#mustStop()) return false;
    this.#isOver ||= group.isSettled(this.#members.length) || !group.isJudged;
    return this.#isOver && (!group.isJudged || this.#members.every((member) => member.isDone));
  }
}

/** Asks for all offsets of the group once more. Coordinators may still be loading. */
export async function auditGroup(client: SimClient, group: GroupHistory): Promise<void> {
  const { groupId, topic, partitionCount } = group.plan;
  await client.persist(async (connection) => {
    const { groups } = await connection.request(OffsetFetch, FETCH_GROUPS_BY_NAME, {
      groups: [{ groupId, topics: null }],
      requireStable: true,
    });
    const code = errorByCode(groups[0]!.errorCode)?.code;
    if (code === "coordinator_load_in_progress") return "again";
    if (code !== undefined) {
      if (group.isJudged) client.world.fail("audit_answers", `offsets of ${groupId}: ${code}`);
      return null;
    }
    const rows = groups[0]!.topics.find((each) => each.name === topic)?.partitions ?? [];
    const found = new Map(rows.map((each) => [each.partitionIndex, each.committedOffset]));
    for (let partition = 0; partition < partitionCount; partition++) {
      group.fetched(partition, found.get(partition) ?? -1, group.floorOf(partition));
    }
    return null;
  });
}
