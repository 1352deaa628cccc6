// Moving partitions to other brokers: the new ones are added, and once all of them are in sync the old ones go. Invariant: nobody is
// taken away before everybody who is to stay is in the ISR; the leader that is to go hands over in the commit that takes it away.
// Kafka: ReplicationControlManager (alterPartitionReassignments), PartitionReassignmentReplicas, KIP-455.

import { NOBODY } from "./cluster_entries.ts";
import { type Decision, refused, type Verdict } from "./decision.ts";
import type { ClusterImage, PartitionImage } from "./image.ts";
import { decideOne, type PartitionChange, type PartitionEdits } from "./partition_edits.ts";

export interface Reassignment {
  readonly topic: string;
  readonly index: number;
  /** Where its replicas shall be, in order of preference; null cancels what is under way. */
  readonly replicas: readonly number[] | null;
}

/** Decides on one reassignment. The value is the partition as it will be. */
export function decideAlterReassignment(
  image: ClusterImage,
  reassignment: Reassignment,
  mayChangeFactor = true,
): Decision<PartitionImage> {
  return decideOne(image, (edits) => editReassignment(edits, image, reassignment, mayChangeFactor));
}

/** The same, as one of several changes of one commit. */
export function editReassignment(
  edits: PartitionEdits,
  image: ClusterImage,
  { topic: name, index, replicas }: Reassignment,
  mayChangeFactor: boolean,
): Verdict<PartitionImage> {
  const topic = image.topicsByName.get(name);
  const before = topic === undefined ? null : edits.get(topic.id, index);
  if (topic === undefined || before === null) {
    return refused("unknown_topic_or_partition", "There is no such topic or partition");
  }
  if (replicas === null) return editCancel(edits, image, topic.id, index, before);
  const isKnown = (id: number) => image.knownBrokers.has(id) || image.brokers.has(id);
  const fault = assignmentFault(replicas, isKnown);
  if (fault !== null) return refused("invalid_replica_assignment", fault);
  const old = targetOf(before);
  if (!mayChangeFactor && replicas.length !== old.length) {
    return refused(
      "invalid_replication_factor",
      `The replication factor is changed from ${old.length} to ${replicas.length}`,
    );
  }
  // From a reassignment under way back to where it began, those that it added go: they may be in sync already.
  const present = before.replicas.filter((id) => !before.adding.includes(id));
  const adding = replicas.filter((id) => !present.includes(id));
  const kept = before.replicas.filter((id) => !replicas.includes(id));
  const removing = kept.filter((id) => !before.adding.includes(id) || before.isr.includes(id));
  const change: PartitionChange = { replicas: [...replicas, ...removing], adding, removing };
  const isSame =
    same(before.replicas, change.replicas!) &&
    same(before.adding, adding) &&
    same(before.removing, removing);
  if (isSame) return { ok: true, value: before };
  let after = edits.change(topic.id, index, {
    ...change,
    elr: before.elr.filter((id) => change.replicas!.includes(id)),
  });
  const end = finished(after, (id) => image.brokers.has(id));
  if (end !== null) after = edits.change(topic.id, index, end);
  return { ok: true, value: after };
}

function editCancel(
  edits: PartitionEdits,
  image: ClusterImage,
  topicId: string,
  index: number,
  before: PartitionImage,
): Verdict<PartitionImage> {
  if (!isReassigned(before)) return refused("no_reassignment_in_progress", null);
  const replicas = before.replicas.filter((id) => !before.adding.includes(id));
  const isr = before.isr.filter((id) => replicas.includes(id));
  if (isr.length === 0 || replicas.length === 0) {
    return refused(
      "invalid_replica_assignment",
      "None of the replicas that it would go back to is in sync",
    );
  }
  const leader = isr.includes(before.leader) ? before.leader : firstLive(image, replicas, isr);
  const value = edits.change(topicId, index, {
    leader,
    replicas,
    isr,
    adding: NOBODY,
    removing: NOBODY,
    elr: before.elr.filter((id) => replicas.includes(id)),
  });
  return { ok: true, value };
}

function firstLive(image: ClusterImage, replicas: readonly number[], isr: readonly number[]) {
  return (
    replicas.find((id) => isr.includes(id) && image.brokers.get(id)?.isStopping === false) ?? -1
  );
}

/** Whether it is on its way to other brokers. */
export function isReassigned({ adding, removing }: PartitionImage): boolean {
  return adding.length > 0 || removing.length > 0;
}

/** Where the replicas are, once the reassignment under way has ended. */
export function targetOf({ replicas, removing }: PartitionImage): readonly number[] {
  return removing.length === 0 ? replicas : replicas.filter((id) => !removing.includes(id));
}

/** What ends a reassignment whose new replicas are all in sync; null where there is none, or they are not. */
export function finished(
  partition: PartitionImage,
  isLive: (brokerId: number) => boolean,
): PartitionChange | null {
  if (!isReassigned(partition)) return null;
  const replicas = targetOf(partition);
  const { adding, isr } = partition;
  if (!adding.every((id) => isr.includes(id))) return null;
  const left = replicas.filter((id) => isr.includes(id));
  // Without anybody in sync on the other side, those that are to go are all that has the data.
  const leader = left.includes(partition.leader) ? partition.leader : left.find(isLive);
  if (leader === undefined) return null;
  return {
    leader,
    replicas,
    isr: left,
    adding: NOBODY,
    removing: NOBODY,
    elr: partition.elr.filter((id) => replicas.includes(id)),
  };
}

/** What is wrong with a list of replicas; null where it will do. A broker that is away for now may be on it: it is waited for. */
export function assignmentFault(
  replicas: readonly number[],
  isKnown: (brokerId: number) => boolean,
): string | null {
  if (replicas.length === 0) return "The list of replicas is empty";
  for (const id of replicas) {
    if (!isKnown(id)) return `The list of replicas names broker ${id}, which is not registered`;
  }
  if (new Set(replicas).size !== replicas.length) return "The list of replicas has one twice";
  return null;
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((id, at) => id === b[at]);
}
