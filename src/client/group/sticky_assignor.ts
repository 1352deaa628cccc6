// The assignment that moves least: as even as the subscriptions allow, and everybody keeps what it has where that
// is no worse.
// Invariant: no member could take a partition of one that has two or more over it, by itself or through others.
// Kafka: AbstractStickyAssignor.

import type { MemberSubscription } from "./consumer_protocol.ts";
import { byPlace, keyOf, type TopicPartition } from "./partition_key.ts";

/** One member while partitions are handed out. */
interface Taker {
  readonly memberId: string;
  readonly topics: ReadonlySet<string>;
  readonly partitions: Map<string, TopicPartition>;
}

/**
 * @param members in an order that does not depend on how they came
 * @param counts number of partitions of each topic that is there
 * @returns partitions by member id
 */
export function sticky(
  members: readonly MemberSubscription[],
  counts: ReadonlyMap<string, number>,
): Map<string, TopicPartition[]> {
  const takers = members.map(({ memberId, topics }): Taker => {
    return { memberId, topics: new Set(topics), partitions: new Map() };
  });
  const free = new Map<string, TopicPartition>();
  for (const topic of [...counts.keys()].sort()) {
    if (!takers.some(({ topics }) => topics.has(topic))) continue;
    for (let partition = 0; partition < counts.get(topic)!; partition++) {
      const place = { topic, partition };
      free.set(keyOf(place), place);
    }
  }
  keepOwned(takers, members, free);
  const isUniform = takers.every(({ topics }) => {
    return (
      topics.size === takers[0]!.topics.size &&
      [...topics].every((each) => takers[0]!.topics.has(each))
    );
  });
  if (isUniform) levelUniform(takers, free);
  else {
    for (const place of [...free.values()].sort(byPlace)) {
      const readers = takers.filter(({ topics }) => topics.has(place.topic));
      leastLoaded(readers).partitions.set(keyOf(place), place);
    }
    while (improve(takers));
  }
  return new Map(
    takers.map(({ memberId, partitions }) => [memberId, [...partitions.values()].sort(byPlace)]),
  );
}

/** Everybody begins with what it says it owns; the later generation is right, and of two equal ones neither is. */
function keepOwned(
  takers: readonly Taker[],
  members: readonly MemberSubscription[],
  free: Map<string, TopicPartition>,
): void {
  const claims = new Map<string, { taker: Taker | null; generation: number }>();
  for (const [at, { owned, generation }] of members.entries()) {
    for (const place of owned) {
      const key = keyOf(place);
      if (!free.has(key) || !takers[at]!.topics.has(place.topic)) continue;
      const claim = claims.get(key);
      if (claim === undefined || claim.generation < generation) {
        claims.set(key, { taker: takers[at]!, generation });
      } else if (claim.generation === generation) claim.taker = null;
    }
  }
  for (const [key, { taker }] of claims) {
    if (taker === null) continue;
    taker.partitions.set(key, free.get(key)!);
    free.delete(key);
  }
}

/** Where all read the same, the even share is known from the beginning. */
function levelUniform(takers: readonly Taker[], free: Map<string, TopicPartition>): void {
  if (takers.length === 0) return;
  let total = free.size;
  for (const { partitions } of takers) total += partitions.size;
  const each = Math.floor(total / takers.length);
  let more = total % takers.length;
  const byLoad = [...takers].sort((a, b) => b.partitions.size - a.partitions.size);
  const wanting: Taker[] = [];
  const quotas = new Map<Taker, number>();
  for (const taker of byLoad) {
    const quota = taker.partitions.size > each && more > 0 ? each + 1 : each;
    if (quota > each) more--;
    quotas.set(taker, quota);
    for (const [key, place] of [...taker.partitions].slice(quota)) {
      taker.partitions.delete(key);
      free.set(key, place);
    }
  }
  for (const taker of takers) {
    if (quotas.get(taker)! === each && more > 0) {
      quotas.set(taker, each + 1);
      more--;
    }
    if (taker.partitions.size < quotas.get(taker)!) wanting.push(taker);
  }
  // In turn, so that each gets some of every topic.
  let at = 0;
  for (const place of [...free.values()].sort(byPlace)) {
    const taker = wanting[at % wanting.length]!;
    taker.partitions.set(keyOf(place), place);
    if (taker.partitions.size === quotas.get(taker)!) wanting.splice(at % wanting.length, 1);
    else at++;
    if (wanting.length > 0) at %= wanting.length;
  }
}

function leastLoaded(takers: readonly Taker[]): Taker {
  let least = takers[0]!;
  for (const each of takers) if (each.partitions.size < least.partitions.size) least = each;
  return least;
}

/** Moves one partition from a member to one with two or more fewer, through others if need be. */
function improve(takers: readonly Taker[]): boolean {
  const byLoad = [...takers].sort((a, b) => b.partitions.size - a.partitions.size);
  for (const from of byLoad) {
    // Breadth first: the shortest way moves the fewest partitions.
    const cameBy = new Map<Taker, { readonly giver: Taker; readonly key: string }>();
    const seen = new Set<Taker>([from]);
    const line = [from];
    for (const giver of line) {
      for (const [key, place] of giver.partitions) {
        for (const taker of takers) {
          if (seen.has(taker) || !taker.topics.has(place.topic)) continue;
          seen.add(taker);
          cameBy.set(taker, { giver, key });
          if (taker.partitions.size + 1 < from.partitions.size) {
            moveAlong(taker, from, cameBy);
            return true;
          }
          line.push(taker);
        }
      }
    }
  }
  return false;
}

function moveAlong(
  to: Taker,
  from: Taker,
  cameBy: ReadonlyMap<Taker, { readonly giver: Taker; readonly key: string }>,
): void {
  for (let taker = to; taker !== from; ) {
    const { giver, key } = cameBy.get(taker)!;
    taker.partitions.set(key, giver.partitions.get(key)!);
    giver.partitions.delete(key);
    taker = giver;
  }
}
