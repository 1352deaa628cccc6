// Which brokers get the replicas of new partitions. Invariant: leaders are as even as numbers allow, replicas of a partition are on
// distinct brokers, and on distinct racks as long as there are racks; brokers without a rack are one rack each where some have one.
// Kafka: StripedReplicaPlacer.

import { assert } from "../../base/assert.ts";

export interface PlaceableBroker {
  readonly id: number;
  readonly rack: string | null;
}

/**
 * Replicas of `count` partitions, in order of preference.
 *
 * @param start Where to begin, drawn at random: topics of one partition must not all lie on one broker
 * @param first The index of the first of them, so that partitions added later go on where the others ended
 */
export function placeReplicas(
  brokers: readonly PlaceableBroker[],
  count: number,
  factor: number,
  start: number,
  first = 0,
): number[][] {
  assert(factor <= brokers.length, "a partition has no more replicas than there are brokers");
  const order = striped(brokers);
  const racksMax = new Set(order.map(rackOf)).size;
  const placed: number[][] = [];
  for (let index = first; index < first + count; index++) {
    const at = (start + index) % order.length;
    // Each round begins its followers one broker further, so that all of one leader's followers are not the same ones.
    const shift = order.length < 2 ? 0 : Math.floor(index / order.length) % (order.length - 1);
    const others: PlaceableBroker[] = [];
    for (let i = 0; i < order.length - 1; i++) {
      others.push(order[(at + 1 + ((shift + i) % (order.length - 1))) % order.length]!);
    }
    placed.push(chosen(order[at]!, others, factor, racksMax));
  }
  return placed;
}

function chosen(
  leader: PlaceableBroker,
  others: PlaceableBroker[],
  factor: number,
  racksMax: number,
): number[] {
  const replicas = [leader.id];
  let racks = new Set([rackOf(leader)]);
  while (replicas.length < factor) {
    if (racks.size === racksMax) racks = new Set();
    let at = others.findIndex((each) => !racks.has(rackOf(each)));
    if (at < 0) at = 0;
    const [next] = others.splice(at, 1);
    racks.add(rackOf(next!));
    replicas.push(next!.id);
  }
  return replicas;
}

/** One broker of each rack in turn, so that neighbours are on different racks. */
function striped(brokers: readonly PlaceableBroker[]): PlaceableBroker[] {
  const racks = new Map<string, PlaceableBroker[]>();
  for (const broker of [...brokers].sort((a, b) => a.id - b.id)) {
    const rack = rackOf(broker);
    const list = racks.get(rack);
    if (list === undefined) racks.set(rack, [broker]);
    else list.push(broker);
  }
  const lists = Array.from(racks.values());
  const order: PlaceableBroker[] = [];
  for (let round = 0; order.length < brokers.length; round++) {
    for (const list of lists) if (round < list.length) order.push(list[round]!);
  }
  return order;
}

function rackOf({ id, rack }: PlaceableBroker): string {
  return rack === null ? `#${id}` : `r${rack}`;
}
