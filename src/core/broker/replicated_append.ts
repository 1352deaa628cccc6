// What a cluster asks of an append: that this broker leads, that enough are in sync, and that it is not acknowledged
// before those that the client named have it. Invariant: nothing is acknowledged by a broker whose session may have
// ended: the clock is compared at each acknowledgement. Kafka: ReplicaManager.appendRecords, DelayedProduce.

import { ok } from "../../base/outcome.ts";
import type { AppendRequest, AppendResult } from "../../contracts/broker.ts";
import { type KafkaError, kafkaError, type Outcome, refuse } from "../../protocol/errors.ts";
import type { PartitionLeader } from "../partition/partition_leader.ts";

export interface ReplicatedAppends {
  /** Null where this broker does not lead. */
  readonly leaderOf: (topicId: string, partition: number) => PartitionLeader | null;
  /** Whether nobody else can lead what this broker leads. */
  readonly isHeld: () => boolean;
  /** What follows, in the hands of who appends: only a cluster loads it. */
  readonly refusalOf: typeof refusalOf;
  readonly appended: typeof appendedToReplicas;
}

/** As much of it as is asked here. */
type Held = Pick<ReplicatedAppends, "leaderOf" | "isHeld">;

/** An append that was made, under a leadership. */
interface Appended {
  readonly leader: PartitionLeader | null;
  readonly result: AppendResult;
  readonly endOffset: number;
}

/** Why nothing is appended; null: it may be. */
export function refusalOf(
  leader: PartitionLeader | null,
  acks: AppendRequest["acks"],
  { isHeld }: Held,
): KafkaError | null {
  if (leader === null || leader.isOver || !isHeld()) return kafkaError("not_leader_or_follower");
  if (acks === -1 && leader.isUnderMinIsr) {
    return kafkaError("not_enough_replicas", `Only ${leader.isr.length} replicas are in sync`);
  }
  return null;
}

/** Waits as `acks` says. @param group That everything appended is durable with. Never rejects */
export async function appendedToReplicas(
  results: readonly (Appended | KafkaError)[],
  { acks, timeoutMs }: AppendRequest,
  group: { settled(): Promise<boolean> } | null,
  { isHeld }: Held,
): Promise<readonly Outcome<AppendResult>[]> {
  // Groups commit in order: the newest one stands for all. Followers are waited for meanwhile.
  // Also where nobody is answered (acks=0): the batch's bytes are the log's until this resolves.
  const isSynced = group === null ? Promise.resolve(true) : group.settled();
  return await Promise.all(
    results.map(async (result): Promise<Outcome<AppendResult>> => {
      if (!("result" in result)) return { ok: false, error: result };
      const { leader, endOffset } = result;
      if (leader === null) return refuse("not_leader_or_follower");
      const committed = acks === -1 ? leader.committed(endOffset, timeoutMs) : null;
      if (!(await isSynced)) {
        return refuse("kafka_storage_error", "The log folder is offline: nothing was acknowledged");
      }
      const end = committed === null ? "committed" : await committed;
      // Nobody is told: what becomes of it now is not asked either.
      if (acks === 0) return ok(result.result);
      if (end === "timed_out") return refuse("request_timed_out");
      if (end === "not_enough_replicas") return refuse("not_enough_replicas_after_append");
      if (end === "not_leader" || leader.isOver || !isHeld()) {
        return refuse("not_leader_or_follower");
      }
      return ok(result.result);
    }),
  );
}
