// Admission: what every call to a Broker passes first. Authorization is asked here and nowhere else; an
// item that is not allowed is answered as Kafka does and never reaches the room behind. Quotas come here too.
// Invariant: a call is handed on before the first await, so that appends keep the order of their calls.
// Kafka: KafkaApis (authHelper).

import type { Authorizer } from "../../contracts/auth.ts";
import type {
  AppendRequest,
  AppendResult,
  Broker,
  Caller,
  EpochEnd,
  FetchRequest,
  FetchResponse,
  FetchResult,
  LogApi,
  OffsetResult,
} from "../../contracts/broker.ts";
import { type KafkaErrorName, type Outcome, refuse } from "../../protocol/errors.ts";
import {
  attributesAt,
  BATCH_HEADER_BYTES,
  MAGIC_V2,
  magicAt,
  TRANSACTIONAL_BIT,
} from "../../record/batch_header.ts";
import { admitAdmin } from "./admission_admin.ts";
import { Gate } from "./admission_gate.ts";
import { admitGroups } from "./admission_groups.ts";
import { admitTopics } from "./admission_topics.ts";
import { admitTransactions } from "./admission_transactions.ts";

/**
 * A broker of which every call is admitted first; without an authorizer, the broker as it is.
 *
 * @param topicNames Names of all topics: lists are made of those the caller may see, and who may write to
 *   any of them may have a producer id.
 * @param partitionCountOf Of a topic; 0 where there is none.
 */
export function admit(
  broker: Broker,
  authorizer: Authorizer | null,
  topicNames: () => Iterable<string>,
  partitionCountOf: (topic: string) => number,
): Broker {
  if (authorizer === null) return broker;
  const gate = new Gate(authorizer);
  return {
    brokerId: broker.brokerId,
    clusterId: broker.clusterId,
    log: admitLog(broker.log, gate),
    topics: admitTopics(broker, gate, topicNames),
    admin: admitAdmin(broker.admin, gate, topicNames),
    groups: admitGroups(broker, gate),
    transactions: admitTransactions(broker.transactions, gate, partitionCountOf),
    get features() {
      return broker.features;
    },
    get featuresEpoch() {
      return broker.featuresEpoch;
    },
    setting: (name) => broker.setting(name),
    isOnline: () => broker.isOnline(),
  };
}

function admitLog(log: LogApi, gate: Gate): LogApi {
  return {
    append: (caller, request) => append(log, gate, caller, request),
    fetch: (caller, request) => fetch(log, gate, caller, request),
    partitionFor(caller, topic, key) {
      if (!gate.allowsTopic(caller, "describe", topic)) return refuse("topic_authorization_failed");
      return log.partitionFor(caller, topic, key);
    },
    async offsetFor(caller, queries): Promise<readonly Outcome<OffsetResult>[]> {
      const allowed = gate.allowed(caller, "describe", "topic", topicsOf(queries));
      const open = queries.filter((query) => allowed.has(query.topic));
      const outcomes = open.length === 0 ? [] : await log.offsetFor(caller, open);
      return merged(queries, allowed, outcomes);
    },
    endOffsetForEpoch(caller, queries): readonly Outcome<EpochEnd>[] {
      const allowed = gate.allowed(caller, "describe", "topic", topicsOf(queries));
      const open = queries.filter((query) => allowed.has(query.topic));
      const outcomes = open.length === 0 ? [] : log.endOffsetForEpoch(caller, open);
      return merged(queries, allowed, outcomes);
    },
    // Ids are no secret (Kafka answers them without asking), and the transport needs them to ask at all.
    topicNameOf: (topicId) => log.topicNameOf(topicId),
    topicIdOf: (name) => log.topicIdOf(name),
    // Asked for partitions only that the caller was let to.
    currentLeader: (caller, topic, partition) =>
      log.currentLeader?.(caller, topic, partition) ?? null,
  };
}

async function append(
  log: LogApi,
  gate: Gate,
  caller: Caller,
  request: AppendRequest,
): Promise<readonly Outcome<AppendResult>[]> {
  const { partitions, transactionalId } = request;
  if (
    partitions.some(({ batches }) => isTransactional(batches)) &&
    (transactionalId === null || !gate.allowsTransactionalId(caller, "write", transactionalId))
  ) {
    return partitions.map(() => refuse("transactional_id_authorization_failed"));
  }
  const allowed = gate.allowed(caller, "write", "topic", topicsOf(partitions));
  const open = partitions.filter((partition) => allowed.has(partition.topic));
  if (open.length === partitions.length) return log.append(caller, request);
  const outcomes =
    open.length === 0 ? [] : await log.append(caller, { ...request, partitions: open });
  return merged(partitions, allowed, outcomes);
}

async function fetch(
  log: LogApi,
  gate: Gate,
  caller: Caller,
  request: FetchRequest,
): Promise<FetchResponse> {
  const { partitions } = request;
  const allowed = gate.allowed(caller, "read", "topic", topicsOf(partitions));
  const open = partitions.filter((partition) => allowed.has(partition.topic));
  if (open.length === partitions.length) return log.fetch(caller, request);
  if (open.length === 0) {
    const none: readonly Outcome<FetchResult>[] = merged(partitions, allowed, []);
    return { partitions: none, release() {} };
  }
  // A refusal is news: the answer does not wait for more.
  const response = await log.fetch(caller, { ...request, partitions: open, waitMsMax: 0 });
  return {
    partitions: merged(partitions, allowed, response.partitions),
    release: () => response.release(),
  };
}

/** Whether the first batch is one of a transaction; what is no batch is for the log to refuse. */
function isTransactional(batches: Uint8Array): boolean {
  if (batches.length < BATCH_HEADER_BYTES || magicAt(batches, 0) !== MAGIC_V2) return false;
  return (attributesAt(batches, 0) & TRANSACTIONAL_BIT) !== 0;
}

function topicsOf(items: readonly { readonly topic: string }[]): string[] {
  return items.map((item) => item.topic);
}

/** The outcomes of what was handed on, in the order of all, with refusals for the rest. */
function merged<T>(
  items: readonly { readonly topic: string }[],
  allowed: ReadonlySet<string>,
  outcomes: readonly Outcome<T>[],
  code: KafkaErrorName = "topic_authorization_failed",
): readonly Outcome<T>[] {
  let next = 0;
  return items.map((item) => (allowed.has(item.topic) ? outcomes[next++]! : refuse(code)));
}
