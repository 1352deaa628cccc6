// Who reads what, computed by the leader of a classic group, in the ways that Java's clients know by these names.
// Invariant: every partition of a topic that somebody subscribes to goes to exactly one of its subscribers;
// the same members, in whatever order, get the same assignment.
// Kafka: RangeAssignor, RoundRobinAssignor, CooperativeStickyAssignor, AbstractPartitionAssignor.

import type { MemberSubscription } from "./consumer_protocol.ts";
import type { AssignorName } from "./group_options.ts";
import { byPlace, keyOf, type TopicPartition } from "./partition_key.ts";
import { sticky } from "./sticky_assignor.ts";

/** Partitions of each member, by member id. */
export type Assignments = Map<string, TopicPartition[]>;

/** Number of partitions of each topic that is there. */
export type PartitionCounts = ReadonlyMap<string, number>;

/** Whether members keep what they have while the group rebalances. */
export function isCooperative(assignors: readonly AssignorName[]): boolean {
  // As Java: all of them have to be able to, since the group may choose any.
  return assignors.every((name) => name === "cooperative-sticky");
}

/** Assigns by the assignor that the group has chosen. */
export function assign(
  name: AssignorName,
  members: readonly MemberSubscription[],
  counts: PartitionCounts,
): Assignments {
  const sorted = [...members].sort(byMember);
  if (name === "range") return range(sorted, counts);
  if (name === "roundrobin") return roundRobin(sorted, counts);
  return withoutMoving(sticky(sorted, counts), sorted);
}

/** Static members first, by their names; the others by their ids. */
function byMember(a: MemberSubscription, b: MemberSubscription): number {
  if (a.instanceId !== null && b.instanceId !== null) return a.instanceId < b.instanceId ? -1 : 1;
  if (a.instanceId !== null) return -1;
  if (b.instanceId !== null) return 1;
  return a.memberId < b.memberId ? -1 : 1;
}

function none(members: readonly MemberSubscription[]): Assignments {
  return new Map(members.map(({ memberId }) => [memberId, []]));
}

/** Each topic by itself, in one piece a member: the first ones get one more where it does not come out even. */
function range(members: readonly MemberSubscription[], counts: PartitionCounts): Assignments {
  const assigned = none(members);
  for (const topic of [...counts.keys()].sort()) {
    const readers = members.filter(({ topics }) => topics.includes(topic));
    if (readers.length === 0) continue;
    const count = counts.get(topic)!;
    const each = Math.floor(count / readers.length);
    const more = count % readers.length;
    let next = 0;
    for (const [at, { memberId }] of readers.entries()) {
      const end = next + each + (at < more ? 1 : 0);
      for (; next < end; next++) assigned.get(memberId)!.push({ topic, partition: next });
    }
  }
  return assigned;
}

/** All partitions of all topics in turn, each to the next member that reads its topic. */
function roundRobin(members: readonly MemberSubscription[], counts: PartitionCounts): Assignments {
  const assigned = none(members);
  const subscribed = new Set(members.flatMap(({ topics }) => topics));
  let at = 0;
  for (const topic of [...counts.keys()].filter((name) => subscribed.has(name)).sort()) {
    for (let partition = 0; partition < counts.get(topic)!; partition++) {
      while (!members[at % members.length]!.topics.includes(topic)) at++;
      assigned.get(members[at % members.length]!.memberId)!.push({ topic, partition });
      at++;
    }
  }
  return assigned;
}

/** What is to move stays unassigned in this round: its owner has to give it up first, and brings the next round about. */
function withoutMoving(wanted: Assignments, members: readonly MemberSubscription[]): Assignments {
  const owners = new Map<string, string>();
  for (const { memberId, owned } of members) {
    for (const each of owned) owners.set(keyOf(each), memberId);
  }
  const adjusted: Assignments = new Map();
  for (const [memberId, partitions] of wanted) {
    const free = partitions.filter((each) => {
      const owner = owners.get(keyOf(each));
      return owner === undefined || owner === memberId;
    });
    adjusted.set(memberId, free.sort(byPlace));
  }
  return adjusted;
}
