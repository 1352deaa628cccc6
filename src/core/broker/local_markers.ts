// Markers into partitions that this broker leads: all lie in one journal, with the records of a coordinator that is alone. Those of
// groups go by the shard of the group, which makes its offsets visible or drops them. Kafka: KafkaApis.handleWriteTxnMarkersRequest.

import { ok } from "../../base/outcome.ts";
import type { TopicPartition } from "../../contracts/broker.ts";
import type { Runtime } from "../../contracts/runtime.ts";
import { type Outcome, refuse } from "../../protocol/errors.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { GROUP_TOPIC } from "../cluster/topic_names.ts";
import type { AppendedToLog, EndMarker } from "../coordinator/runtime/coordinator_log.ts";
import type { MarkerWriter, TransactionMarker } from "../coordinator/transaction/ports.ts";
import type { LogManager } from "../partition/log_manager.ts";
import { committed } from "./commit_waits.ts";
import { leadershipHeld, leadershipOf, leadsNow, mayAnswer } from "./partition_leaders.ts";

/** What transactions ask of groups. */
export interface TransactionalGroups {
  /** The partition of GROUP_TOPIC that a group's offsets lie in; the topic is made if need be. Null when it cannot be. */
  partitionOf(groupId: string): Promise<number | null>;
  /** Ends a producer's transaction in a partition of GROUP_TOPIC; null: there is no shard that could know of it. */
  endTransaction(partition: number, marker: EndMarker): Outcome<AppendedToLog> | null;
}

export interface LocalMarkersOptions {
  readonly cluster: Cluster;
  readonly logs: LogManager;
  readonly runtime: Runtime;
  readonly groups: TransactionalGroups;
}

export class LocalMarkers implements MarkerWriter {
  readonly #options: LocalMarkersOptions;

  constructor(options: LocalMarkersOptions) {
    this.#options = options;
  }

  isOrderedWith(): boolean {
    return true;
  }

  write(marker: TransactionMarker, partition: TopicPartition): null | Promise<Outcome<null>> {
    const appended = this.append(marker, partition);
    // Of a topic that was deleted nothing is left to end.
    if (appended.ok || appended.error.code === "unknown_topic_or_partition") return null;
    return Promise.resolve(appended);
  }

  /**
   * Appends a marker before it returns.
   *
   * @returns whether it ever will be committed. Refused: unknown_topic_or_partition, kafka_storage_error,
   *   not_leader_or_follower, invalid_producer_epoch, transaction_coordinator_fenced
   */
  append(
    marker: TransactionMarker,
    { topic: name, partition }: TopicPartition,
  ): Outcome<Promise<boolean>> {
    const { cluster, logs, runtime, groups } = this.#options;
    const known = cluster.image.topicsByName.get(name);
    if (known === undefined) return refuse("unknown_topic_or_partition");
    if (partition < 0 || partition >= known.partitionCount) {
      return refuse("unknown_topic_or_partition");
    }
    const { leader, leaderEpoch } = leadershipOf(cluster, known, partition);
    if (leader !== cluster.brokerId) return refuse("not_leader_or_follower");
    const log = logs.log(known.id, partition);
    if (log === null || log.topic.isDeleted) return refuse("unknown_topic_or_partition");
    if (!logs.isOnline) return refuse("kafka_storage_error");
    if (!leadsNow(cluster, log, leaderEpoch)) return refuse("not_leader_or_follower");
    if (!mayAnswer(cluster, runtime.clock)) return refuse("not_leader_or_follower");
    if (name === GROUP_TOPIC) {
      const ended = groups.endTransaction(partition, marker);
      if (ended !== null) return ended.ok ? ok(ended.value.committed) : ended;
    }
    const verdict = log.appendMarker(marker, runtime.clock.wallMs());
    if (verdict.kind === "appended") {
      if (log.role === null) return ok(verdict.group.settled());
      const mayLead = leadershipHeld(cluster, log, leaderEpoch, runtime.clock);
      return ok(committed(log, verdict.group, verdict.baseOffset + 1, mayLead));
    }
    return verdict.kind === "refused"
      ? refuse(verdict.code, verdict.message)
      : refuse("unknown_server_error");
  }
}
