// What brokers decide about themselves and what people ask of leadership: elections by hand, resuming after a restart, handing over
// before a stop, unregistering. Pure, from one image. Invariant: nobody gives up the last in-sync replica of a partition.
// Kafka: ReplicationControlManager (electLeaders, handleBrokerInControlledShutdown, unregisterBroker).

import { brokerKey, KNOWN_BROKER_PREFIX, knownBrokerKey } from "./cluster_entries.ts";
import { type Change, type Decision, refused, type Verdict } from "./decision.ts";
import {
  type ElectionContext,
  eligibleAfter,
  preferred,
  preferredOf,
  successorOf,
  unclean,
} from "./election.ts";
import type { ClusterImage, PartitionImage, TopicImage } from "./image.ts";
import { decideOne, PartitionEdits } from "./partition_edits.ts";

/** What elections of a topic's partitions go by. */
export type ContextOf = (image: ClusterImage, topic: TopicImage) => ElectionContext;

/** An election that somebody asks for. "preferred": only where the first replica may lead; "unclean": where nobody leads. */
export interface ElectionRequest {
  readonly topic: string;
  readonly index: number;
  readonly type: "preferred" | "unclean";
}

/** Decides on an election that somebody asked for. The value is the partition as it will be. */
export function decideElectLeader(
  image: ClusterImage,
  request: ElectionRequest,
  contextOf: ContextOf,
): Decision<PartitionImage> {
  return decideOne(image, (edits) => editLeader(edits, image, request, contextOf));
}

/** The same, as one of several changes of one commit. */
export function editLeader(
  edits: PartitionEdits,
  image: ClusterImage,
  { topic: name, index, type }: ElectionRequest,
  contextOf: ContextOf,
): Verdict<PartitionImage> {
  const topic = image.topicsByName.get(name);
  const before = topic === undefined ? null : edits.get(topic.id, index);
  if (topic === undefined || before === null) {
    return refused("unknown_topic_or_partition", "There is no such topic or partition");
  }
  const context = contextOf(image, topic);
  const isPreferred = type === "preferred";
  const isNeeded = isPreferred
    ? before.leader !== preferredOf(before)
    : !context.isLive(before.leader);
  if (!isNeeded) return refused("election_not_needed", null);
  const change = isPreferred ? preferred(before, context) : unclean(before, context);
  if (change === null) {
    const code = isPreferred ? "preferred_leader_not_available" : "eligible_leaders_not_available";
    return refused(code, null);
  }
  return { ok: true, value: edits.change(topic.id, index, change) };
}

/**
 * What a broker that has registered must change before it leads anything: in the epochs of its last life it may have given out what it
 * lost with its memory. Only what has still the leader's epoch of `since`, so that going on does not raise it twice. The value is whether there is more than fits into one commit.
 */
export function decideResume(
  image: ClusterImage,
  brokerId: number,
  since: ReadonlyMap<string, readonly PartitionImage[]>,
  contextOf: ContextOf,
): Decision<boolean> {
  return overAll(image, brokerId, (partition, topic, index) => {
    if (partition.leader !== brokerId) return null;
    if (since.get(topic.id)?.[index]?.leaderEpoch !== partition.leaderEpoch) return null;
    const next = successorOf(partition, -1, contextOf(image, topic));
    return { leader: next ?? brokerId, isNewLeadership: true };
  });
}

/**
 * What a broker that is about to stop gives away: leaderships where another in-sync replica can lead, and its place in the ISR where
 * others are left. The value is whether there is more than fits into one commit.
 */
export function decideHandOver(
  image: ClusterImage,
  brokerId: number,
  contextOf: ContextOf,
): Decision<boolean> {
  return overAll(image, brokerId, (partition, topic) => {
    if (!partition.isr.includes(brokerId)) return null;
    const context = contextOf(image, topic);
    const isr = partition.isr.filter((id) => id !== brokerId && context.isLive(id));
    if (isr.length === 0) return null;
    if (partition.leader !== brokerId) {
      return isr.includes(partition.leader)
        ? { isr, elr: eligibleAfter(partition, isr, context) }
        : null;
    }
    const leader = successorOf(partition, brokerId, context);
    return leader === null ? null : { leader, isr, elr: eligibleAfter(partition, isr, context) };
  });
}

function overAll(
  image: ClusterImage,
  brokerId: number,
  changeOf: (
    partition: PartitionImage,
    topic: TopicImage,
    index: number,
  ) => Parameters<PartitionEdits["change"]>[2] | null,
): Decision<boolean> {
  const edits = new PartitionEdits(image);
  const registration = {
    key: brokerKey(brokerId),
    revision: image.brokers.get(brokerId)?.epoch ?? 0,
  };
  for (const [topicId, partitions] of image.partitions) {
    const topic = image.topicsById.get(topicId);
    if (topic === undefined) continue;
    for (let index = 0; index < partitions.length; index++) {
      const change = changeOf(partitions[index]!, topic, index);
      if (change === null) continue;
      if (edits.isFull) return { ok: true, value: true, change: edits.toChange([registration]) };
      edits.change(topicId, index, change);
    }
  }
  return { ok: true, value: false, change: edits.toChange([registration]) };
}

/** Decides on forgetting a broker that is gone for good. The value is its id. */
export function decideUnregister(image: ClusterImage, brokerId: number): Decision<number> {
  if (!image.knownBrokers.has(brokerId)) {
    return refused("broker_id_not_registered", `Broker ID ${brokerId} is not currently registered`);
  }
  if (image.brokers.has(brokerId)) {
    return refused("invalid_request", `Broker ${brokerId} is running: stop it first`);
  }
  const change: Change = {
    conditions: [{ key: brokerKey(brokerId), revision: 0 }],
    writes: [{ key: knownBrokerKey(brokerId), value: null }],
    locks: [KNOWN_BROKER_PREFIX],
  };
  return { ok: true, value: brokerId, change };
}
