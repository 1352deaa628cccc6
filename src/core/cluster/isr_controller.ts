// Decides on the in-sync sets that leaders propose. Invariant: only the leader in force, in its epoch and with its registration,
// changes a set, only from the state it saw, and only live brokers that registered as it knows them come in.
// Kafka: ReplicationControlManager.alterPartition, KIP-497, KIP-841, KIP-903.

import type { KafkaErrorName } from "../../protocol/errors.ts";
import { brokerKey } from "./cluster_entries.ts";
import { type Decision, refused } from "./decision.ts";
import { eligibleAfter } from "./election.ts";
import type { ClusterImage, PartitionImage } from "./image.ts";
import { PartitionEdits } from "./partition_edits.ts";
import { finished } from "./reassignment.ts";

/** What a leader wants the ISR of one of its partitions to be. */
export interface IsrProposal {
  readonly topicId: string;
  readonly index: number;
  /** Has the leader itself. */
  readonly isr: readonly number[];
  /** As the leader knows it. */
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  /** For each broker that comes in: the epoch of its registration that its fetches came with; -1 is not checked. */
  readonly expandedEpochs: ReadonlyMap<number, number>;
}

/** What became of it: the partition as it is then, or why not. */
export type IsrOutcome =
  | { readonly ok: true; readonly partition: PartitionImage }
  | { readonly ok: false; readonly code: KafkaErrorName };

export interface IsrContext {
  /** `min.insync.replicas` of a topic. */
  minIsr(topicId: string): number;
}

/**
 * Decides on proposals of one leader, each for itself; those that no longer fit into one commit are "operation_not_attempted". Taking in
 * the last replica that a reassignment waits for ends it.
 */
export function decideAlterIsr(
  image: ClusterImage,
  leaderId: number,
  leaderBrokerEpoch: number,
  proposals: readonly IsrProposal[],
  context: IsrContext,
): Decision<readonly IsrOutcome[]> {
  if (image.brokers.get(leaderId)?.epoch !== leaderBrokerEpoch) {
    return refused("stale_broker_epoch", `Broker ${leaderId} has registered anew, or is gone`);
  }
  const edits = new PartitionEdits(image);
  const registrations = new Map<number, number>([[leaderId, leaderBrokerEpoch]]);
  const outcomes = proposals.map((proposal): IsrOutcome => {
    const { topicId, index, isr } = proposal;
    const before = edits.get(topicId, index);
    if (before === null) return { ok: false, code: "unknown_topic_id" };
    const code = faultOf(image, leaderId, before, proposal);
    if (code !== null) return { ok: false, code };
    if (edits.isFull || registrations.size >= REGISTRATIONS_MAX) {
      return { ok: false, code: "operation_not_attempted" };
    }
    for (const id of isr) {
      if (!before.isr.includes(id)) registrations.set(id, image.brokers.get(id)!.epoch);
    }
    const ordered = before.replicas.filter((id) => isr.includes(id));
    const elr = eligibleAfter(before, ordered, { minIsr: context.minIsr(topicId) });
    const partition = edits.change(topicId, index, { isr: ordered, elr });
    // The leader may be on its way out: then it steps down in the same commit.
    const end = finished(partition, (id) => image.brokers.has(id));
    return { ok: true, partition: end === null ? partition : edits.change(topicId, index, end) };
  });
  const conditions = Array.from(registrations, ([id, epoch]) => ({
    key: brokerKey(id),
    revision: epoch,
  }));
  return { ok: true, value: outcomes, change: edits.toChange(conditions) };
}

/** Registrations that one commit has as conditions; the rest of its conditions are blocks. */
const REGISTRATIONS_MAX = 10;

function faultOf(
  image: ClusterImage,
  leaderId: number,
  before: PartitionImage,
  proposal: IsrProposal,
): KafkaErrorName | null {
  if (proposal.leaderEpoch > before.leaderEpoch) return "not_controller";
  if (proposal.leaderEpoch < before.leaderEpoch) return "fenced_leader_epoch";
  if (before.leader !== leaderId) return "invalid_request";
  if (proposal.partitionEpoch !== before.partitionEpoch) return "invalid_update_version";
  if (!proposal.isr.includes(leaderId)) return "invalid_request";
  for (const id of proposal.isr) {
    if (!before.replicas.includes(id)) return "invalid_request";
    if (before.isr.includes(id)) continue;
    const broker = image.brokers.get(id);
    const epoch = proposal.expandedEpochs.get(id) ?? -1;
    if (broker === undefined || broker.isStopping) return "ineligible_replica";
    if (epoch !== -1 && epoch !== broker.epoch) return "ineligible_replica";
  }
  return null;
}
